"""A place index in Milvus, against Milvus Lite: the embedded engine of the same client."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pymilvus", reason="needs netvlad[milvus]")
pytest.importorskip("milvus_lite", reason="Milvus Lite is not there for this platform")

from netvlad.errors import SettingsError, StorageError
from netvlad.index.address import engine_of
from netvlad.index.places import Places
from netvlad.index.stores.milvus.client import milvus_address
from netvlad.index.stores.milvus.rows import to_vector
from netvlad.index.stores.milvus.store import MilvusStore
from netvlad.index.where import Where
from netvlad.models import PlaceModel
from netvlad.models.fingerprints import model_fingerprint

COUNT = 300
TAGS = ("dusk", 'say "so"', "back\\slash", "naïve\n", "it's", "100%")
Address = Callable[[str], str]


def unit_rows(count: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random_places(count: int, seed: int = 0) -> Places:
    """Places all over the world, headings beyond a turn, a quarter of everything unknown."""
    random = np.random.default_rng(seed)
    columns = {
        "latitude": random.uniform(-90, 90, count),
        "longitude": random.uniform(-180, 180, count),
        "altitude": random.normal(size=count),
        "heading": random.integers(-400, 800, count).astype(float),
        "time": random.integers(0, 100, count).astype(float),
    }
    for values in columns.values():
        values[random.random(count) < 0.25] = np.nan
    sizes = {
        "size_bytes": np.arange(count),
        "mtime_ns": np.arange(count) + 1_700_000_000_123_456_789,
    }
    tags = [tuple(random.choice(TAGS, random.integers(0, 3), replace=False)) for _ in range(count)]
    return Places.of([f"/photos/ä {i}.jpg" for i in range(count)], {**columns, **sizes}, tags=tags)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Addresses of collections in one file of Milvus Lite."""
    file = tmp_path_factory.mktemp("milvus") / "lite.db"
    yield lambda collection: f"milvus://{file}/{collection}"
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(str(file))


@pytest.fixture(scope="module")
def filled(address: Address, quick_model: PlaceModel) -> tuple[MilvusStore, Places, np.ndarray]:
    """An index that no test changes."""
    store = MilvusStore.create(milvus_address(address("filled")), quick_model)
    places, rows = random_places(COUNT), unit_rows(COUNT, store.dim, 1)
    store.append(places, [rows[:100], rows[100:]])
    return store, places, rows


