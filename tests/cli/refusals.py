"""What a command says when it refuses."""

import pytest

from netvlad.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that must exit with 2 says, in one line."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    lines = [li for li in capsys.readouterr().err.splitlines() if li.startswith("netvlad:")]
    assert len(lines) == 1
    return lines[0]
