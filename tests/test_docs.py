"""README, site and examples: what they show runs, passes mypy, and is what there is."""

import json
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mypy import api as mypy
from PIL import Image
from tests.made_photos import mosaic, position_of, write_photo

import netvlad
from netvlad.cli.main import app, main
from netvlad.models import registering

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# The others are run by tests of their own, or need what a reader has.
RUN = ["README.md", "photos.md", "comparing.md", "place-index.md"]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[object]:
    for page in PAGES:
        for block in blocks(page, ""):
            for line in block.replace("\\\n", " ").splitlines():
                words = line.partition("  #")[0].strip()
                if words.startswith("netvlad ") and "…" not in words:
                    yield pytest.param(words, id=f"{page.name}: {words[:50]}")


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_are_those_that_exist(command: str) -> None:
    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has: photos with GPS, a query, an index and a data set."""
    root = tmp_path_factory.mktemp("reader")
    for view, name in enumerate(("photos", "photos", "more-photos", "queries")):
        for place in range(12):
            path = root / name / f"{place:02d}_{view}.jpg"
            write_photo(path, mosaic(place, view % 3), position_of(place))
    write_photo(root / "photos/2019/old.jpg", mosaic(20, 0), position_of(20))
    for number, name in enumerate(("query.jpg", "a.jpg", "b.jpg")):
        write_photo(root / name, mosaic(number, 2), position_of(number))
    rows = ["image,role,latitude,longitude"]
    for role, below in (("database", "photos"), ("query", "queries")):
        for file in sorted((root / below).glob("*.jpg")):
            latitude, longitude = position_of(int(file.name[:2]))
            rows.append(f"../../{below}/{file.name},{role},{latitude},{longitude}")
    (root / "data/mine").mkdir(parents=True)
    for split in ("train", "val", "test"):
        (root / f"data/mine/{split}.csv").write_text("\n".join(rows) + "\n")
    photos = str(root / "photos")
    main(["index", "build", photos, "--index", str(root / "my.index")])
    return root


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What examples register is gone after them: a name can be registered once in a process."""
    monkeypatch.setattr(registering, "_REGISTERED", {})


@pytest.mark.parametrize("name", RUN)
def test_snippets_run_and_pass_mypy(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = next(page for page in PAGES if page.name == name)
    code = "\n".join(blocks(page, "python"))
    assert "import netvlad" in code
    if "frame" in code:  # a camera's, in the middle of a page
        given = "import numpy as np\nframe, seconds = np.zeros((96, 128, 3), np.uint8), 1.0\n"
        code = given + 'import netvlad\nmodel = netvlad.load_model("efficientnet-lite0")\n' + code
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["snippet"])
    for made in ("new.index", "map.index"):
        assert not (folder / made).exists()
    script = tmp_path / "snippet.py"
    script.write_text(code.replace('output="my.index"', 'output="new.index"'))
    runpy.run_path(str(script))
    monkeypatch.chdir(ROOT)
    told, errors, status = mypy.run(["--strict", "--config-file", "pyproject.toml", str(script)])
    assert status == 0, told + errors


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(
    example: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {
        "photos.py": [folder / "photos", folder / "query.jpg"],
        "compare.py": [folder / "data/mine"],
        "loop_closure.py": [folder / "more-photos"],
        "own_model.py": [folder / "a.jpg", folder / "b.jpg"],
    }[example.name]
    expected = {
        "photos.py": "photos/00_0.jpg",
        "compare.py": "12 queries, 24 database images",
        "loop_closure.py": "12 frames",
        "own_model.py": "(2, 48)",
    }[example.name]
    monkeypatch.setattr(sys, "argv", [str(example), *map(str, given)])
    runpy.run_path(str(example), run_name="__main__")
    assert expected in capsys.readouterr().out


def test_the_notebook_runs(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads((ROOT / "examples/places.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "outputs are not committed"
            exec("".join(cell["source"]), names)
    answer = names["answer"]
    assert isinstance(answer, netvlad.Answer) and answer.places[0].image.endswith("07.jpg")
    assert "walls test · radius-25: 12 queries" in capsys.readouterr().out


def test_the_public_names_are_those_of_the_reference() -> None:
    named = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs/reference/api.md").read_text(), re.M)
    public = [name for name in netvlad.__all__ if name != "__version__"]
    assert dir(netvlad) == sorted(netvlad.__all__)
    assert sorted(path.rpartition(".")[2] for path in named) == sorted(public)
    for path in named:
        module, _, name = path.rpartition(".")
        assert getattr(netvlad, name).__module__ == module


def test_pages_fit() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    for page in PAGES:
        fence = False
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            fence ^= line.startswith("```")
            long = len(line) > 100 and not fence and not line.startswith(("|", "    ", "<"))
            assert not long or " " not in line[:100].strip(), f"{page.name}, line {number}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists() or target == "reference/commands.md", (
                f"{page.name}: {target}"
            )


def test_the_picture_is_one_and_small() -> None:
    with Image.open(ROOT / "docs/pictures/answer.png") as picture:
        assert np.asarray(picture.convert("RGB")).std() > 20
    assert (ROOT / "docs/pictures/answer.png").stat().st_size < 200_000