@pytest.fixture
def changing(
    address: Address, quick_model: PlaceModel, request: pytest.FixtureRequest
) -> tuple[MilvusStore, Places, np.ndarray]:
    """An index of 20 places that this test alone has."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())
    store = MilvusStore.create(milvus_address(address(name)), quick_model)
    places, rows = random_places(20, seed=5), unit_rows(20, store.dim, 2)
    store.append(places, [rows])
    return store, places, rows


def assert_same(found: Places, expected: Places) -> None:
    # As text, because NaN is not equal to itself.
    assert repr(found.table.to_pylist()) == repr(expected.table.to_pylist())


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETVLAD_MILVUS_TOKEN", "an-api-key")
    server = milvus_address("milvus://host/town")
    assert (server.uri, server.collection) == ("http://host:19530", "town")
    assert server.token == "an-api-key" and not server.embedded
    user = milvus_address("milvus+tls://ann:s%2Fcret@host:443/town")
    assert (user.uri, user.token) == ("https://host:443", "ann:s/cret")
    assert "cret" not in f"{user} {user!r} {server!r}" and "api-key" not in repr(server)
    for text in ("milvus:///a b/file.db/town", Path("milvus:///a b/file.db/town")):
        lite = milvus_address(text)
        assert (lite.uri, lite.collection, lite.embedded) == ("/a b/file.db", "town", True)
    assert engine_of(Path("milvus://host/town")) and not engine_of("milvus.index")
    for wrong in ("host", "host/", "host/a-b", "host/a/b", "a:secret@host:port/town", "/file/town"):
        with pytest.raises(SettingsError, match="milvus://HOST:19530/COLLECTION") as refused:
            milvus_address(f"milvus://{wrong}")
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("queries", [1, 3])
def test_search_is_brute_force(filled, queries: int) -> None:
    store, _, rows = filled
    asked = unit_rows(queries, store.dim, 3)
    found = store.search(asked, COUNT + 5)
    squared = ((asked[:, None] - rows[None]) ** 2).sum(axis=2)
    order = np.argsort(squared, axis=1)
    names = [[store.place(i)["image"] for i in row if i >= 0] for row in found.indices.tolist()]
    assert names == [[f"/photos/ä {i}.jpg" for i in row] for row in order]
    np.testing.assert_allclose(
        found.squared_distances[:, :COUNT], np.sort(squared, axis=1), atol=1e-5
    )
    assert np.isinf(found.squared_distances[:, COUNT:]).all()


CONDITIONS = [
    Where(bounding_box=(-30.5, -100.25, 60.0, 20.0)),
    Where(bounding_box=(-90.0, 150.0, 90.0, -120.5)),
    Where(after=30.0),
    Where(before=30.0),
    Where(after=20.0, before=20.5),
    Where(before=-np.inf),
    Where(before=np.inf),
    Where(after=-np.inf),
    Where(after=np.inf),
    *(Where(tags=(tag,)) for tag in TAGS),
    Where(tags=("dusk", "it's", "nobody has this")),
    Where(tags=("nobody has this",)),
    Where(heading=(10.0, 45.0)),
    Where(heading=(-350.0, 45.0)),
    Where(heading=(200.0, 0.0)),
    Where(heading=(90.0, 90.0)),
    Where(heading=(90.0, 180.0)),
    Where(heading=(np.nan, 20.0)),
    Where((-60.0, 100.0, 60.0, -100.0), 10.0, 90.0, TAGS[:3], (300.0, 100.0)),
]


@pytest.mark.parametrize("where", CONDITIONS, ids=str)
def test_the_server_meets_conditions_as_the_mask_does(filled, where: Where) -> None:
    store, places, rows = filled
    found = store.search(rows[:1], COUNT, where).indices[0]
    expected = {places.image(i) for i in np.flatnonzero(where.mask(places))}
    assert {store.place(i)["image"] for i in found.tolist() if i >= 0} == expected


def test_random_boxes_and_directions(filled) -> None:
    store, places, rows = filled
    random = np.random.default_rng(4)
    met = 0
    for _ in range(25):
        south, north = sorted(random.uniform(-90, 90, 2))
        west, east = random.uniform(-180, 180, 2)
        where = Where(
            bounding_box=(south, west, north, east),
            heading=(float(random.integers(0, 360)), float(random.integers(0, 180))),
        )
        found = store.search(rows[:1], COUNT, where).indices[0]
        expected = {places.image(i) for i in np.flatnonzero(where.mask(places))}
        assert {store.place(i)["image"] for i in found.tolist() if i >= 0} == expected
        met += len(expected)
    assert met > 100


def test_what_was_put_in_comes_out_in_its_order_for_any_client(filled, quick_model) -> None:
    first, places, rows = filled
    store = MilvusStore.open(first.address)
    assert len(store) == COUNT
    assert_same(store.places, places)
    np.testing.assert_array_equal(store.descriptors(store.numbers), rows)
    assert store.place(int(store.numbers[7])) == places.row(7)
    assert store.model_fingerprint == model_fingerprint(store.load_model())
    assert store.model_fingerprint == model_fingerprint(quick_model)


def test_a_photo_is_there_once_however_often_it_is_added(changing) -> None:
    store, places, _ = changing
    before = store.numbers
    more = places.take(np.array([3, 4, 4])).joined(random_places(21, seed=5).take(np.array([20])))
    new = unit_rows(4, store.dim, 9)
    store.append(more, [new])
    assert len(store) == 21 and set(before) < set(store.numbers)
    # Those added again are the last, as in a folder; the first of two namesakes counts.
    assert [name.split()[-1] for name in store.places.images()[-3:]] == ["3.jpg", "4.jpg", "20.jpg"]
    np.testing.assert_array_equal(store.descriptors(store.numbers)[-3:], new[[0, 1, 3]])
    # Frames without a file are places of their own.
    frame = Places.of(["frame"], {"time": np.array([1.0])})
    store.append(frame, [new[:1]])
    store.append(frame, [new[:1]])
    assert len(store) == 23 and store.places.images().count("frame") == 2


def test_facts_change_without_descriptors(changing) -> None:
    store, places, rows = changing
    moved = Places.of(places.images()[:2], {"latitude": np.array([1.5, 2.5])}, tags=[("x",), ()])
    store.update(store.numbers[:2], moved)
    assert_same(store.places, moved.joined(places.take(np.arange(2, 20))))
    np.testing.assert_array_equal(store.descriptors(store.numbers), rows)


def test_what_is_removed_is_gone(changing) -> None:
    store, places, rows = changing
    other = MilvusStore.open(store.address)
    assert len(other) == 20
    chosen = np.array([0, 7, 19])
    gone = store.numbers[chosen]
    assert store.remove(lambda there: chosen) == 3
    kept = np.setdiff1d(np.arange(20), chosen)
    assert_same(store.places, places.take(kept))
    assert set(gone).isdisjoint(store.search(rows[:3], 20).indices.ravel())
    # Who had counted before does not meet them either, and counts anew when told to look.
    assert set(gone).isdisjoint(other.search(rows[:3], 20).indices.ravel())
    other.refresh()
    assert len(other) == 17
    with pytest.raises(StorageError, match="was removed"):
        store.place(int(gone[0]))


def test_a_killed_addition_leaves_whole_places(changing) -> None:
    store, _, _ = changing
    more = random_places(60, seed=6)
    more = more.take(np.arange(20, 60))
    new = unit_rows(40, store.dim, 7)

    def killed() -> Iterator[np.ndarray]:
        yield new[:16]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.append(more, killed())
    reader = MilvusStore.open(store.address)
    assert_same(reader.places.take(np.arange(20, 36)), more.take(np.arange(16)))
    np.testing.assert_array_equal(reader.descriptors(reader.numbers)[20:], new[:16])
    store.append(more, [new])
    assert len(store) == 60 == len(set(store.places.images()))


def test_descriptors_that_do_not_fit_are_refused(changing) -> None:
    store, places, rows = changing
    for block, reason in (
        (np.full_like(rows, np.nan), "descriptor 0 .* not finite"),
        (rows[:, :5], r"length 112, but was given an array of shape \(20, 5\)"),
        (rows[:7], "was given 7 of 20 descriptors"),
    ):
        with pytest.raises(StorageError, match=reason):
            store.append(places, [block])


def test_documents_and_damage(changing) -> None:
    store, _, _ = changing
    store.put_document("calibration", {"slope": 1.5})
    store.put_document("calibration", {"slope": 2.5})
    store.put_document("other", ["ä"])
    opened = MilvusStore.open(store.address)
    assert dict(opened.documents) == {"calibration": {"slope": 2.5}, "other": ["ä"]}
    with pytest.raises(StorageError, match="at most 48,000"):
        store.put_document("long", "x" * 50_000)
    files = f"{store.address.collection}_files"
    # A part of the model is lost, then another's content.
    client = store._client
    row = client.get(files, ids=["model/model.safetensors/000003"])[0]
    client.delete(files, ids=[row["key"]])
    with pytest.raises(StorageError, match=r"model\.safetensors is incomplete or damaged"):
        opened.load_model()
    client.upsert(files, [{**row, "content": "AAAA" + row["content"][4:]}])
    with pytest.raises(StorageError, match=r"model\.safetensors is incomplete or damaged"):
        opened.load_model()
    client.upsert(files, [row])
    opened.load_model()


def test_what_is_no_index_is_left_alone(changing, quick_model, address: Address) -> None:
    store, _, _ = changing
    with pytest.raises(StorageError, match="holds an index already; use `netvlad index add`"):
        MilvusStore.create(store.address, quick_model)
    client = store._client
    client.create_collection("foreign", dimension=4)
    for action in (MilvusStore.open, MilvusStore.check_free):
        with pytest.raises(StorageError):
            action(milvus_address(address("foreign")))
    assert client.has_collection("foreign")
    # A build that was stopped before it was an index is begun anew; places are never dropped.
    client.delete(f"{store.address.collection}_files", ids=["index.json/000000"])
    with pytest.raises(StorageError, match="build was stopped"):
        MilvusStore.open(store.address)
    with pytest.raises(StorageError, match="places without their model"):
        MilvusStore.create(store.address, quick_model)
    client.delete(store.address.collection, filter="number >= 0")
    assert len(MilvusStore.create(store.address, quick_model)) == 0


def test_troubles_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError) as unreachable:
        MilvusStore.open(milvus_address("milvus://ann:secret@127.0.0.1:9/town"))
    said = str(unreachable.value)
    assert said.startswith("milvus://127.0.0.1:9/town: cannot be reached; start the server")
    assert "secret" not in said and "\n" not in said
    with pytest.raises(StorageError, match=r"town\.db: does not exist"):
        MilvusStore.open(milvus_address(f"milvus://{tmp_path}/town.db/town"))
    assert not (tmp_path / "town.db").exists()
    (tmp_path / "busy.db").mkdir()
    with (tmp_path / "busy.db/LOCK").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="one process at a time"):
            MilvusStore.open(milvus_address(f"milvus://{tmp_path}/busy.db/town"))
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(SettingsError, match=r"pip install 'netvlad\[milvus\]'"):
        MilvusStore.open(milvus_address("milvus://127.0.0.1:9/town"))


def test_a_server_is_asked_for_more_and_ranked_anew(
    filled, address: Address, quick_model: PlaceModel
) -> None:
    """Milvus Lite's own server, spoken to over the network with the settings of a real one."""
    from milvus_lite.server_manager import server_manager_instance

    uri = server_manager_instance.start_and_get_uri(milvus_address(address("x")).uri)
    served = milvus_address(f"milvus://{uri.removeprefix('http://')}/served")
    assert not served.embedded
    store = MilvusStore.create(served, quick_model, storage="32")
    _, places, rows = filled
    store.append(places, [rows])
    asked = unit_rows(4, store.dim, 8)
    found = store.search(asked, 5)
    squared = ((asked[:, None] - rows[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(found.squared_distances, np.sort(squared, axis=1)[:, :5], atol=1e-5)


def test_half_precision_comes_back_as_bytes() -> None:
    row = unit_rows(1, 16, 0)[0].astype(np.float16)
    for value in (row.tobytes(), [row.tobytes()], row, row.tolist()):
        np.testing.assert_array_equal(to_vector(value), row.astype(np.float32))


def test_another_process_answers_with_nothing_but_the_address(
    tmp_path: Path, quick_model: PlaceModel
) -> None:
    """The index is written here and read there."""
    from milvus_lite.server_manager import server_manager_instance

    location = f"milvus://{tmp_path}/one.db/places"
    store = MilvusStore.create(milvus_address(location), quick_model)
    places, rows = random_places(10), unit_rows(10, store.dim, 0)
    store.append(places, [rows])
    program = f"""
import json, numpy as np
from netvlad import PlaceIndex
index = PlaceIndex.open({location!r})
frame = np.arange(96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8)
answer = index.locate(frame, k=3)
print(json.dumps([[p.image, p.score] for p in answer.places]))
"""
    store.close()
    server_manager_instance.release_server(f"{tmp_path}/one.db")
    alone = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert alone.returncode == 0, alone.stderr
    answer = json.loads(alone.stdout)
    frame = np.arange(96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8)
    similarity = rows @ quick_model.describe(frame)
    best = np.argsort(-similarity)[:3]
    assert [image for image, _ in answer] == [places.image(i) for i in best]
    np.testing.assert_allclose([score for _, score in answer], similarity[best], atol=1e-4)
