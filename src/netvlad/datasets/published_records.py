"""Published data sets: cities, and traverses of which frames or lists say what is right."""

from functools import partial

from netvlad.datasets.readers.dbstruct import read_struct_folder
from netvlad.datasets.readers.gsv_cities import read_gsv_cities
from netvlad.datasets.readers.msls import read_msls
from netvlad.datasets.readers.npy_truth import read_msls_lists, read_npy_truth
from netvlad.datasets.readers.traverses import (
    PAIRED_LAYOUT,
    WALKS,
    read_gardens_point,
    read_nordland,
    read_paired_folders,
)
from netvlad.datasets.readers.utm_names import NAMED, Part, read_msls_utm, read_utm_names
from netvlad.datasets.record import DatasetRecord

_STREET_VIEW = "Google Street View images, for research only"
_TREES = "https://github.com/gmberton/VPR-datasets-downloader"
_TEST_TREE = f"images/test/{{database,queries}}/ (or test/{{database,queries}}/) {NAMED}"

_NETVLAD = (
    "Arandjelović et al., NetVLAD: CNN architecture for weakly supervised place recognition, "
    "CVPR 2016"
)
_GSV_CITIES = "Ali-bey et al., GSV-Cities, Neurocomputing 2022"
_LISTS = "the lists from https://www.di.ens.fr/willow/research/netvlad/"
_TRAIN_VAL_TEST = ("train", "val", "test")

_pittsburgh = partial(
    read_struct_folder,
    # The MATLAB code of the paper keeps images/ and queries/.
    database_folders=("", "images"),
    query_folders=("queries_real", "queries"),
    zone="17N",
    centre=(585_000, 4_477_000),
)
_PITTSBURGH = (
    "datasets/pitts30k_{train,val,test}.mat (or pitts250k_…), "
    "database images in 000/ 001/ …, queries in queries_real/"
)
_PITTS250K = {"train": (91_464, 7_824), "val": (78_648, 7_608), "test": (83_952, 8_280)}

_tokyo = partial(read_struct_folder, zone="54N", centre=(382_000, 3_947_000))

_WEATHERS = {"night": 823, "overcast": 872, "rain": 937, "snow": 870, "sun": 854}
_SVOX = {f"test-{word}": Part("test", (f"queries_{word}",), word) for word in _WEATHERS}
_SF_QUERIES = {"v1": 1_000, "v2": 598, "night": 466, "occlusion": 76}
_SF_XL = {
    f"test-{kind}": Part("test", (f"queries_{kind}",), "" if kind in ("v1", "v2") else kind)
    for kind in _SF_QUERIES
} | {
    "small-val": Part("small/val"),
    "small-test": Part("small/test", ("queries_v1", "queries")),
}

_GSV_LISTS = "lists: https://github.com/amaralibey/gsv-cities"
_VPR_BENCH = "https://github.com/MubarizZaffar/VPR-Bench, open"
# Queries first: papers take any two of the three walks, either way round.
_WALKS = tuple(f"{q}-{d}" for d in WALKS for q in reversed(WALKS) if q != d)

