import pytest

from netvlad.datasets import DATASETS

PUBLISHED = [record for record in DATASETS.values() if record.splits]


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.name)
def test_published_data_sets_say_whose_they_are(record):
    assert record.citation
    assert record.licence
    assert record.source
    assert set(record.counts) <= set(record.splits)
    assert all(min(counts) > 0 for counts in record.counts.values())


def test_names_and_splits_can_be_folders():
    for record in DATASETS.values():
        for name in (record.name, *record.splits):
            assert name == "".join(c for c in name if c.isalnum() or c in "-_")


def test_parts_of_splits():
    msls, pitts30k, table = (DATASETS[name] for name in ("msls", "pitts30k", "csv"))
    assert msls.has_split("val")
    assert msls.has_split("val:sf")
    assert not msls.has_split("vale:sf")
    assert not pitts30k.has_split("val:sf")
    assert table.has_split("anything")
