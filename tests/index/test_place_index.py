import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.made_photos import mosaic, position_of, write_photo

from netvlad import PlaceIndex, Where, describe
from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.images import read_image
from netvlad.index.answer import Question
from netvlad.index.ray.cluster import RayCluster
from netvlad.index.stores import verify
from netvlad.models import PlaceModel
from netvlad.types import ImageSet, Note, Progress


@pytest.fixture(scope="module")
def built(photos: Path, quick_model: PlaceModel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "my.index"
    PlaceIndex.build(photos / "map", quick_model, output=folder)
    return folder


def test_the_index_finds_the_place_as_a_brute_force_search_does(
    built: Path, photos: Path, quick_model: PlaceModel
) -> None:
    index = PlaceIndex.open(built)
    assert len(index) == 80 and index.places.has_position.all()
    names = sorted((photos / "map").iterdir())
    rows = describe(quick_model, ImageSet(Path(), tuple(map(str, names)))).values
    queries = sorted((photos / "queries").iterdir())
    answers = index.locate_all(queries, Question(rerank=False))
    right = 0
    for place, (query, answer) in enumerate(zip(queries, answers, strict=True)):
        similarity = rows @ quick_model.describe(query)
        best = np.sort(similarity)[::-1][:5]
        # Half precision may swap two that are nearly as similar.
        own = [similarity[names.index(Path(found.image))] for found in answer.places]
        np.testing.assert_allclose(own, best, atol=1e-3)
        np.testing.assert_allclose([found.score for found in answer.places], own, atol=1e-3)
        first = answer.places[0]
        right += Path(first.image).name.startswith(f"{place:02d}")
        assert first.distance_m is not None and answer.position is not None
        assert 0 <= answer.probability <= 1
        # Asked alone the answer is the same.
        if place % 13 == 0:
            alone = index.locate(query, rerank=False)
            assert [p.image for p in alone.places] == [p.image for p in answer.places]
    assert right >= 36


def test_positions_times_and_headings_come_from_the_photos(built: Path) -> None:
    row = PlaceIndex.open(built).places.row(7)
    assert row["image"].endswith("03_1.jpg")
    assert (row["latitude"], row["longitude"]) == pytest.approx(position_of(3), abs=1e-7)
    assert row["heading"] == pytest.approx(27.0) and row["time"] == 1717156800.0


def test_conditions_limit_what_is_returned(built: Path, photos: Path) -> None:
    index = PlaceIndex.open(built)
    query = photos / "queries/05.jpg"
    east = Where(bounding_box=(52.0, 0.1395, 53.0, 1.0))
    for answer in (
        index.locate(query, k=50, where=east),
        index.locate(query, k=50, heading=45.0, heading_deg=9.0),
        index.locate(query, k=50, where=Where(after=2e9)),
    ):
        longitudes = [place.longitude for place in answer.places]
        headings = [place.heading for place in answer.places]
        if answer.query and len(longitudes) == 40:
            assert min(longitudes) > 0.1395
        else:
            assert len(longitudes) in (0, 6)
            assert {round(h) for h in headings} <= {36, 45, 54}
    with pytest.raises(SettingsError, match="heading is unknown"):
        index.locate(read_image(query), heading_deg=9.0)


def test_adding_describes_only_what_is_new_or_changed(
    photos: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    shutil.copytree(photos / "map", tmp_path / "map")
    index = PlaceIndex.build(tmp_path / "map", quick_model, output=tmp_path / "i")
    write_photo(tmp_path / "map/new.jpg", mosaic(77, 0), position_of(77))
    write_photo(tmp_path / "map/00_0.jpg", mosaic(78, 0), position_of(78))
    (tmp_path / "map/broken.jpg").write_bytes(b"\xff\xd8 not really")
    change = index.add(tmp_path / "map")
    assert (change.added, change.replaced, change.unchanged) == (1, 1, 79)
    assert [image.error.path.name for image in change.skipped] == ["broken.jpg"]
    assert len(index) == 81 and not verify(tmp_path / "i").problems
    for place in (77, 78):
        name = {77: "new.jpg", 78: "00_0.jpg"}[place]
        answer = index.locate(tmp_path / "map" / name, k=1)
        assert answer.places[0].longitude == pytest.approx(position_of(place)[1], abs=1e-7)
        assert answer.places[0].score > 0.999
    # Nobody is left to say that 00_0.jpg shows place 0.
    places = index.locate(photos / "map/00_0.jpg", k=81).places
    assert max(place.score for place in places) < 0.999
    again = index.add(tmp_path / "map")
    assert (again.added, again.replaced, again.unchanged, again.updated) == (0, 0, 81, 0)


def test_a_table_brings_positions_up_to_date_without_describing(
    photos: Path, quick_model: PlaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = PlaceIndex.build(photos / "map", quick_model, output=tmp_path / "i")
    table = tmp_path / "positions.csv"
    table.write_text("image,latitude,longitude,tags\n03_1.jpg,10.5,20.5,old;dusk\n")
    monkeypatch.setattr(PlaceModel, "forward", lambda *_: pytest.fail("described"))
    change = index.add(photos / "map", positions=table)
    assert (change.added, change.unchanged, change.updated) == (0, 80, 1)
    row = index.places.row(7)
    assert (row["latitude"], row["longitude"], row["tags"]) == (10.5, 20.5, ["old", "dusk"])
    assert "79 of 80 photos are not in positions.csv" in " ".join(change.notes)


def test_removing_by_file_by_folder_and_by_absence(
    photos: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    for part in ("a", "b"):
        shutil.copytree(photos / "queries", tmp_path / part)
    index = PlaceIndex.build([tmp_path / "a", tmp_path / "b"], quick_model, output=tmp_path / "i")
    assert len(index) == 80
    assert index.remove([tmp_path / "a/03.jpg"]) == 1
    assert index.remove([tmp_path / "b"]) == 40
    (tmp_path / "a/04.jpg").unlink()
    assert index.remove_missing() == 1
    left = {Path(name).name for name in index.places.images()}
    assert left == {f"{i:02d}.jpg" for i in range(40)} - {"03.jpg", "04.jpg"}
    with pytest.raises(DataError, match=r"03\.jpg: is not in the index"):
        index.remove([tmp_path / "a/03.jpg"])
    answer = index.locate(photos / "queries/03.jpg", k=50)
    assert len(answer.places) == 38


def test_memory_and_disk_answer_alike(
    photos: Path, quick_model: PlaceModel, tmp_path: Path, built: Path
) -> None:
    memory = PlaceIndex.build(photos / "map", quick_model)
    memory.save(tmp_path / "saved", storage="32")
    saved, query = PlaceIndex.open(tmp_path / "saved"), photos / "queries/11.jpg"
    first, second = memory.locate(query), saved.locate(query)
    assert [p.image for p in first.places] == [p.image for p in second.places]
    assert first.probability == pytest.approx(second.probability, abs=1e-4)
    assert first.position.latitude == pytest.approx(second.position.latitude, abs=1e-7)
    assert not verify(tmp_path / "saved").problems
    with pytest.raises(StorageError, match="already holds an index"):
        memory.save(tmp_path / "saved")
    with pytest.raises(SettingsError, match="on disk already"):
        saved.save(tmp_path / "other")


def test_a_robot_does_not_meet_what_it_has_just_seen(quick_model: PlaceModel) -> None:
    index = PlaceIndex.in_memory(quick_model)
    # Places 0 to 9, then the same way again: a loop.
    for second, place in enumerate([*range(10), *range(10, 15)]):
        index.add(mosaic(place, 0), position=position_of(place), time=float(second))
    frame = mosaic(14, 1)
    now = index.locate(frame, time=15.0, k=3)
    assert now.places[0].time == 14.0
    later = index.locate(frame, time=15.0, k=15, exclude_last_s=5)
    assert {place.time for place in later.places} == set(map(float, range(10)))
    loop = index.locate(mosaic(2, 1), time=15.0, exclude_last_s=5, min_probability=0.0)
    assert loop.places[0].time == 2.0
    # Ten places that were not verified are too few to tell.
    assert loop.verdict == "cannot-tell" and loop.probability is None
    assert loop.places[0].image == "frame-000002"
    # Without a time the latest place's counts.
    assert 14.0 not in {p.time for p in index.locate(frame, k=15, exclude_last_s=1).places}


def test_a_killed_build_goes_on_with_what_it_had_described(
    photos: Path, quick_model: PlaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr("netvlad.index.build.writing", killed)
        PlaceIndex.build(photos / "map", quick_model, output=tmp_path / "i")
    with pytest.raises(StorageError):
        PlaceIndex.open(tmp_path / "i")
    monkeypatch.setattr(PlaceModel, "forward", lambda *_: pytest.fail("described again"))
    index = PlaceIndex.build(photos / "map", quick_model, output=tmp_path / "i")
    assert len(index) == 80 and not (tmp_path / "i/.work").exists()


def test_what_cannot_become_an_index_is_refused(
    photos: Path, quick_model: PlaceModel, tmp_path: Path, built: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: has no images"):
        PlaceIndex.build(tmp_path / "empty", quick_model, output=tmp_path / "i")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/text.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"none of 1 photos can be used \(the first: .*text\.jpg"):
        PlaceIndex.build(tmp_path / "bad", quick_model, output=tmp_path / "i")
    assert not (tmp_path / "i").exists()
    with pytest.raises(StorageError, match="netvlad index add"):
        PlaceIndex.build(photos / "map", quick_model, output=built)
    with pytest.raises(StorageError, match="holds something else"):
        PlaceIndex.build(photos / "map", quick_model, output=photos)


def test_a_cluster_writes_into_a_folder_only(photos: Path, quick_model: PlaceModel) -> None:
    cluster = RayCluster()
    for output in (None, "milvus:///tmp/nowhere.db/places"):
        with pytest.raises(SettingsError, match="needs output: the folder"):
            PlaceIndex.build(photos, quick_model, output=output, cluster=cluster)


def test_the_default_model_is_learned_from_the_photos_and_kept(
    photos: Path, tmp_path: Path
) -> None:
    index = PlaceIndex.build(photos / "map", output=tmp_path / "i")
    before = index.store.snapshot.manifest.model_fingerprint
    assert index.model.spec.pooling == "netvlad" and index.model.spec.num_clusters == 32
    assert index.model.spec.whitened_directions == len(index) // 4
    query = min((photos / "queries").iterdir())
    place = index.locate(query).places[0]
    described = index.model.describe([query, place.image])
    assert place.score == pytest.approx(float(described[0] @ described[1]), abs=2e-3)
    memory = PlaceIndex.build(photos / "map", features="none")
    assert memory.locate(query).places[0].score == pytest.approx(place.score, abs=2e-3)
    plain = PlaceIndex.build(photos / "map", output=tmp_path / "plain", whiten=0)
    assert plain.model.spec.whitened_directions is None
    index.add(photos / "queries")
    assert index.store.snapshot.manifest.model_fingerprint == before
    few = PlaceIndex.build(sorted((photos / "map").iterdir())[:31])
    assert few.model.spec.pooling == "avg"


@pytest.mark.parametrize("kind", ["copies", "broken"])
def test_the_default_model_takes_what_photos_there_are(
    kind: str, photos: Path, tmp_path: Path
) -> None:
    """Copies, as of a camera that stands still, or hardly a photo that can be read."""
    folder = tmp_path / kind
    folder.mkdir()
    for number, photo in enumerate(sorted((photos / "map").iterdir())[:40]):
        content = photo.read_bytes()
        if kind == "copies":
            content = min((photos / "map").iterdir()).read_bytes()
        elif number % 10:
            content = content[:500]
        (folder / photo.name).write_bytes(content)
    for output in (tmp_path / "i", None):
        index = PlaceIndex.build(folder, output=output)
        assert len(index) == (40 if kind == "copies" else 4)
        assert index.locate(min(folder.iterdir())).places[0].score > 0.99


def test_whitened_descriptors_are_smaller_and_queries_are_whitened_too(
    photos: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    index = PlaceIndex.build(photos / "map", quick_model, output=tmp_path / "i", whiten=24)
    assert index.store.dim == index.model.descriptor_dim == 24
    answer = index.locate(photos / "map/09_1.jpg", k=1)
    assert answer.places[0].image.endswith("09_1.jpg") and answer.places[0].score > 0.999


def test_names_that_nobody_gave_are_given_once(quick_model: PlaceModel, tmp_path: Path) -> None:
    """Whatever was removed, and whatever people call their own places, in memory and on disk."""
    frames = [mosaic(place, 0) for place in range(9)]
    index = PlaceIndex.in_memory(quick_model)
    for frame in frames[:3]:
        index.add(frame)
    index.remove(["frame-000000"])
    index.add(frames[3])
    index.add(frames[4], name="frame-000007")
    index.add(frames[5])
    index.remove(["frame-000008"])
    index.add(frames[6])
    expected = [f"frame-00000{n}" for n in (1, 2, 3, 7, 9)]
    assert index.places.images() == expected
    index.save(tmp_path / "i")
    saved = PlaceIndex.open(tmp_path / "i")
    saved.remove(["frame-000001"])
    saved.add(frames[7])
    assert saved.places.images() == [*expected[1:], "frame-000010"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed on Linux")
def test_an_index_that_grows_keeps_no_old_files_open(
    built: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    def open_below(folder: Path) -> int:
        links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum(link.is_relative_to(folder) for link in links)

    shutil.copytree(built, tmp_path / "i")
    index = PlaceIndex.open(tmp_path / "i")
    counts, held = [], []
    for place in range(90, 95):
        held.append((index.store.snapshot, index.places))  # whoever still looks at an old one
        index.add(mosaic(place, 0))
        assert index.locate(mosaic(place, 0), k=1).places[0].score > 0.999
        counts.append(open_below(tmp_path / "i"))
    assert counts[0] > 0 and len(set(counts)) == 1, counts
    assert [len(places) for _, places in held] == [80, 81, 82, 83, 84]


def test_a_second_build_leaves_the_work_of_the_first_alone(
    photos: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    """Of another model or other photos: what the first has described is not stale, it is in use."""
    refused = []

    def second_build(event: Progress | Note) -> None:
        if isinstance(event, Progress) and event.stage == "Describing photos" and not refused:
            work = set((tmp_path / "i/.work").iterdir())
            with pytest.raises(StorageError, match="another process is describing photos here"):
                PlaceIndex.build(photos / "queries", quick_model, output=tmp_path / "i")
            assert set((tmp_path / "i/.work").iterdir()) == work and len(work) >= 2
            refused.append(event)

    index = PlaceIndex.build(
        photos / "map", quick_model, output=tmp_path / "i", report=second_build
    )
    assert refused and len(index) == 80 and not (tmp_path / "i/.work").exists()


def test_an_index_says_what_it_is_and_lets_go_of_its_files(
    built: Path, photos: Path, quick_model: PlaceModel
) -> None:
    files = Path("/proc/self/maps")
    with PlaceIndex.open(built) as index:
        assert repr(index) == f"PlaceIndex('{built}', 80 places, efficientnet-lite0 avg, 112-D)"
        index.locate(photos / "queries/11.jpg")
        assert str(built) in files.read_text()
    assert str(built) not in files.read_text()
    one = PlaceIndex.build(photos / "queries/11.jpg", quick_model)
    assert repr(one).startswith("PlaceIndex('index in memory', 1 place, ")


def test_stores_say_alike_what_they_hold(
    photos: Path, quick_model: PlaceModel, tmp_path: Path
) -> None:
    memory = PlaceIndex.build(photos / "map", quick_model)
    memory.store.put_document("note", {"seen": 1})
    memory.save(tmp_path / "saved", storage="32")
    folder = PlaceIndex.open(tmp_path / "saved")
    ours, theirs = memory.store.figures(), folder.store.figures()
    assert {name: theirs[name] for name in ours} == ours
    assert memory.store.model_spec() == folder.store.model_spec()
    assert folder.store.documents == memory.store.documents
    numbers = folder.store.numbers
    np.testing.assert_array_equal(
        folder.store.descriptors(numbers), memory.store.descriptors(memory.store.numbers)
    )
    assert "32 bits" in memory.store.summary() and "32 bits" in folder.store.summary()
    folder.store.put_document("other", [2])
    assert PlaceIndex.open(tmp_path / "saved").store.documents["other"] == [2]


def test_an_image_set_is_refused_in_a_line(quick_model: PlaceModel) -> None:
    with pytest.raises(SettingsError, match=r"of type ImageSet; give paths .*images\.path\(i\)"):
        PlaceIndex.build(ImageSet(Path(), ("a.jpg",)), quick_model)
