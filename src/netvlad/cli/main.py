"""The ``netvlad`` command: registers the commands, and turns errors into one line."""

import ctypes
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import cyclopts

import netvlad
from netvlad.errors import NetvladError

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BELOW_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Ask glibc to reuse freed blocks below 1 GiB instead of handing them back to the system.

    Every layer of every batch allocates maps of tens of megabytes. By default each is fetched from
    the system, page by page, and handed back; the processor spent nearly as long on that as on
    EfficientNet-Lite0 itself. Does nothing where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        tune = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    tune(_M_MMAP_THRESHOLD, _KEEP_BELOW_BYTES)
    tune(_M_TRIM_THRESHOLD, _KEEP_BELOW_BYTES)


BAD_INPUT = 2
INTERRUPTED = 130
DEBUG = "--debug"

# What `netvlad --help` lists. The commands themselves are imported when they are called: they
# bring torch, which takes seconds.
COMMANDS = {
    "cluster": "Compute the cluster centres that an untrained NetVLAD layer starts from.",
    "train": "Train a model: refresh descriptors, mine hard negatives, step, validate.",
    "test": "Measure recall@1, 5, 10 and 20 of a model on a split.",
    "evaluate": "Compare models on data sets by named rules, and write a report.",
    "index": "Make an index of photos, change it, look into it.",
    "locate": "Say where photos were taken: the most similar places of an index.",
    "pairs": "Write the pairs of images that COLMAP or hloc should match.",
    "describe": "Write the descriptors of photos as a matrix, a row for each.",
    "export": "Write a model as an ONNX or torch.export file, checked against torch.",
    "protocols": "List the rules by which published figures were counted.",
    "datasets": "List, fetch, check, split, convert and show data sets; take frames of videos.",
    "cache": "List and remove trunk caches: what trainings keep of the frozen layers.",
}

app = cyclopts.App(
    name="netvlad",
    help="""Visual place recognition: say where a photograph was taken.

    `netvlad COMMAND --help` explains a command. Progress and notes go to stderr, results alone to
    stdout. `--debug` after any command shows the traceback of an error.""",
    version=netvlad.__version__,
    help_format="markdown",
    # What is not typed is false or empty: no flag is needed to say so.
    default_parameter=cyclopts.Parameter(negative_iterable=(), negative_bool=()),
)
app.register_install_completion_command(help="Complete commands and flags in this shell.")
for place, (name, summary) in enumerate(COMMANDS.items()):
    app.command(f"netvlad.cli.commands.{name}:{name}", name=name, help=summary, sort_key=place)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 2 on bad input, 130 on Ctrl-C."""
    keep_freed_memory()
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    debug = DEBUG in tokens
    tokens = [token for token in tokens if token != DEBUG]
    try:
        _show_whole_help(tokens)
        app(
            tokens,
            result_action="return_value",
            exit_on_error=False,
            print_error=False,
        )
    except (NetvladError, cyclopts.CycloptsError) as error:
        if debug:
            raise
        print(f"netvlad: {_one_line(error)}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("netvlad: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(INTERRUPTED)


def _show_whole_help(tokens: list[str]) -> None:
    """The help of one command is its own docstring, not the line that ``netvlad --help`` lists."""
    if tokens and tokens[0] in COMMANDS and {"--help", "-h"} & set(tokens):
        module = import_module(f"netvlad.cli.commands.{tokens[0]}")
        # A command made of several brings its own text; of a function, None takes the docstring.
        whole = getattr(getattr(module, tokens[0]), "help", None)
        app[tokens[0]].help = whole


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
