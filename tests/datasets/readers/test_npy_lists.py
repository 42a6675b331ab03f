import io
import pickle

import numpy as np
import pytest

from netvlad.datasets.readers.npy_lists import read_index_rows, read_list, read_names
from netvlad.errors import DataError


def save(path, items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    np.save(path, array, allow_pickle=True)
    return path


class Evil:
    def __reduce__(self):
        return (print, ("this must never be seen",))


def test_lists_of_objects_are_read_as_numpy_does(tmp_path):
    rows = [np.array([1, 2, 3]), np.array([], np.int64), np.array([7], ">i4"), [4, 5], (6,), 9]
    path = save(tmp_path / "rows.npy", rows)
    assert [row.tolist() for row in read_index_rows(path)] == [[1, 2, 3], [], [7], [4, 5], [6], [9]]
    scalars = save(tmp_path / "scalars.npy", [np.int64(-3), np.uint8(200), [np.int32(4)]])
    assert [row.tolist() for row in read_index_rows(scalars)] == [[-3], [200], [4]]
    names = save(tmp_path / "names.npy", ["a.jpg", "ü.jpg", np.str_("c.jpg").item()])
    assert read_names(names) == ("a.jpg", "ü.jpg", "c.jpg")
    nested = save(tmp_path / "nested.npy", [[0, [1, 2]], [1, np.array([[3, 4]])]])
    assert read_list(nested) == [[0, [1, 2]], [1, [[3, 4]]]]


def test_plain_arrays(tmp_path):
    np.save(tmp_path / "names.npy", np.array(["a.jpg", "b.jpg"]))
    np.save(tmp_path / "bytes.npy", np.array([b"a.jpg"]))
    np.save(tmp_path / "column.npy", np.array([[5], [6]]))
    assert read_names(tmp_path / "names.npy") == ("a.jpg", "b.jpg")
    assert read_names(tmp_path / "bytes.npy") == ("a.jpg",)
    assert [row.tolist() for row in read_index_rows(tmp_path / "column.npy")] == [[5], [6]]


def test_nothing_that_a_file_names_is_run(tmp_path, capsys):
    path = save(tmp_path / "evil.npy", [Evil()])
    with pytest.raises(DataError, match=r"evil\.npy: .*refused, because it asks to run .*print"):
        read_list(path)
    assert capsys.readouterr().out == ""


def test_even_the_allowed_names_do_only_what_lists_need(tmp_path):
    for i, items in enumerate(
        (
            [np.array([1 + 2j])],
            [np.array(["2024-01-01"], "datetime64[D]")],
            [{1: 2}],
            [np.float64(1.5)],
            [np.dtype("i8")],
        )
    ):
        with pytest.raises(DataError, match=r"is no \.npy list"):
            read_list(save(tmp_path / f"{i}.npy", items))


def test_wrong_items(tmp_path):
    with pytest.raises(DataError, match=r"not an image's index: a\.jpg"):
        read_index_rows(save(tmp_path / "a.npy", ["a.jpg"]))
    with pytest.raises(DataError, match="not an image's index"):
        read_index_rows(save(tmp_path / "b.npy", [[1, [2]]]))
    with pytest.raises(DataError, match="not a file name"):
        read_names(save(tmp_path / "c.npy", [1]))
    np.save(tmp_path / "d.npy", np.array(7))
    with pytest.raises(DataError, match="a single value"):
        read_list(tmp_path / "d.npy")


def test_damaged_files(tmp_path):
    whole = save(tmp_path / "whole.npy", [np.arange(5), "x"]).read_bytes()
    for content in (b"", b"hello", whole[:50], whole[:-20], pickle.dumps([1])):
        (tmp_path / "cut.npy").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.npy: is no \.npy list"):
            read_list(tmp_path / "cut.npy")
    with pytest.raises(DataError, match=r"missing\.npy: cannot be read"):
        read_list(tmp_path / "missing.npy")


def test_shapes_that_do_not_fit_their_items(tmp_path):
    class Claims:
        def __reduce__(self):
            state = (1, (1 << 40,), np.dtype("i8"), False, b"\0" * 8)
            return (np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), state)

    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    (tmp_path / "big.npy").write_bytes(file.getvalue() + pickle.dumps(Claims()))
    with pytest.raises(DataError, match="with 1 items"):
        read_list(tmp_path / "big.npy")


@pytest.mark.parametrize("name", ["Nordland/Nordland_gt", "msls_val/msls_val_pIdx", "SPED/SPED_gt"])
def test_the_real_lists(shared, name):
    path = shared / f"data/structs/gsv_cities/{name}.npy"
    expected = np.load(path, allow_pickle=True)
    rows = read_index_rows(path)
    assert len(rows) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(rows, expected, strict=True))
