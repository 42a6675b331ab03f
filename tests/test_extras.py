"""A plain install describes, evaluates, indexes and locates; what needs more names it in a line."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.made_photos import mosaic, position_of, write_photo

EXTRAS = [
    *("embreex", "gpxpy", "h5py", "kornia", "lightning_fabric", "onnx", "onnxruntime"),
    *("onnxscript", "pillow_heif", "pycolmap", "pymilvus", "ray", "tensorboard"),
]
PROGRAM = """
import sys
for name in {missing}:
    sys.modules[name] = None
from netvlad.cli.main import main
for words in {commands}:
    try:
        main(words)
    except SystemExit as stopped:
        print("exit", stopped.code)
    print("done", words[0], file=sys.stderr)
"""


def run(folder: Path, *commands: list[str]) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(missing=EXTRAS, commands=list(commands))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr and done.stderr.count("done") == len(commands)
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain")
    rows = ["image,role,latitude,longitude"]
    for place in range(6):
        latitude, longitude = position_of(place)
        for view, role in enumerate(("database", "query")):
            name = f"{role}/{place}.jpg"
            write_photo(root / name, mosaic(place, view), (latitude, longitude))
            rows.append(f"{name},{role},{latitude},{longitude}")
    for split in ("train", "val"):
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return root


def test_the_main_jobs_need_no_extra(folder: Path) -> None:
    data = ["--dataset", "csv", "--data-dir", "."]
    done = run(
        folder,
        ["index", "build", "database", "--index", "my.index"],
        ["locate", "query/3.jpg", "--index", "my.index", "--rerank", "--output", "page.html"],
        ["describe", "query", "--output", "d.npy"],
        ["evaluate", "--model", "efficientnet-lite0-avg", *data, "--output", "report"],
        ["datasets", "check", "csv", "--data-dir", ".", "--split", "val"],
        ["protocols"],
    )
    assert "exit" not in done.stdout, done.stderr
    assert "database/3.jpg" in done.stdout
    assert (folder / "page.html").is_file() and (folder / "report/index.html").is_file()


def test_what_needs_an_extra_names_it(folder: Path) -> None:
    (folder / "c.hdf5").write_bytes(b"")
    run(folder, ["index", "build", "database", "--index", "own.index"])
    data = ["--dataset", "csv", "--data-dir", ".", "--arch", "efficientnet-lite0"]
    done = run(
        folder,
        ["train", *data],
        ["cluster", *data],
        ["describe", "query", "--model", "c.hdf5"],
        ["datasets", "frames", "val.csv", "--track", "val.csv", "--output", "f"],
        ["export", "--model", "efficientnet-lite0-avg", "--output", "m.onnx"],
        ["locate", "query", "--index", "own.index", "--matcher", "disk-lightglue"],
        ["index", "info", "--index", "milvus://localhost:1/town"],
        ["index", "build", "query", "--index", "i", "--cluster", "ray"],
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("netvlad: ")]
    expected = ["train", "train", "train", "video", "export", "matching", "milvus", "ray"]
    assert len(lines) == len(expected), lines
    for line, extra in zip(lines, expected, strict=True):
        assert f"pip install 'netvlad[{extra}]'" in line
    assert done.stdout.count("exit 2") == len(expected)
