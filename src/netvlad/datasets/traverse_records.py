"""Data sets of paired images and of traverses, where frames or lists say what is right."""

from netvlad.datasets.city_records import DOWNLOADER
from netvlad.datasets.readers import (
    gardens_point,
    nordland,
    npy_truth,
    paired_folders,
    utm_trees,
)
from netvlad.datasets.record import DatasetRecord

_GSV_LISTS = "lists: https://github.com/amaralibey/gsv-cities"

TRAVERSE_RECORDS = (
    DatasetRecord(
        name="nordland",
        splits=nordland.SPLITS,
        read=nordland.read_nordland,
        description="one railway line in four seasons (Sünderhauf et al. 2013)",
        layout=nordland.LAYOUT,
        citation="Sünderhauf et al., Are We There Yet? Challenging SeqSLAM on a 3000 km Journey "
        "Across All Four Seasons, ICRA workshop 2013; test-3450: Olid et al., Single-View Place "
        "Recognition under Seasonal Changes, IROS workshop 2018",
        licence="CC BY-NC-SA, the film is NRK's",
        source=f"frames: the links of Patch-NetVLAD's readme, open; {_GSV_LISTS}",
        counts=nordland.PUBLISHED,
        part="two seasons",
    ),
    DatasetRecord(
        name="sped",
        splits=("test",),
        read=npy_truth.read_sped,
        description="607 pairs of fixed outdoor cameras in different seasons (Chen et al. 2018)",
        layout=npy_truth.LAYOUT_SPED,
        citation="Chen et al., Learning Context Flexible Attention Model for Long-Term Visual "
        "Place Recognition, RA-L 2018; test pairs: Zaffar et al., VPR-Bench, IJCV 2021",
        licence="not stated; ask the authors",
        source=f"https://github.com/MubarizZaffar/VPR-Bench, open; {_GSV_LISTS}",
        counts=npy_truth.PUBLISHED_SPED,
    ),
    DatasetRecord(
        name="essex3in1",
        splits=("test",),
        read=npy_truth.read_essex3in1,
        description="210 pairs of a campus, taken to be confused (Zaffar et al. 2020)",
        layout=npy_truth.LAYOUT_ESSEX,
        citation="Zaffar et al., Memorable Maps: A Framework for Re-defining Places in Visual "
        "Place Recognition, T-ITS 2020",
        licence="not stated; ask the authors",
        source=f"https://github.com/MubarizZaffar/VPR-Bench, open; {_GSV_LISTS}",
        counts=npy_truth.PUBLISHED_ESSEX,
    ),
    DatasetRecord(
        name="gardens-point",
        splits=gardens_point.SPLITS,
        read=gardens_point.read_gardens_point,
        description="one walk over a campus by day and by night, left and right (Glover 2014)",
        layout=gardens_point.LAYOUT,
        citation="Glover, Day and Night with Lateral Pose Change Datasets, 2014",
        licence="not stated; ask the author",
        source="https://github.com/arrenglover/openfabmap/wiki/Datasets, open",
        counts=gardens_point.PUBLISHED,
    ),
    DatasetRecord(
        name="corridor",
        splits=("test",),
        read=paired_folders.read_corridor,
        description="two walks down a corridor, 111 frames each (Milford 2013)",
        layout=paired_folders.LAYOUT,
        citation="Milford, Vision-based place recognition: how low can you go?, IJRR 2013",
        licence="not stated; ask the author",
        source="https://github.com/MubarizZaffar/VPR-Bench, open",
        counts=paired_folders.PUBLISHED_CORRIDOR,
    ),
    DatasetRecord(
        name="st-lucia",
        splits=tuple(utm_trees.ST_LUCIA.splits),
        read=utm_trees.read_st_lucia,
        description="drives through a suburb of Brisbane (Milford and Wyeth 2008)",
        layout=utm_trees.ST_LUCIA.layout,
        citation="Milford and Wyeth, Mapping a Suburb with a Single Camera Using a Biologically "
        "Inspired SLAM System, T-RO 2008",
        licence="not stated; ask the authors",
        source="https://github.com/arrenglover/openfabmap/wiki/Datasets, open; frames 5 m apart: "
        f"{DOWNLOADER}",
        counts=utm_trees.ST_LUCIA.published(),
    ),
    DatasetRecord(
        name="eynsham",
        splits=tuple(utm_trees.EYNSHAM.splits),
        read=utm_trees.read_eynsham,
        description="two rounds near Oxford, grey, five views each (Cummins and Newman 2009)",
        layout=utm_trees.EYNSHAM.layout,
        citation="Cummins and Newman, Highly Scalable Appearance-Only SLAM: FAB-MAP 2.0, RSS 2009",
        licence="see its record at Zenodo",
        source=f"https://zenodo.org/record/1243106, open; then download_eynsham.py of {DOWNLOADER}",
        counts=utm_trees.EYNSHAM.published(),
    ),
)
"""Records of :data:`netvlad.datasets.DATASETS`."""
