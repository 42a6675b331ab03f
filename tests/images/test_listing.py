import pytest

from netvlad.errors import DataError
from netvlad.images import images_in


def test_images_by_suffix_sorted_and_relative(tmp_path):
    for name in ("b.JPG", "a.png", "sub/c.Jpeg", "sub/deep/d.tiff", "notes.txt", "jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert images_in(tmp_path) == ["a.png", "b.JPG", "sub/c.Jpeg", "sub/deep/d.tiff"]


def test_hidden_files_and_folders_are_skipped(tmp_path):
    for name in (".hidden.jpg", ".thumbnails/a.jpg", "._a.jpg", "a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert images_in(tmp_path) == ["a.jpg"]


def test_links_are_followed_once(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").touch()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/round").symlink_to(tmp_path / "photos")
    assert images_in(tmp_path / "photos") == ["linked/a.jpg"]


def test_an_empty_folder_has_no_images(tmp_path):
    assert images_in(tmp_path) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="missing: cannot be listed"):
        images_in(tmp_path / "missing")
