"""The named protocols, and what each field of the record does to a result."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.made_traverses import (
    DATABASE,
    QUERIES,
    descriptors,
    two_cities,
    without_labels,
)

from netvlad.datasets import DATASETS
from netvlad.errors import DataError, SettingsError
from netvlad.evaluation.applying import apply
from netvlad.evaluation.by_protocol import evaluate_prepared
from netvlad.evaluation.protocol_record import (
    Frames,
    LabelFilter,
    Listed,
    Protocol,
    Radius,
    Suppression,
)
from netvlad.evaluation.protocols import PROTOCOLS, find_protocol, protocol_for
from netvlad.evaluation.resizing import Resizing
from netvlad.images import load_batches
from netvlad.types import ImageSet, Neighbours, PlaceDataset

BASE = Protocol(name="base")


def evaluated(protocol, dataset=None, cutoffs=(1, 2)):
    return evaluate_prepared(
        apply(protocol, dataset or two_cities()),
        descriptors(DATABASE),
        descriptors(QUERIES),
        cutoffs=cutoffs,
    )


@pytest.mark.parametrize(
    ("name", "right", "counted"),
    [
        # q0, q1, q2: its own city's image is the nearest to each.
        ("msls-val/official-740-per-city", 3, 3),
        # q0 is answered with a picture of San Francisco.
        ("msls-val/gsv-740-one-index", 2, 3),
        # Besides q1 and q2 also q4 is right; q0 and q5 are wrong, and q3 has no positive.
        ("msls-val/all-queries", 3, 6),
    ],
)
def test_one_fixture_has_three_recalls_under_the_msls_protocols(name, right, counted):
    result = evaluated(PROTOCOLS[name])
    assert result.recalls.at[1] == right / counted
    assert result.recalls.num_queries == counted
    assert result.recalls.num_database == 5
    # It is no copy of the real data, and says so.
    assert any("figures do not compare" in note for note in result.prepared.notes)


# By hand: recall@1 and @2 of BASE and of BASE with one field changed, over so many queries.
OF_BASE = (2 / 7, 4 / 7)
RULES = {
    # 100 m off: s1, the first answer to q5 and the second to q6.
    "positives": (Radius(150.0), (3 / 7, 6 / 7)),
    "count": ("with-positive", (2 / 6, 4 / 6)),
    "query_filters": ((LabelFilter("subtask", ("all",)),), (1 / 5, 3 / 5)),
    "database_filters": ((LabelFilter("panorama", ("0",)),), (3 / 7, 4 / 7)),
    # q0 and q2 find their own; in San Francisco s0 is the second answer to q6.
    "index_per": ("city", (4 / 7, 5 / 7)),
    # Of c1, c2, s1, s2 only the nearest: q2 loses s2, q5 and q6 gain s0.
    "suppression": (Suppression("scene", 4), (2 / 7, 5 / 7)),
    "exclude_same_time": (True, (1 / 7, 3 / 7)),
    "query_version": ("v1", (2 / 6, 4 / 6)),
}
OTHER_FIELDS = {
    *("name", "description", "papers", "datasets"),  # test_prose_...
    *("resizing", "query_resizing"),  # test_resizing_...
    "published",  # test_counts_...
}


def test_every_field_is_tested():
    assert set(RULES) | OTHER_FIELDS == {field.name for field in fields(Protocol)}


def test_the_fixture_under_plain_rules():
    assert tuple(evaluated(BASE).recalls.at.values()) == OF_BASE


@pytest.mark.parametrize("field", RULES)
def test_changing_a_rule_changes_the_result(field):
    value, expected = RULES[field]
    changed = replace(BASE, **{field: value})
    assert tuple(evaluated(changed).recalls.at.values()) == expected
    assert changed.fingerprint != BASE.fingerprint


def test_prose_is_told_with_the_result_and_datasets_are_checked():
    told = Protocol(name="other", description="words", papers=("paper",), datasets=("msls",))
    content = evaluated(told).to_json()["protocol"]
    assert (content["name"], content["description"], content["papers"], content["datasets"]) == (
        "other",
        "words",
        ["paper"],
        ["msls"],
    )
    # The rules are those of BASE, whatever they are called.
    assert told.fingerprint == BASE.fingerprint
    with pytest.raises(SettingsError, match="base is for tokyo247, not for msls"):
        evaluated(replace(BASE, datasets=("tokyo247",)))


def test_counts_that_differ_from_the_published_ones_are_noted():
    assert evaluated(replace(BASE, published=(6, 7))).prepared.notes == ()
    (note,) = evaluated(replace(BASE, published=(6, 8))).prepared.notes
    assert "6 database images and 7 queries count" in note and "6 and 8" in note


@pytest.mark.parametrize(
    ("resizing", "size"),
    [
        (Resizing("native"), (40, 80)),
        (Resizing("model"), (10, 30)),
        (Resizing("square", (16,)), (16, 16)),
        (Resizing("long-side", (20,)), (10, 20)),
        (Resizing("height-width", (24, 12)), (24, 12)),
    ],
)
def test_resizing_changes_what_is_loaded(tmp_path, resizing, size):
    Image.new("RGB", (80, 40)).save(tmp_path / "a.png")
    images = ImageSet(tmp_path, ("a.png",))
    protocol = replace(BASE, resizing=resizing)
    for side in ("database", "queries"):
        wanted = protocol.resizing_of(side).for_loader(model_resize=(10, 30))
        (batch,) = load_batches(images, batch_size=1, resize=wanted)
        assert tuple(batch.images.shape[2:]) == size
    # Of the queries alone.
    protocol = replace(BASE, query_resizing=resizing)
    assert protocol.resizing_of("queries") == resizing
    assert protocol.resizing_of("database") == Resizing("model")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "short-side", "pixels": (480,)}, "resizing by the short side"),
        ({"interpolation": "bicubic"}, "bicubic interpolation"),
        ({"antialias": False}, "shrinking without antialiasing"),
        ({"when": "after-normalisation"}, "resizing after normalisation"),
    ],
)
def test_resizing_that_the_loader_cannot_do_is_refused_by_name(change, words):
    resizing = replace(Resizing("square", (320,)), **change)
    assert resizing.refusals == (words,)
    assert replace(BASE, query_resizing=resizing).refusals == (words,)
    with pytest.raises(SettingsError, match=words):
        resizing.for_loader()
    assert replace(BASE, resizing=resizing).fingerprint != BASE.fingerprint
    # Descriptors made elsewhere are welcome.
    assert evaluated(replace(BASE, resizing=resizing)).recalls.at[1] == OF_BASE[0]


def test_resizing_with_the_wrong_numbers_is_refused():
    with pytest.raises(SettingsError, match="square has pixels"):
        Resizing("square", (320, 320))
    with pytest.raises(SettingsError, match="native has pixels"):
        Resizing("native", (320,))


def test_frames_are_counted_by_label_or_by_place_in_the_list():
    dataset = two_cities()
    with pytest.raises(DataError, match="7 queries and 6 database images are not frame by frame"):
        evaluated(replace(BASE, positives=Frames(1)), dataset)
    numbered = replace(
        dataset,
        database=replace(dataset.database, labels={"frame": np.array(list("012345"))}),
        queries=replace(dataset.queries, labels={"frame": np.array(list("5514000"))}),
    )
    # The first answers are frames 3, 1, 2, 3, 3, 4, 1: off by one for q2, q3 and q6.
    assert evaluated(replace(BASE, positives=Frames(0)), numbered).recalls.at[1] == 0
    assert evaluated(replace(BASE, positives=Frames(1)), numbered).recalls.at[1] == 3 / 7


def test_two_traverses_get_the_published_list_of_the_corridor(shared):
    truth = json.loads((shared / "data/vprbench/ground_truth.json").read_text())["corridor"]
    images = ImageSet(shared, tuple(f"{i}.jpg" for i in range(111)))
    dataset = PlaceDataset("corridor", "test", images, images)
    rows = np.zeros((111, 1), np.float32)
    result = evaluate_prepared(apply(PROTOCOLS["frames-2"], dataset), rows, rows)
    assert [result.prepared.positives.row(i).tolist() for i in range(111)] == truth


def test_frames_2_by_a_loop(tmp_path):
    images = ImageSet(tmp_path, tuple(f"{i}.jpg" for i in range(111)))
    prepared = apply(PROTOCOLS["frames-2"], PlaceDataset("corridor", "test", images, images))
    for i in range(111):
        near = [j for j in range(111) if abs(i - j) <= 2]
        assert prepared.positives.row(i).tolist() == near


def test_ten_metres_of_a_made_railway_are_seven_frames(tmp_path):
    """As test_nordland_s_ten_metres_are_seven_frames, of positions that are made here."""
    frames = ImageSet(
        tmp_path,
        tuple(map(str, range(300))),
        np.stack([500_000 + 1.4 * np.arange(300), np.full(300, 7e6)], axis=1),
    )
    dataset = PlaceDataset("patch-netvlad", "nordland", frames, frames)
    prepared = apply(PROTOCOLS["nordland/patch-netvlad-10"], dataset)
    assert prepared.positives.row(100).tolist() == list(range(93, 108))


def test_cut_outs_of_made_panoramas_are_told_apart(tmp_path):
    """As test_tokyo_lists_the_cut_outs_…, of positions that are made here: twelve of each."""
    places = np.repeat(np.random.default_rng(0).uniform(0, 3000, (50, 2)), 12, axis=0)
    database = ImageSet(tmp_path, tuple(map(str, range(600))), places)
    queries = ImageSet(tmp_path, ("q",), places[:1])
    prepared = apply(
        PROTOCOLS["tokyo247/relja-nms"], PlaceDataset("tokyo247", "test", database, queries)
    )
    assert prepared.panoramas.tolist() == (np.arange(600) // 12).tolist()


def test_the_list_of_the_data_set():
    with pytest.raises(DataError, match="takes the correct answers from the data set's list"):
        evaluated(PROTOCOLS["listed"])
    # q0's answer s0 and q4's answer s0 are listed, and nothing else.
    listed = Neighbours(np.array([0, 1, 1, 1, 1, 2, 2, 2]), np.array([3, 3]))
    dataset = replace(two_cities(), positives=listed)
    assert evaluated(PROTOCOLS["listed"], dataset).recalls.at[1] == 2 / 7
    assert protocol_for(dataset).positives == Listed()
    # Positions go before the list; without them the list does where its makers used the radius.
    made_so = replace(BASE, positives=Radius(25.0, or_listed=True))
    assert evaluated(made_so, dataset).recalls.at[1] == OF_BASE[0]
    nowhere = replace(dataset, queries=replace(dataset.queries, positions=None))
    assert evaluated(made_so, nowhere).recalls.at[1] == 2 / 7
    with pytest.raises(DataError, match="needs positions"):
        evaluated(BASE, nowhere)


def test_names_that_need_no_entry():
    assert find_protocol("radius-10").positives == Radius(10.0)
    assert find_protocol("radius-0.5").name == "radius-0.5"
    assert find_protocol("frames-2") is PROTOCOLS["frames-2"]
    assert find_protocol("frames-7").positives == Frames(7)
    assert protocol_for(two_cities()) is PROTOCOLS["radius-25"]
    assert protocol_for(replace(two_cities(), radius_m=10.0)).name == "radius-10"
    with pytest.raises(SettingsError, match="did you mean msls-val/all-queries"):
        find_protocol("msls-val/all")


def test_a_data_set_that_lacks_what_is_asked_for_is_refused():
    bare = without_labels(two_cities())
    with pytest.raises(DataError, match="the queries have no label panorama"):
        evaluated(PROTOCOLS["msls-val/official-740-per-city"], bare)
    with pytest.raises(DataError, match="has no label city"):
        evaluated(replace(BASE, index_per="city"), bare)
    with pytest.raises(DataError, match="no whole number of panoramas of 4"):
        evaluated(replace(BASE, suppression=Suppression("scene", 4)), bare)
    timeless = replace(bare, queries=replace(bare.queries, times=None))
    with pytest.raises(DataError, match="no time stamps"):
        evaluated(replace(BASE, exclude_same_time=True), timeless)
    nowhere = replace(bare, queries=replace(bare.queries, positions=None))
    with pytest.raises(DataError, match="needs positions"):
        evaluated(BASE, nowhere)
    with pytest.raises(DataError, match="no query counts"):
        evaluated(replace(BASE, query_filters=(LabelFilter("city", ("rome",)),)))


def test_lists_that_are_filtered_already_are_taken_and_noted():
    result = evaluated(PROTOCOLS["msls-val/gsv-740-one-index"], without_labels(two_cities()))
    assert result.recalls.num_queries == 6
    assert sum("as if filtered already" in note for note in result.prepared.notes) == 3


def test_the_version_is_read_from_folders_where_no_label_tells_it():
    def of(folder):
        bare = without_labels(two_cities())
        names = tuple(f"{folder}/{name}" for name in bare.queries.names)
        return replace(bare, queries=replace(bare.queries, names=names))

    protocol = replace(BASE, query_version="v2")
    assert evaluated(protocol, of("247query_subset_v2")).prepared.notes == ()
    with pytest.raises(DataError, match="has queries v1, but the protocol is for v2"):
        evaluated(protocol, of("queries_v1"))
    (note,) = evaluated(protocol, of("query")).prepared.notes
    assert "does not tell" in note


def test_records_can_be_told_apart_and_written():
    by_rules: dict[str, set[str]] = {}
    for name, protocol in PROTOCOLS.items():
        by_rules.setdefault(protocol.fingerprint, set()).add(name)
    assert [names for names in by_rules.values() if len(names) > 1] == [
        {"pitts250k/relja", "tokyo247/no-nms"},
        {"nordland/2760-1", "listed"},
        {"nordland/3450-2", "frames-2"},
    ]
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and protocol.description
        content = protocol.to_json()
        assert json.loads(json.dumps(content)) == content
    assert PROTOCOLS["nordland/2760-1"].to_json()["positives"] == "list"
    assert PROTOCOLS["nordland/3450-2"].to_json()["positives"] == {"frames": 2}


def test_protocols_are_for_data_sets_that_exist():
    for protocol in PROTOCOLS.values():
        assert set(protocol.datasets) <= set(DATASETS), protocol.name


def test_the_lists_of_gsv_cities_are_the_740_queries(shared):
    names = np.load(shared / "data/structs/gsv_cities/msls_val/msls_val_qImages.npy")
    chosen = np.load(shared / "data/structs/gsv_cities/msls_val/msls_val_qIdx.npy")
    rows = np.load(shared / "data/structs/gsv_cities/msls_val/msls_val_pIdx.npy", allow_pickle=True)
    listed = Neighbours(np.cumsum([0, *map(len, rows)]), np.concatenate(rows))
    queries = ImageSet(shared, tuple(names[chosen].tolist()))
    # The list of the 18,871 database images does not lie here; their number does.
    database = ImageSet(shared, tuple(map(str, range(18_871))))
    dataset = PlaceDataset("msls-lists", "val", database, queries, positives=listed)
    prepared = apply(PROTOCOLS["msls-val/gsv-740-one-index"], dataset)
    assert (len(prepared.database), len(prepared.queries)) == (18_871, 740)
    assert not any("figures do not compare" in note for note in prepared.notes)


def test_nordland_s_ten_metres_are_seven_frames(shared):
    struct = np.load(shared / "data/structs/patch_netvlad/nordland.npz")
    sides = (
        ImageSet(shared, tuple(map(str, range(len(utm)))), utm.astype(np.float64))
        for utm in (struct["utmDb"], struct["utmQ"])
    )
    dataset = PlaceDataset("patch-netvlad", "nordland", *sides)
    prepared = apply(PROTOCOLS["nordland/patch-netvlad-10"], dataset)
    assert prepared.notes == ()
    assert prepared.positives.row(100).tolist() == list(range(93, 108))


def test_tokyo_lists_the_cut_outs_of_a_panorama_one_after_the_other(shared):
    struct = np.load(shared / "data/structs/patch_netvlad/tokyo247.npz")
    sides = (
        ImageSet(shared, tuple(map(str, range(len(utm)))), utm)
        for utm in (struct["utmDb"], struct["utmQ"])
    )
    prepared = apply(PROTOCOLS["tokyo247/relja-nms"], PlaceDataset("tokyo247", "test", *sides))
    assert len(prepared.queries) == 315
    assert [note for note in prepared.notes if "compare" in note] == []
    positions = struct["utmDb"]
    first = positions[np.unique(prepared.panoramas, return_index=True)[1]]
    assert len(first) == 6_332
    np.testing.assert_array_equal(positions, first[prepared.panoramas])
