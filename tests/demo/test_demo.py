import csv
import sys

import demo.__main__ as main
import pytest
from demo.layout import Plan

PLAN = Plan(train=(1, 1), val=(1, 1), test=(1, 1), queries=(0.6, 0.6, 0.6), image_size=(60, 80))


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, main.run_demo(folder, PLAN, ("--epochs", "1"), workers=1)


def test_the_whole_way_ends_with_the_page_of_both_models(output):
    folder, (page, before, after) = output
    text = page.read_text(encoding="utf-8")
    assert "off the shelf" in text
    assert "trained" in text
    assert (folder / "runs/demo/checkpoints/best.json").is_file()
    with (folder / "report/results.csv").open(newline="") as file:
        by_name = {row["model"]: float(row["recall@1"]) for row in csv.DictReader(file)}
    assert by_name == {"off the shelf": before, "trained": after}


def test_a_second_demo_uses_what_is_there_and_finds_the_same(output, capsys):
    folder, found = output
    images = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    assert main.run_demo(folder, PLAN, workers=1) == found
    assert images == {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    said = capsys.readouterr().out
    assert "netvlad cluster" not in said
    assert "netvlad train --resume" in said


@pytest.mark.parametrize(("after", "code"), [(0.6, 0), (0.5, 1)])
def test_it_exits_with_1_where_training_did_not_help(monkeypatch, capsys, tmp_path, after, code):
    monkeypatch.setattr(sys, "argv", ["demo", "--output", f"{tmp_path}"])
    monkeypatch.setattr(main, "run_demo", lambda *_, **__: (tmp_path / "index.html", 0.5, after))
    monkeypatch.setattr(main.webbrowser, "open", lambda _: pytest.fail("no browser in tests"))
    monkeypatch.setenv("DISPLAY", ":0")
    if code:
        with pytest.raises(SystemExit) as stopped:
            main.main()
        assert stopped.value.code == code
    else:
        main.main()
    assert f"Look at {tmp_path / 'index.html'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("display", "ci", "opens"), [(":0", None, True), (":0", "1", False), (None, None, False)]
)
def test_the_page_is_opened_where_somebody_sits(monkeypatch, capsys, tmp_path, display, ci, opens):
    opened = []
    for name, value in (("DISPLAY", display), ("WAYLAND_DISPLAY", None), ("CI", ci)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["demo"])
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(main, "run_demo", lambda *_, **__: (tmp_path / "index.html", 0.5, 0.6))
    monkeypatch.setattr(main.webbrowser, "open", opened.append)
    main.main()
    assert opened == [(tmp_path / "index.html").as_uri()] * opens
