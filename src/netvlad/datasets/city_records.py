"""Data sets taken in cities, where a radius in metres (or the place itself) says what is right."""

from netvlad.datasets.readers import gsv_cities, msls, npy_truth, pittsburgh, tokyo, utm_trees
from netvlad.datasets.record import DatasetRecord

STREET_VIEW = "Google Street View images, for research only"
DOWNLOADER = "https://github.com/gmberton/VPR-datasets-downloader"

CITY_RECORDS = (
    DatasetRecord(
        name="pitts30k",
        splits=("train", "val", "test", "test250k"),
        read=pittsburgh.read_pitts30k,
        description="Pittsburgh, Street View, 30,000 images (Arandjelović et al. 2016)",
        layout=pittsburgh.LAYOUT,
        citation="Arandjelović et al., NetVLAD: CNN architecture for weakly supervised place "
        "recognition, CVPR 2016",
        licence=STREET_VIEW,
        source="on request from the authors of Pitts250k; the lists from "
        "https://www.di.ens.fr/willow/research/netvlad/",
        counts=pittsburgh.PUBLISHED_30K,
    ),
    DatasetRecord(
        name="pitts250k",
        splits=("train", "val", "test"),
        read=pittsburgh.read_pitts250k,
        description="Pittsburgh, Street View, 250,000 images (Torii et al. 2013)",
        layout=pittsburgh.LAYOUT,
        citation="Torii et al., Visual Place Recognition with Repetitive Structures, CVPR 2013",
        licence=STREET_VIEW,
        source="on request from the authors; the lists from "
        "https://www.di.ens.fr/willow/research/netvlad/",
        counts=pittsburgh.PUBLISHED_250K,
    ),
    DatasetRecord(
        name="tokyo247",
        splits=("test",),
        read=tokyo.read_tokyo247,
        description="Tokyo by day, at sunset and by night, taken with phones (Torii et al. 2015)",
        layout=tokyo.LAYOUT_247,
        citation="Torii et al., 24/7 Place Recognition by View Synthesis, CVPR 2015",
        licence="for research only; the database is Google Street View's",
        source="on request from the authors",
        counts=tokyo.PUBLISHED_247,
    ),
    DatasetRecord(
        name="tokyo-time-machine",
        splits=("train", "val"),
        read=tokyo.read_tokyo_time_machine,
        description="Tokyo, Street View of several years (Arandjelović et al. 2016)",
        layout=tokyo.LAYOUT_TIME_MACHINE,
        citation="Arandjelović et al., NetVLAD: CNN architecture for weakly supervised place "
        "recognition, CVPR 2016",
        licence=STREET_VIEW,
        source="on request from the authors; the lists from "
        "https://www.di.ens.fr/willow/research/netvlad/",
        counts=tokyo.PUBLISHED_TIME_MACHINE,
    ),
    DatasetRecord(
        name="msls",
        splits=("train", "val", "test"),
        read=msls.read_msls,
        description="Mapillary SLS: 1.6 million street-level images of 30 cities, in sequences "
        "(Warburg et al. 2020)",
        layout=msls.LAYOUT,
        citation="Warburg et al., Mapillary Street-Level Sequences: A Dataset for Lifelong Place "
        "Recognition, CVPR 2020",
        licence="academic research, under the terms accepted at download",
        source="https://www.mapillary.com/dataset/places, after registration",
        part="city",
    ),
    DatasetRecord(
        name="msls-lists",
        splits=("val",),
        read=npy_truth.read_msls_lists,
        description="the validation set of Mapillary SLS as gsv-cities lists it: 740 queries",
        layout=npy_truth.LAYOUT_MSLS,
        citation="Warburg et al., CVPR 2020; lists: Ali-bey et al., GSV-Cities, "
        "Neurocomputing 2022",
        licence="images: as msls; the lists carry no licence",
        source="images: as msls; lists: https://github.com/amaralibey/gsv-cities",
        counts=npy_truth.PUBLISHED_MSLS,
    ),
    DatasetRecord(
        name="pitts30k-lists",
        splits=("val", "test"),
        read=npy_truth.read_pitts30k_lists,
        description="Pitts30k as gsv-cities lists it",
        layout=npy_truth.LAYOUT_PITTS30K,
        citation="Arandjelović et al., CVPR 2016; lists: Ali-bey et al., GSV-Cities, "
        "Neurocomputing 2022",
        licence="images: as pitts30k; the lists carry no licence",
        source="images: as pitts30k; lists: https://github.com/amaralibey/gsv-cities",
        counts=npy_truth.PUBLISHED_PITTS30K,
    ),
    DatasetRecord(
        name="gsv-cities",
        splits=("train",),
        read=gsv_cities.read_gsv_cities,
        description="530,000 Street View images of 62,000 places in 23 cities, to train on "
        "(Ali-bey et al. 2022)",
        layout=gsv_cities.LAYOUT,
        citation="Ali-bey et al., GSV-Cities: Toward Appropriate Supervised Visual Place "
        "Recognition, Neurocomputing 2022",
        licence=STREET_VIEW,
        source="https://www.kaggle.com/datasets/amaralibey/gsv-cities, open to registered users",
        part="city",
    ),
    DatasetRecord(
        name="msls-utm",
        splits=tuple(utm_trees.MSLS.splits),
        read=utm_trees.read_msls_utm,
        description="Mapillary SLS as Berton's downloader formats it: without panoramas",
        layout=utm_trees.MSLS.layout,
        citation="Warburg et al., CVPR 2020; tree: Berton et al., Deep Visual Geo-localization "
        "Benchmark, CVPR 2022",
        licence="as msls",
        source=f"as msls, then format_mapillary.py of {DOWNLOADER}",
        counts=utm_trees.MSLS.published(),
    ),
    DatasetRecord(
        name="tokyo247-utm",
        splits=tuple(utm_trees.TOKYO247.splits),
        read=utm_trees.read_tokyo247_utm,
        description="Tokyo 24/7 as Berton's downloader formats it",
        layout=utm_trees.TOKYO247.layout,
        citation="Torii et al., 24/7 Place Recognition by View Synthesis, CVPR 2015; tree: Berton "
        "et al., Deep Visual Geo-localization Benchmark, CVPR 2022",
        licence="as tokyo247",
        source=f"as tokyo247, then format_tokyo247.py of {DOWNLOADER}",
        counts=utm_trees.TOKYO247.published(),
    ),
    DatasetRecord(
        name="sf-xl",
        splits=tuple(utm_trees.SF_XL.splits),
        read=utm_trees.read_sf_xl,
        description="San Francisco XL: 2.8 million database images, four sets of queries (Berton "
        "et al. 2022)",
        layout=utm_trees.SF_XL.layout,
        citation="Berton et al., Rethinking Visual Geo-localization for Large-Scale Applications, "
        "CVPR 2022; night and occlusion: Barbarani et al., Are Local Features All You Need for "
        "Cross-Domain Visual Place Recognition?, CVPR workshop 2023",
        licence=STREET_VIEW,
        source="https://forms.gle/wpyDzhDyoWLQygAT9, on request",
        counts=utm_trees.SF_XL.published(),
    ),
    DatasetRecord(
        name="amstertime",
        splits=tuple(utm_trees.AMSTERTIME.splits),
        read=utm_trees.read_amstertime,
        description="Amsterdam: archive pictures and today's views of 1,231 places (Yildiz et al. "
        "2022)",
        layout=utm_trees.AMSTERTIME.layout,
        citation="Yildiz et al., AmsterTime: A Visual Place Recognition Benchmark Dataset for "
        "Severe Domain Shift, ICPR 2022",
        licence="see its record at 4TU.ResearchData",
        source=f"4TU.ResearchData, open; download_amstertime.py of {DOWNLOADER}",
        counts=utm_trees.AMSTERTIME.published(),
    ),
    DatasetRecord(
        name="svox",
        splits=tuple(utm_trees.SVOX.splits),
        read=utm_trees.read_svox,
        description="Oxford in all weathers, Street View and RobotCar (Berton et al. 2021)",
        layout=utm_trees.SVOX.layout,
        citation="Berton et al., Adaptive-Attentive Geolocalization from Few Queries: A Hybrid "
        "Approach, WACV 2021",
        licence=STREET_VIEW,
        source=f"download_svox.py of {DOWNLOADER}, open",
        counts=utm_trees.SVOX.published(),
    ),
)
"""Records of :data:`netvlad.datasets.DATASETS`."""