PUBLISHED_RECORDS = (
    DatasetRecord(
        name="pitts30k",
        splits=("train", "val", "test", "test250k"),
        read=partial(
            _pittsburgh,
            structs={
                **{split: f"pitts30k_{split}" for split in _TRAIN_VAL_TEST},
                "test250k": "pitts250k_test",
            },
        ),
        description="Pittsburgh, Street View, 30,000 images (Arandjelović et al. 2016)",
        layout=_PITTSBURGH,
        citation=_NETVLAD,
        licence=_STREET_VIEW,
        source=f"on request from the authors of Pitts250k; {_LISTS}",
        counts={
            "train": (10_000, 7_416),
            "val": (10_000, 7_608),
            "test": (10_000, 6_816),
            "test250k": _PITTS250K["test"],
        },
    ),
    DatasetRecord(
        name="pitts250k",
        splits=_TRAIN_VAL_TEST,
        read=partial(_pittsburgh, structs={s: f"pitts250k_{s}" for s in _TRAIN_VAL_TEST}),
        description="Pittsburgh, Street View, 250,000 images (Torii et al. 2013)",
        layout=_PITTSBURGH,
        citation="Torii et al., Visual Place Recognition with Repetitive Structures, CVPR 2013",
        licence=_STREET_VIEW,
        source=f"on request from the authors; {_LISTS}",
        counts=_PITTS250K,
    ),
    DatasetRecord(
        name="tokyo247",
        splits=("test",),
        read=partial(
            _tokyo,
            structs={"test": "tokyo247"},
            # The last ones are what the archives unpack to.
            database_folders=("images", "", "database_gsv_vga", "tokyo247"),
            query_folders=("query", "247query_subset_v2", "queries", "tokyo247/247query_subset_v2"),
        ),
        description="Tokyo by day, at sunset and by night, taken with phones (Torii et al. 2015)",
        layout="datasets/tokyo247.mat, database images in images/ (03814/ …, .png or .jpg), "
        "queries in query/",
        citation="Torii et al., 24/7 Place Recognition by View Synthesis, CVPR 2015",
        licence="for research only; the database is Google Street View's",
        source="on request from the authors",
        counts={"test": (75_984, 315)},
    ),
    DatasetRecord(
        name="tokyo-time-machine",
        splits=("train", "val"),
        # Queries are from the database itself: times tell which database images show their moment.
        read=partial(
            _tokyo,
            structs={"train": "tokyoTM_train", "val": "tokyoTM_val"},
            database_folders=("images", "", "tokyoTM/images"),
            query_folders=("images", "", "tokyoTM/images"),
        ),
        description="Tokyo, Street View of several years (Arandjelović et al. 2016)",
        layout="datasets/tokyoTM_{train,val}.mat, database images and queries in images/",
        citation=_NETVLAD,
        licence=_STREET_VIEW,
        source=f"on request from the authors; {_LISTS}",
        counts={"train": (49_104, 7_277), "val": (49_056, 7_186)},
    ),
    DatasetRecord(
        name="msls",
        splits=_TRAIN_VAL_TEST,
        read=read_msls,
        description="Mapillary SLS: 1.6 million street-level images of 30 cities, in sequences "
        "(Warburg et al. 2020)",
        layout="train_val/<city>/{query,database}/ and test/<city>/{query,database}/, each with "
        "postprocessed.csv, raw.csv, seq_info.csv, subtask_index.csv and images/<key>.jpg",
        citation="Warburg et al., Mapillary Street-Level Sequences: A Dataset for Lifelong Place "
        "Recognition, CVPR 2020",
        licence="academic research, under the terms accepted at download",
        source="https://www.mapillary.com/dataset/places, after registration",
        part="city",
    ),
    DatasetRecord(
        name="msls-lists",
        splits=("val",),
        read=read_msls_lists,
        description="the validation set of Mapillary SLS as gsv-cities lists it: 740 queries",
        layout="msls_val_{dbImages,qImages,qIdx,pIdx}.npy (here, in msls_val/ or in "
        "datasets/msls_val/), images in train_val/<city>/{database,query}/images/",
        citation=f"Warburg et al., CVPR 2020; lists: {_GSV_CITIES}",
        licence="images: as msls; the lists carry no licence",
        source="images: as msls; lists: https://github.com/amaralibey/gsv-cities",
        counts={"val": (18_871, 740)},
        has_positions=False,
    ),
    DatasetRecord(
        name="pitts30k-lists",
        splits=("val", "test"),
        read=partial(read_npy_truth, folder="Pittsburgh", prefix="pitts30k_{}_"),
        description="Pitts30k as gsv-cities lists it",
        layout="pitts30k_{val,test}_{dbImages,qImages,gt}.npy (here, in Pittsburgh/ or in "
        "datasets/Pittsburgh/), images in 000/ 001/ … and queries_real/",
        citation=f"Arandjelović et al., CVPR 2016; lists: {_GSV_CITIES}",
        licence="images: as pitts30k; the lists carry no licence",
        source="images: as pitts30k; lists: https://github.com/amaralibey/gsv-cities",
        counts={"val": (10_000, 7_608), "test": (10_000, 6_816)},
        has_positions=False,
    ),
    DatasetRecord(
        name="gsv-cities",
        splits=("train",),
        read=read_gsv_cities,
        description="530,000 Street View images of 62,000 places in 23 cities, to train on "
        "(Ali-bey et al. 2022)",
        layout="Dataframes/<City>.csv and Images/<City>/"
        "<City>_<place>_<year>_<month>_<heading>_<latitude>_<longitude>_<panorama>.jpg",
        citation="Ali-bey et al., GSV-Cities: Toward Appropriate Supervised Visual Place "
        "Recognition, Neurocomputing 2022",
        licence=_STREET_VIEW,
        source="https://www.kaggle.com/datasets/amaralibey/gsv-cities, open to registered users",
        part="city",
    ),
    DatasetRecord(
        name="msls-utm",
        splits=("train", "val"),
        read=read_msls_utm,
        description="Mapillary SLS as Berton's downloader formats it: without panoramas",
        layout=f"train/{{database,queries}}/ and val/{{database,queries}}/ {NAMED}",
        citation="Warburg et al., CVPR 2020; tree: Berton et al., Deep Visual Geo-localization "
        "Benchmark, CVPR 2022",
        licence="as msls",
        source=f"as msls, then format_mapillary.py of {_TREES}",
        counts={"val": (18_871, 11_084)},
    ),
    DatasetRecord(
        name="tokyo247-utm",
        splits=("test",),
        read=read_utm_names,
        description="Tokyo 24/7 as Berton's downloader formats it",
        layout=_TEST_TREE,
        citation="Torii et al., 24/7 Place Recognition by View Synthesis, CVPR 2015; tree: Berton "
        "et al., Deep Visual Geo-localization Benchmark, CVPR 2022",
        licence="as tokyo247",
        source=f"as tokyo247, then format_tokyo247.py of {_TREES}",
        counts={"test": (75_984, 315)},
    ),
    DatasetRecord(
        name="sf-xl",
        # But for its training images, which have no queries.
        splits=("val", *_SF_XL),
        read=partial(read_utm_names, bases=("processed/{}", "{}", "images/{}"), parts=_SF_XL),
        description="San Francisco XL: 2.8 million database images, four sets of queries (Berton "
        "et al. 2022)",
        layout="processed/val/{database,queries}/, processed/test/{database,queries_v1,queries_v2,"
        f"queries_night,queries_occlusion}}/, small/{{val,test}}/{{database,queries…}}/ {NAMED}",
        citation="Berton et al., Rethinking Visual Geo-localization for Large-Scale Applications, "
        "CVPR 2022; night and occlusion: Barbarani et al., Are Local Features All You Need for "
        "Cross-Domain Visual Place Recognition?, CVPR workshop 2023",
        licence=_STREET_VIEW,
        source="https://forms.gle/wpyDzhDyoWLQygAT9, on request",
        counts={
            "val": (8_015, 7_993),
            **{f"test-{kind}": (2_805_840, count) for kind, count in _SF_QUERIES.items()},
            "small-val": (8_015, 7_993),
            "small-test": (27_191, 1_000),
        },
    ),
    DatasetRecord(
        name="amstertime",
        splits=("test",),
        # The metres in its names are made up: 0 within a pair, a kilometre to the next pair.
        read=read_utm_names,
        description="Amsterdam: archive pictures and today's views of 1,231 places (Yildiz et al. "
        "2022)",
        layout=_TEST_TREE,
        citation="Yildiz et al., AmsterTime: A Visual Place Recognition Benchmark Dataset for "
        "Severe Domain Shift, ICPR 2022",
        licence="see its record at 4TU.ResearchData",
        source=f"4TU.ResearchData, open; download_amstertime.py of {_TREES}",
        counts={"test": (1_231, 1_231)},
    ),
    DatasetRecord(
        name="svox",
        splits=(*_TRAIN_VAL_TEST, *_SVOX),
        read=partial(read_utm_names, parts=_SVOX),
        description="Oxford in all weathers, Street View and RobotCar (Berton et al. 2021)",
        layout="images/{train,val}/{gallery,queries}/ and images/test/{gallery,queries,"
        f"queries_night,queries_overcast,queries_rain,queries_snow,queries_sun}}/ {NAMED}",
        citation="Berton et al., Adaptive-Attentive Geolocalization from Few Queries: A Hybrid "
        "Approach, WACV 2021",
        licence=_STREET_VIEW,
        source=f"download_svox.py of {_TREES}, open",
        counts={
            "test": (17_166, 14_278),
            **{f"test-{word}": (17_166, queries) for word, queries in _WEATHERS.items()},
        },
    ),
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
        layout=_TEST_TREE,
        citation="Milford and Wyeth, Mapping a Suburb with a Single Camera Using a Biologically "
        "Inspired SLAM System, T-RO 2008",
        licence="not stated; ask the authors",
        source="https://github.com/arrenglover/openfabmap/wiki/Datasets, open; frames 5 m apart: "
        f"{_TREES}",
        counts={"test": (1_549, 1_464)},
    ),
    DatasetRecord(
        name="eynsham",
        splits=("test",),
        read=read_utm_names,
        description="two rounds near Oxford, grey, five views each (Cummins and Newman 2009)",
        layout=_TEST_TREE,
        citation="Cummins and Newman, Highly Scalable Appearance-Only SLAM: FAB-MAP 2.0, RSS 2009",
        licence="see its record at Zenodo",
        source=f"https://zenodo.org/record/1243106, open; then download_eynsham.py of {_TREES}",
        counts={"test": (23_935, 23_935)},
    ),
)
"""Records of :data:`netvlad.datasets.DATASETS`."""
