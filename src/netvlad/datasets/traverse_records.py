"""Data sets of paired images and of traverses, where frames or lists say what is right."""

from functools import partial

from netvlad.datasets.city_records import DOWNLOADER, TEST_TREE
from netvlad.datasets.readers.npy_truth import read_npy_truth
from netvlad.datasets.readers.traverses import (
    PAIRED_LAYOUT,
    WALKS,
    read_gardens_point,
    read_nordland,
    read_paired_folders,
)
from netvlad.datasets.readers.utm_names import read_utm_names
from netvlad.datasets.record import DatasetRecord

_GSV_LISTS = "lists: https://github.com/amaralibey/gsv-cities"
_VPR_BENCH = "https://github.com/MubarizZaffar/VPR-Bench, open"
# Queries first: papers take any two of the three walks, either way round.
_WALKS = tuple(f"{q}-{d}" for d in WALKS for q in reversed(WALKS) if q != d)

TRAVERSE_RECORDS = (
    DatasetRecord(
        name="nordland",
        splits=("list-2760", "all-27592", "test-3450"),
        read=read_nordland,
        description="one railway line in four seasons (Sünderhauf et al. 2013)",
        layout="Nordland_{dbImages,qImages,gt}.npy (here, in Nordland/ or in datasets/Nordland/) "
        "with ref/ and query/; or summer/, winter/, … with all frames; or test/summer/, "
        "test/winter/, …",
        citation="Sünderhauf et al., Are We There Yet? Challenging SeqSLAM on a 3000 km Journey "
        "Across All Four Seasons, ICRA workshop 2013; test-3450: Olid et al., Single-View Place "
        "Recognition under Seasonal Changes, IROS workshop 2018",
        licence="CC BY-NC-SA, the film is NRK's",
        source=f"frames: the links of Patch-NetVLAD's readme, open; {_GSV_LISTS}",
        counts={
            "list-2760": (27_592, 2_760),
            "all-27592": (27_592, 27_592),
            "test-3450": (3_450, 3_450),
        },
        part="two seasons",
        has_positions=False,
    ),
    DatasetRecord(
        name="sped",
        splits=("test",),
        read=partial(read_npy_truth, folder="SPED", prefix="SPED_", images=("SPEDTEST",)),
        description="607 pairs of fixed outdoor cameras in different seasons (Chen et al. 2018)",
        layout="SPED_dbImages.npy, SPED_qImages.npy, SPED_gt.npy (here, in SPED/ or in "
        "datasets/SPED/), images in ref/ and query/",
        citation="Chen et al., Learning Context Flexible Attention Model for Long-Term Visual "
        "Place Recognition, RA-L 2018; test pairs: Zaffar et al., VPR-Bench, IJCV 2021",
        licence="not stated; ask the authors",
        source=f"{_VPR_BENCH}; {_GSV_LISTS}",
        counts={"test": (607, 607)},
        has_positions=False,
    ),
    DatasetRecord(
        name="essex3in1",
        splits=("test",),
        read=partial(read_npy_truth, folder="ESSEX", prefix="ESSEX_", images=("ESSEX3IN1",)),
        description="210 pairs of a campus, taken to be confused (Zaffar et al. 2020)",
        layout="ESSEX_dbImages.npy, ESSEX_qImages.npy, ESSEX_gt.npy (here, in ESSEX/ or in "
        "datasets/ESSEX/), images in ref/ and query/",
        citation="Zaffar et al., Memorable Maps: A Framework for Re-defining Places in Visual "
        "Place Recognition, T-ITS 2020",
        licence="not stated; ask the authors",
        source=f"{_VPR_BENCH}; {_GSV_LISTS}",
        counts={"test": (210, 210)},
        has_positions=False,
    ),
    DatasetRecord(
        name="gardens-point",
        splits=_WALKS,
        read=read_gardens_point,
        description="one walk over a campus by day and by night, left and right (Glover 2014)",
        layout="day_left/, day_right/ and night_right/, 200 frames each",
        citation="Glover, Day and Night with Lateral Pose Change Datasets, 2014",
        licence="not stated; ask the author",
        source="https://github.com/arrenglover/openfabmap/wiki/Datasets, open",
        counts=dict.fromkeys(_WALKS, (200, 200)),
        has_positions=False,
    ),
    DatasetRecord(
        name="corridor",
        splits=("test",),
        read=read_paired_folders,
        description="two walks down a corridor, 111 frames each (Milford 2013)",
        layout=PAIRED_LAYOUT,
        citation="Milford, Vision-based place recognition: how low can you go?, IJRR 2013",
        licence="not stated; ask the author",
        source=_VPR_BENCH,
        counts={"test": (111, 111)},
        has_positions=False,
    ),
    DatasetRecord(
        name="st-lucia",
        splits=("test",),
        read=read_utm_names,
        description="drives through a suburb of Brisbane (Milford and Wyeth 2008)",
        layout=TEST_TREE,
        citation="Milford and Wyeth, Mapping a Suburb with a Single Camera Using a Biologically "
        "Inspired SLAM System, T-RO 2008",
        licence="not stated; ask the authors",
        source="https://github.com/arrenglover/openfabmap/wiki/Datasets, open; frames 5 m apart: "
        f"{DOWNLOADER}",
        counts={"test": (1_549, 1_464)},
    ),
    DatasetRecord(
        name="eynsham",
        splits=("test",),
        read=read_utm_names,
        description="two rounds near Oxford, grey, five views each (Cummins and Newman 2009)",
        layout=TEST_TREE,
        citation="Cummins and Newman, Highly Scalable Appearance-Only SLAM: FAB-MAP 2.0, RSS 2009",
        licence="see its record at Zenodo",
        source=f"https://zenodo.org/record/1243106, open; then download_eynsham.py of {DOWNLOADER}",
        counts={"test": (23_935, 23_935)},
    ),
)
"""Records of :data:`netvlad.datasets.DATASETS`."""
