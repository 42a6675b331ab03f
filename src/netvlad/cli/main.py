"""The ``netvlad`` command: registers the commands, and turns errors into one line."""

import os
import sys
from collections.abc import Sequence

import cyclopts

import netvlad
from netvlad.cli.commands.cluster import cluster
from netvlad.cli.commands.demo import demo
from netvlad.cli.commands.test import test
from netvlad.cli.commands.train import train
from netvlad.errors import NetvladError

BAD_INPUT = 2
INTERRUPTED = 130

app = cyclopts.App(
    name="netvlad",
    help="Visual place recognition: say where a photograph was taken.",
    version=netvlad.__version__,
    help_format="markdown",
)
for command in (demo, cluster, train, test):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 2 on bad input, 130 on Ctrl-C."""
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(tokens, result_action="return_value")
    except NetvladError as error:
        if "--debug" in tokens:
            raise
        print(f"netvlad: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("netvlad: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(INTERRUPTED)
