"""``netvlad protocols``, as a user types it."""

import json

import pytest

from netvlad.cli.main import main
from netvlad.evaluation.protocols import PROTOCOLS


def test_the_list_names_all(capsys):
    main(["protocols"])
    lines = capsys.readouterr().out
    for name in PROTOCOLS:
        assert name in lines
    assert "an index per city" in lines and "(not by this loader)" in lines
    main(["protocols", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert listed == [protocol.to_json() for protocol in PROTOCOLS.values()]


def test_one_shows_all_of_its_fields(capsys):
    main(["protocols", "tokyo247/openibl-nms"])
    shown = capsys.readouterr().out
    for words in (
        "within 25 m",
        "the best of the 12 cut-outs of each panorama",
        "short side 640",
        "resizing by the short side",
        "75984 database, 315 queries",
        PROTOCOLS["tokyo247/openibl-nms"].fingerprint,
    ):
        assert words in shown
    main(["protocols", "radius-10", "--json"])
    assert json.loads(capsys.readouterr().out)["positives"]["radius_m"] == 10.0


def test_an_unknown_name_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["protocols", "msls-val/ofical"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean msls-val/official-740-per-city?" in line
