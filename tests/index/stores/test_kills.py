"""Writers that are killed at any moment, and readers beside a writer."""

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback

import numpy as np
import pytest

from netvlad.index.places import Places
from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.verifying import verify
from netvlad.index.stores.writer import writing

PRESENT = [*range(10), *range(20, 100)]
MOMENTS = 20
# What changes files, by the name of Python's audit event; the path is its first argument.
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod"}


def numbers(index):
    """What the places of an index are, after a check that names and descriptors agree."""
    with FolderStore.open(index) as store:
        named = [int(name.removesuffix(".jpg")) for name in store.places.images()]
        np.testing.assert_array_equal(store.matrix[store.rows][:, 0], named)
        np.testing.assert_array_equal(store.matrix[store.rows][:, -1], named)
        return named


class Moments:
    """Counts the changes that this process makes in a folder, and kills it at one of them."""

    def __init__(self, folder, fatal):
        self.folder, self.fatal, self.seen = str(folder), fatal, []
        # Counted, but not done: what a killed process has written is not lost to the others.
        os.fsync = lambda handle: self.add("flush", "")
        sys.addaudithook(self.watch)

    def watch(self, event, arguments):
        path = str(arguments[0]) if arguments else ""
        if not path.startswith(self.folder) or path.endswith("/.lock"):
            return
        if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.add("write", path)
        elif event in CHANGES:
            self.add(event, path)

    def add(self, event, path):
        if len(self.seen) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append((event, path))

    def between(self, blocks):
        """The blocks, with a moment after each: the one before has been written then."""
        for block in blocks:
            yield block
            self.add("block", "")


def append(index, moments):
    places = Places.of([f"{n}.jpg" for n in range(100, 150)])
    rows = np.repeat(np.arange(100.0, 150.0)[:, None], 8, axis=1)
    with writing(index, "adding") as writer:
        writer.append(places, moments.between(np.split(rows, 10)))
        writer.commit()


def remove(index, moments):
    with writing(index, "removing") as writer:
        writer.remove(np.arange(0, 90, 2))
        writer.commit()


def optimise(index, moments):
    def write(file):
        for part in moments.between([b"new " * 5000] * 3):
            file.write(part)

    with writing(index, "optimising") as writer:
        rows = np.array(writer.matrix[writer.rows])
        writer.rewrite(moments.between(np.split(rows, 5)), 8, "32")
        writer.put_structure(write, {"rows": 90, "kind": "test"})
        writer.commit()


CHANGED = {
    append: [*PRESENT, *range(100, 150)],
    remove: PRESENT[1::2],
    optimise: PRESENT,
}


def run(operation, index, fatal=None):
    """Run a change in a process of its own, killed before its change number ``fatal``.

    Returns:
        How the process ended, as ``os.waitpid`` has it, and what it changed.
    """
    record = index.parent / "seen.json"
    child = os.fork()
    if child == 0:
        # What is not caught here would run the rest of the tests twice.
        try:
            moments = Moments(index, fatal)
            operation(index, moments)
            record.write_text(json.dumps(moments.seen))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status, json.loads(record.read_text()) if status == 0 else []


@pytest.mark.parametrize("operation", CHANGED, ids=lambda operation: operation.__name__)
def test_a_kill_at_any_moment_leaves_the_last_generation(operation, quick_copy, tmp_path):
    before = quick_copy(tmp_path / "template")
    assert numbers(before) == PRESENT
    status, seen = run(operation, quick_copy(tmp_path / "whole"))
    assert status == 0
    kinds = [kind for kind, _ in seen]
    first = kinds.index("write")
    last = len(kinds) - 1 - kinds[::-1].index("os.rename")
    after = range(last + 1, len(seen))
    assert "flush" in kinds[first:last] and "os.remove" in kinds[last:]
    moments = np.unique(np.linspace(first, last, MOMENTS).astype(int))
    assert len(moments) == MOMENTS
    for moment in [*moments, *after]:
        index = quick_copy(tmp_path / f"killed at {moment}")
        status, _ = run(operation, index, moment)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, moment
        switched = moment > last
        assert numbers(index) == (CHANGED[operation] if switched else PRESENT), moment
        with FolderStore.open(index) as store:
            assert store.manifest.generation == (3 if switched else 2)
            assert store.manifest.documents == {"settings": {"threshold": 0.5}}
        assert verify(index).problems == (), moment
        if not switched:
            # The lock died with its holder, and what was left behind is in nobody's way.
            status, _ = run(operation, index)
            assert status == 0
        else:
            with writing(index, "sweeping"):
                pass
        assert numbers(index) == CHANGED[operation]
        found = verify(index)
        assert found.problems == found.notes == (), moment


def read_on(index, stop, answers):
    """Open the index again and again, look at each generation with some delay."""
    generations = []
    try:
        while not stop.is_set():
            with FolderStore.open(index) as store:
                # The writer goes on meanwhile, and removes what this generation is made of.
                time.sleep(0.002 * (len(generations) % 5))
                named = [int(name.removesuffix(".jpg")) for name in store.places.images()]
                values = store.matrix[store.rows]
                assert len(named) == store.manifest.count
                assert values.shape == (len(named), 8)
                assert (values == np.array(named)[:, None]).all()
                path = store.structure_path()
                if path is not None:
                    said = f"{store.manifest.structure['rows']} rows".encode()
                    assert path.read_bytes() == said
                generations.append(store.manifest.generation)
        answers.put(generations)
    except BaseException:
        answers.put(traceback.format_exc())


def write_on(index, numbered, rounds):
    random = np.random.default_rng(0)
    following = 100
    for turn in range(rounds):
        with writing(index, "writing on") as writer:
            places, rows = numbered(following, following + 20)
            writer.append(places, np.split(rows, 4))
            following += 20
            if turn % 2:
                writer.remove(random.choice(len(writer.places), 15, replace=False))
            if turn % 5 == 4:
                writer.rewrite([np.array(writer.matrix[writer.rows])], 8, "16")
            if turn % 3 == 0:
                covered = len(writer.matrix)
                said = f"{covered} rows".encode()
                writer.put_structure(lambda file, said=said: file.write(said), {"rows": covered})
            writer.commit()
        yield


def test_two_readers_beside_a_writer_see_whole_generations(index, numbered):
    # The template's structure says something else.
    with writing(index, "preparing") as writer:
        writer.drop_structure()
        writer.commit()
    forking = multiprocessing.get_context("fork")
    stop, answers = forking.Event(), forking.Queue()
    readers = [
        forking.Process(target=read_on, args=(index, stop, answers), daemon=True) for _ in range(2)
    ]
    for reader in readers:
        reader.start()
    for _ in write_on(index, numbered, 40):
        pass
    stop.set()
    seen = [answers.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(timeout=60)
    for generations in seen:
        assert isinstance(generations, list), generations
        assert generations == sorted(generations)
        # Otherwise the readers were not there while the writer wrote.
        assert len(set(generations)) > 10
    assert verify(index).problems == ()
    assert verify(index).notes == ()
