import numpy as np
import pytest
from scipy.io import savemat

from netvlad.datasets.readers.dbstruct import read_dbstruct
from netvlad.errors import DataError

DATABASE, QUERIES = ["000/000001_yaw1.jpg", "000/2.jpg", "001/3.jpg"], ["000/q1.jpg", "000/q2.jpg"]
UTM_DB = np.array([[585000.5, 585010, 585020], [4477000.25, 4477000, 4477001]])
UTM_Q = np.array([[585001.0, 585500], [4477000.0, 4478000]])


def cells(texts):
    column = np.empty((len(texts), 1), object)
    column[:, 0] = texts
    return column


def fields(*, times=False, names=cells):
    """The struct as MATLAB has it: 2 × N positions, names in cells, numbers as doubles."""
    struct = {"whichSet": "val", "dbImageFns": names(DATABASE), "utmDb": UTM_DB}
    if times:
        struct["dbTimeStamp"] = np.array([[2009.0, 2010, 2011]])
    struct |= {"qImageFns": names(QUERIES), "utmQ": UTM_Q}
    if times:
        struct["qTimeStamp"] = np.array([[2012.0, 2013]])
    numbers = {"numImages": 3.0, "numQueries": 2.0, "posDistThr": 25.0, "posDistSqThr": 625.0}
    return struct | numbers | {"nonTrivPosDistSqThr": 100.0}


def save(path, struct):
    savemat(path, {"dbStruct": struct})
    return path


def positional(struct):
    array = np.empty((1, len(struct)), object)
    array[0] = list(struct.values())
    return array


def squeezed(struct):
    return {key: np.squeeze(value) for key, value in struct.items()}


def record_array(struct):
    array = np.empty((1, 1), dtype=[(key, object) for key in struct])
    for key, value in struct.items():
        array[key][0, 0] = value
    return array


def wrapped(struct):
    cell = np.empty((1, 1), object)
    cell[0, 0] = record_array(struct)
    return cell


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("write", [dict, squeezed, record_array, positional, wrapped])
def test_every_way_to_write_it_reads_the_same(tmp_path, write, times):
    struct = read_dbstruct(save(tmp_path / "a.mat", write(fields(times=times))))
    assert struct.which_set == "val"
    assert struct.database.names == tuple(DATABASE)
    assert struct.queries.names == tuple(QUERIES)
    np.testing.assert_array_equal(struct.database.positions, UTM_DB.T)
    np.testing.assert_array_equal(struct.queries.positions, UTM_Q.T)
    assert (struct.num_images, struct.num_queries) == (3, 2)
    assert (struct.radius_m, struct.train_radius_m) == (25, 10)
    if times:
        assert struct.database.times.tolist() == [2009, 2010, 2011]
        assert struct.queries.times.tolist() == [2012, 2013]
    else:
        assert struct.database.times is struct.queries.times is None


def test_names_as_rows_of_characters(tmp_path):
    struct = read_dbstruct(save(tmp_path / "a.mat", fields(names=list)))
    assert struct.database.names == tuple(DATABASE)


def test_positions_with_one_image_a_row(tmp_path):
    struct = fields() | {"utmDb": UTM_DB.T}
    positions = read_dbstruct(save(tmp_path / "a.mat", struct)).database.positions
    np.testing.assert_array_equal(positions, UTM_DB.T)


def test_a_single_image(tmp_path):
    struct = fields() | {"dbImageFns": cells(DATABASE[:1]), "utmDb": UTM_DB[:, 0]}
    read = read_dbstruct(save(tmp_path / "a.mat", squeezed(struct)))
    assert read.database.names == (DATABASE[0],)
    np.testing.assert_array_equal(read.database.positions, UTM_DB[:, :1].T)


def test_names_beyond_ascii(tmp_path):
    struct = fields() | {"qImageFns": cells(["ü/東京.jpg", "a b.jpg"])}
    read = read_dbstruct(save(tmp_path / "a.mat", struct))
    assert read.queries.names == ("ü/東京.jpg", "a b.jpg")


def test_optional_fields_may_be_missing(tmp_path):
    needed = ("dbImageFns", "utmDb", "qImageFns", "utmQ")
    struct = {key: value for key, value in fields().items() if key in needed}
    read = read_dbstruct(save(tmp_path / "a.mat", struct))
    assert read.which_set == ""
    assert read.num_images is read.num_queries is read.radius_m is read.train_radius_m is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"utmDb": UTM_DB[:, :2]}, r"utmDb has shape \(2, 2\) but there are 3 image names"),
        ({"utmQ": np.zeros((2, 3))}, "utmQ"),
        ({"utmQ": cells(["a", "b"])}, "utmQ holds something that is not a number"),
        ({"utmQ": "north"}, "utmQ"),
        ({"dbImageFns": cells([1.0, 2.0, 3.0])}, "dbImageFns .* not a file name"),
        ({"dbImageFns": np.zeros(3)}, "dbImageFns .* not a file name"),
        ({"dbImageFns": cells(["a.jpg", "", "c.jpg"])}, "dbImageFns .* not a file name"),
        ({"dbTimeStamp": np.zeros(4)}, "dbTimeStamp has 4 values for 3 images"),
    ],
)
def test_structs_that_contradict_themselves(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as caught:
        read_dbstruct(save(tmp_path / "a.mat", fields() | change))
    assert str(tmp_path / "a.mat") in str(caught.value)


def test_a_missing_field_is_named(tmp_path):
    struct = fields()
    del struct["utmQ"]
    with pytest.raises(DataError, match=r"no field utmQ .it has whichSet, dbImageFns"):
        read_dbstruct(save(tmp_path / "a.mat", struct))


@pytest.mark.parametrize("struct", [3.0, "text", np.zeros((4, 4)), np.empty((1, 7), object)])
def test_what_is_no_struct(tmp_path, struct):
    if isinstance(struct, np.ndarray) and struct.dtype == object:
        struct[:] = 1.0
    with pytest.raises(DataError, match="neither one struct nor"):
        read_dbstruct(save(tmp_path / "a.mat", struct))


def test_files_that_are_not_it(tmp_path):
    savemat(tmp_path / "other.mat", {"results": 1.0})
    with pytest.raises(DataError, match=r"no variable dbStruct \(it has results\)"):
        read_dbstruct(tmp_path / "other.mat")
    (tmp_path / "text.mat").write_text("no MATLAB file " * 50)
    (tmp_path / "empty.mat").touch()
    whole = save(tmp_path / "whole.mat", fields()).read_bytes()
    (tmp_path / "half.mat").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "empty", "half"):
        with pytest.raises(DataError, match=f"{name}.mat: is not a MATLAB file, or is damaged"):
            read_dbstruct(tmp_path / f"{name}.mat")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(header + bytes(400))
    with pytest.raises(DataError, match="-v7"):
        read_dbstruct(tmp_path / "new.mat")
    with pytest.raises(DataError, match="cannot be read"):
        read_dbstruct(tmp_path / "missing.mat")
    with pytest.raises(DataError, match="cannot be read"):
        read_dbstruct(tmp_path)
