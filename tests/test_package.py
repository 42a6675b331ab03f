import subprocess
import sys

import pytest

import netvlad


def test_every_public_name_is_there():
    for name in netvlad.__all__:
        assert getattr(netvlad, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = netvlad.nothing


def test_importing_the_package_does_not_bring_torch():
    code = "import sys, netvlad; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_photo_is_located_without_waiting_for_what_only_learning_needs():
    code = (
        "import sys, netvlad.cli.commands.locate\n"
        "sys.exit(', '.join({'scipy', 'pandas', 'plotly', 'sklearn'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
