"""Formats of anybody's own images."""

from netvlad.datasets.readers.csv_table import read_csv_table
from netvlad.datasets.readers.image_list import read_image_list
from netvlad.datasets.readers.patch_netvlad import read_patch_netvlad
from netvlad.datasets.readers.photos import read_photos
from netvlad.datasets.readers.traverses import PAIRED_LAYOUT, read_paired_folders
from netvlad.datasets.readers.utm_names import NAMED, read_utm_names
from netvlad.datasets.readers.video import read_video
from netvlad.datasets.record import DatasetRecord

FORMAT_RECORDS = (
    DatasetRecord(
        name="utm-names",
        splits=(),
        read=read_utm_names,
        description="any images whose file names carry UTM positions (Berton et al. 2022)",
        layout=f"images/<split>/{{database,queries}}/ (or <split>/{{database,queries}}/) {NAMED}",
        citation="Berton et al., Deep Visual Geo-localization Benchmark, CVPR 2022",
    ),
    DatasetRecord(
        name="csv",
        splits=(),
        read=read_csv_table,
        description="any images listed in a table with their positions",
        layout="<split>.csv with columns image, role (database or query) and easting + northing or "
        "latitude + longitude; optional heading, time, zone, and labels such as condition",
    ),
    DatasetRecord(
        name="vpr-bench",
        splits=(),
        read=read_paired_folders,
        description="any test set of VPR-Bench: queries, references and a list of what is correct",
        layout=PAIRED_LAYOUT,
        has_positions=False,
        citation="Zaffar et al., VPR-Bench: An Open-Source Visual Place Recognition Evaluation "
        "Framework with Quantifiable Viewpoint and Appearance Change, IJCV 2021",
    ),
    DatasetRecord(
        name="patch-netvlad",
        splits=(),
        read=read_patch_netvlad,
        description="any test set that Patch-NetVLAD specifies, or specified in its way",
        layout="<split>.npz (here or in dataset_gt_files/) with utmQ, utmDb and posDistThr; "
        "<split>_imageNames_{index,query}.txt (here or in dataset_imagenames/); images as named "
        "there",
        citation="Hausler et al., Patch-NetVLAD: Multi-Scale Fusion of Locally-Global Descriptors "
        "for Place Recognition, CVPR 2021",
    ),
    DatasetRecord(
        name="image-list",
        splits=(),
        read=read_image_list,
        description="any images in lists of hloc or COLMAP, with pairs that are correct",
        layout="<split>/{database,queries,pairs}.txt (or <split>_database.txt, …): one image a "
        "line, and pairs of a query and a correct database image; images here or in images/",
        has_positions=False,
        citation="Sarlin et al., From Coarse to Fine: Robust Hierarchical Localization at Large "
        "Scale, CVPR 2019; Schönberger and Frahm, Structure-from-Motion Revisited, CVPR 2016",
    ),
    DatasetRecord(
        name="photos",
        splits=(),
        read=read_photos,
        description="any photos whose cameras noted where they were taken (EXIF)",
        layout="<split>/{database,queries}/ (or {database,queries}/) with photos that carry GPS "
        "positions",
    ),
    DatasetRecord(
        name="video",
        splits=(),
        read=read_video,
        description="any videos with GPX tracks: a frame every few metres",
        layout="<split>/{database,queries}/NAME.mp4 (or avi, mov, mkv, webm) with NAME.gpx beside "
        "it",
    ),
)
"""Records of :data:`netvlad.datasets.DATASETS`."""
