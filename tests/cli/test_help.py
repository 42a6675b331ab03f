"""What ``--help`` teaches: its examples are commands that exist, on lines of their own."""

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from inspect import cleandoc

import pytest

from netvlad.cli.main import COMMANDS, app, main
from netvlad.errors import NetvladError

FENCE = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _texts() -> Iterator[tuple[str, str]]:
    for name in COMMANDS:
        command = getattr(import_module(f"netvlad.cli.commands.{name}"), name)
        if callable(getattr(command, "resolved_commands", None)) or hasattr(command, "_commands"):
            yield name, cleandoc(command.help)
            for sub in command:
                if not sub.startswith("-"):
                    yield f"{name} {sub}", cleandoc(command[sub].default_command.__doc__ or "")
        else:
            yield name, cleandoc(command.__doc__ or "")


TEXTS = dict(_texts())
EXAMPLES = [
    pytest.param(line, id=f"{name}: {line[:40]}")
    for name, text in TEXTS.items()
    for block in FENCE.findall(text)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("netvlad ")
]


def test_each_command_that_works_on_files_has_an_example() -> None:
    without = {name for name, text in TEXTS.items() if not FENCE.search(text)}
    # These need nothing but their name, or have their examples in their subcommands.
    assert without <= {
        "cache",
        "cache info",
        "datasets list",
        "demo",
        "index info",
        "index verify",
    }, without
    assert len(EXAMPLES) >= len(COMMANDS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_commands_that_exist(example: str) -> None:
    app.parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("name", TEXTS)
def test_examples_keep_their_lines(name: str) -> None:
    blocks = FENCE.findall(TEXTS[name])
    assert all(len(line) <= 78 for block in blocks for line in block.splitlines()), blocks
    assert "\n    netvlad" not in TEXTS[name], "an indented example runs together with the next"


@pytest.mark.parametrize("place", [0, 1, 99])
def test_debug_anywhere_shows_the_traceback(place: int) -> None:
    words = ["protocols", "no-such-protocol"]
    with pytest.raises(SystemExit):
        main(words)
    with pytest.raises(NetvladError, match="no-such-protocol"):
        main([*words[:place], "--debug", *words[place:]])
