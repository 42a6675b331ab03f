"""Formats of anybody's own images."""

from netvlad.datasets.readers import (
    csv_table,
    image_list,
    paired_folders,
    patch_netvlad,
    photos,
    utm_names,
    video,
)
from netvlad.datasets.record import DatasetRecord

FORMAT_RECORDS = (
    DatasetRecord(
        name="utm-names",
        splits=(),
        read=utm_names.read_utm_names,
        description="any images whose file names carry UTM positions (Berton et al. 2022)",
        layout=utm_names.LAYOUT,
        citation="Berton et al., Deep Visual Geo-localization Benchmark, CVPR 2022",
    ),
    DatasetRecord(
        name="csv",
        splits=(),
        read=csv_table.read_csv_table,
        description="any images listed in a table with their positions",
        layout=csv_table.LAYOUT,
    ),
    DatasetRecord(
        name="vpr-bench",
        splits=(),
        read=paired_folders.read_paired_folders,
        description="any test set of VPR-Bench: queries, references and a list of what is correct",
        layout=paired_folders.LAYOUT,
        citation="Zaffar et al., VPR-Bench: An Open-Source Visual Place Recognition Evaluation "
        "Framework with Quantifiable Viewpoint and Appearance Change, IJCV 2021",
    ),
    DatasetRecord(
        name="patch-netvlad",
        splits=(),
        read=patch_netvlad.read_patch_netvlad,
        description="any test set that Patch-NetVLAD specifies, or specified in its way",
        layout=patch_netvlad.LAYOUT,
        citation="Hausler et al., Patch-NetVLAD: Multi-Scale Fusion of Locally-Global Descriptors "
        "for Place Recognition, CVPR 2021",
    ),
    DatasetRecord(
        name="image-list",
        splits=(),
        read=image_list.read_image_list,
        description="any images in lists of hloc or COLMAP, with pairs that are correct",
        layout=image_list.LAYOUT,
        citation="Sarlin et al., From Coarse to Fine: Robust Hierarchical Localization at Large "
        "Scale, CVPR 2019; Schönberger and Frahm, Structure-from-Motion Revisited, CVPR 2016",
    ),
    DatasetRecord(
        name="photos",
        splits=(),
        read=photos.read_photos,
        description="any photos whose cameras noted where they were taken (EXIF)",
        layout=photos.LAYOUT,
    ),
    DatasetRecord(
        name="video",
        splits=(),
        read=video.read_video,
        description="any videos with GPX tracks: a frame every few metres",
        layout=video.LAYOUT,
    ),
)
"""Records of :data:`netvlad.datasets.DATASETS`."""
