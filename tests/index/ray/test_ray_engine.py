"""Describing on a Ray cluster of two nodes on this machine, against the local way."""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from netvlad.cli.main import main
from netvlad.compute import Compute
from netvlad.descriptors import Descriptors, describe, passes
from netvlad.errors import SettingsError
from netvlad.index.ray import RayCluster
from netvlad.index.ray.engine import describe_on_ray
from netvlad.index.stores import FolderStore
from netvlad.models import PlaceModel
from netvlad.types import ImageSet, Note, Progress

SECTION = 8
SMALL = {"compute": Compute(batch_size=3, threads=1), "storage": "16"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU, listening on 127.0.0.1 alone."""
    # Read when Ray is imported, which nothing before this does.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    two = Cluster()
    try:
        add_node(two, "one")
        add_node(two, "two")
    except Exception as error:
        two.shutdown()
        pytest.skip(f"Ray does not start here: {error}")
    yield two
    two.shutdown()


def add_node(cluster: Any, name: str) -> Any:
    return cluster.add_node(
        node_name=name,
        node_ip_address="127.0.0.1",
        num_cpus=1,
        object_store_memory=80 << 20,
        include_dashboard=False,
    )


@pytest.fixture(autouse=True, scope="module")
def small_sections() -> Iterator[None]:
    """Several sections for both nodes, and as many threads here as there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "SECTION", SECTION)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """80 photos, and three that are none: the first, one in a section's middle, the last."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_text("hello")
    names = [str(path) for path in sorted((photos / "map").iterdir())]
    names.insert(35, str(folder / "a.jpg"))
    return ImageSet(Path(), (str(folder / "missing.jpg"), *names, str(folder / "b.jpg")))


@pytest.fixture(scope="module")
def local(quick_model: PlaceModel, images: ImageSet) -> Descriptors:
    return describe(quick_model, images, **SMALL)


def same(found: Descriptors, expected: Descriptors) -> None:
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.readable, expected.readable)
    assert [image.index for image in found.unreadable] == [0, 36, 82]
    assert [str(i.error).partition(" (on")[0] for i in found.unreadable] == [
        str(image.error) for image in sorted(expected.unreadable, key=lambda i: i.index)
    ]
    assert "missing.jpg" in str(found.unreadable[0].error)


def workers() -> list[psutil.Process]:
    """The processes that hold a model, of the clusters that this process started."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "SectionDescriber" in " ".join(child.cmdline()[:1])]


def on_first_section(act: Callable[[], None]) -> tuple[list[str], Callable[[Any], None]]:
    """What is noted, and a reporter that acts once, when a first section has come back."""
    notes: list[str] = []
    progress: list[int] = []

    def report(event: Progress | Note) -> None:
        if isinstance(event, Note):
            notes.append(event.text)
            return
        progress.append(event.done)
        if len(progress) == 2:
            act()

    return notes, report


def test_a_command_builds_on_both_nodes_what_one_machine_builds(
    cluster: Any, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    build = ["index", "build", str(photos / "map"), str(tmp_path / "text.jpg")]
    small = ["--model", "efficientnet-lite0-avg", "--batch-size", "3"]
    ray = ["--cluster", "ray", "--address", cluster.address]
    stored = []
    for name, flags in (("ray", ray), ("local", [])):
        folder = tmp_path / name
        main([*build, "--index", str(folder), *small, *flags])
        with FolderStore.open(folder) as store:
            stored.append((store.places.images(), np.array(store.matrix[store.rows])))
        told = capfd.readouterr()
        if name == "ray":
            assert "added 80, 1 skipped" in told.out and "photos/s" in told.out
            # Nothing of Ray's own: bars and notes are ours, results alone are on stdout.
            assert all(line.startswith(("- ", "  ")) for line in told.err.splitlines()), told.err
            assert "raylet" not in told.out and "text.jpg: is not an image" in told.err
            assert "Describing photos: 2 nodes, 2 workers with 1 CPU each" in told.err
            assert "Describing photos: 81 images in" in told.err
            shares = re.search(r"photos: (\d+) on one, (\d+) on two$", told.err, re.MULTILINE)
            assert shares is not None and sum(map(int, shares.groups())) == 81
    assert stored[0][0] == stored[1][0]
    np.testing.assert_array_equal(stored[0][1], stored[1][1])


def test_killed_workers_and_a_lost_node_lose_nothing_of_what_the_local_way_began(
    cluster: Any, quick_model: PlaceModel, images: ImageSet, local: Descriptors, tmp_path: Path
) -> None:
    def stop(event: Progress | Note) -> None:
        if isinstance(event, Progress) and event.done >= 2 * SECTION + 3:
            raise InterruptedError

    output = tmp_path / "d.npy"
    with pytest.raises(InterruptedError):
        describe(quick_model, images, output=output, report=stop, **SMALL)
    killed: list[int] = []
    (second,) = cluster.worker_nodes
    gone = threading.Thread(target=cluster.remove_node, args=(second, False))

    def kill() -> None:
        for worker in workers():
            worker.send_signal(signal.SIGKILL)
            killed.append(worker.pid)
        gone.start()

    notes, report = on_first_section(kill)
    address = RayCluster(cluster.address)
    try:
        found = describe_on_ray(quick_model, images, address, output=output, report=report, **SMALL)
    finally:
        gone.join()
        add_node(cluster, "two")
    assert notes[0] == "Describing images: resumed after 16 of 83 images"
    assert "2 nodes, 2 workers" in notes[1] and len(killed) == 2
    assert any("a worker was lost" in note for note in notes)
    same(found, local)
    # What one way has finished, the other opens.
    again = describe(quick_model, images, output=output, **SMALL)
    np.testing.assert_array_equal(again.values, found.values)


def test_trouble_is_told_in_one_line(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*flags: str) -> str:
        build = ["index", "build", str(photos / "map"), "--index", str(tmp_path / "i")]
        with pytest.raises(SystemExit) as stopped:
            main([*build, *flags])
        assert stopped.value.code == 2
        lines = [li for li in capsys.readouterr().err.splitlines() if li.startswith("netvlad:")]
        assert len(lines) == 1
        return lines[0]

    ray = ("--cluster", "ray")
    assert "no Ray cluster answers there" in refused(*ray, "--address", "127.0.0.1:1")
    assert "give HOST:PORT" in refused(*ray, "--address", "ray://somewhere:10001")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "no Ray cluster runs on this machine" in refused(*ray, "--address", "auto")
    assert "add --cluster ray" in refused("--address", "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'netvlad[ray]'" in refused(*ray)
    with pytest.raises(SettingsError, match=r"netvlad\[ray\]"):
        RayCluster().resolved()
