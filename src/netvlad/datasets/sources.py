"""Where data sets are to be had: what anyone may fetch, and what has to be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

from netvlad.downloading import RemoteFile


@dataclass(frozen=True)
class Source:
    """Where a data set is to be had.

    Attributes:
        files: what anyone may fetch.
        by_hand: what a person has to do for the rest, a step each; empty when there is no rest,
            and None when the data set's record says it.
    """

    files: tuple[RemoteFile, ...] = ()
    by_hand: tuple[str, ...] | None = None


# The lists of Pittsburgh and Tokyo, from the authors of NetVLAD. No SHA-256 is published.
_LISTS = RemoteFile(
    url="https://www.di.ens.fr/willow/research/netvlad/data/netvlad_v100_datasets.tar.gz",
    name="netvlad_v100_datasets.tar.gz",
)
_ASK = (
    "The images are given out on request: write to R. Arandjelović, as told at "
    "https://github.com/Relja/netvlad/issues/42."
)
_PITTSBURGH = Source(
    (_LISTS,),
    (
        _ASK,
        "Unpack 000.tar … 010.tar and queries_real.tar in the data folder, so that 000/ … 010/, "
        "queries_real/ and datasets/ lie side by side.",
    ),
)

_GSV_CITIES = (
    "https://raw.githubusercontent.com/amaralibey/gsv-cities/"
    "77ffffc23115e5ba966e108895343693ec49cbb2/datasets"
)


def _of_gsv_cities(folder: str, *files: tuple[str, int | None, str | None]) -> Source:
    """Lists that gsv-cities keeps in its repository, at one commit, so that they never change."""
    return Source(
        tuple(
            RemoteFile(
                url=f"{_GSV_CITIES}/{folder}/{name}", name=name, size_bytes=size, sha256=sha256
            )
            for name, size, sha256 in files
        )
    )


SOURCES: Mapping[str, Source] = {
    "pitts30k": _PITTSBURGH,
    "pitts250k": _PITTSBURGH,
    "tokyo247": Source(
        (_LISTS,),
        (
            _ASK,
            "Unpack 03814.tar … 03829.tar in a folder images/ of the data folder, and "
            "247query_subset_v2.zip (the version that papers use) in the data folder itself.",
        ),
    ),
    "tokyo-time-machine": Source(
        (_LISTS,), (_ASK, "Unpack them so that they lie in a folder images/ of the data folder.")
    ),
    "msls": Source(
        by_hand=(
            "Log in at https://www.mapillary.com/dataset/places, accept the terms, and download "
            "all archives of Mapillary Street-Level Sequences.",
            "Unpack metadata.zip, the patch of version 1.1 if there is one, and the archives of "
            "images in the data folder, so that train_val/ and test/ lie side by side.",
        ),
    ),
    "msls-lists": _of_gsv_cities(
        "msls_val",
        ("msls_val_dbImages.npy", None, None),
        (
            "msls_val_qImages.npy",
            260_084,
            "e0fed29d6e7f3dcf49b0a369208117ca1dbc96abb2b333bbfc2faaea862a52f8",
        ),
        (
            "msls_val_qIdx.npy",
            6_048,
            "86450683428acb010038137355748049b665ab86e68d2a09d5a3631de251a382",
        ),
        (
            "msls_val_pIdx.npy",
            103_297,
            "96dfa5b174c8cb805992a70aa28f8eaf48fd7fac2c44e93dac248ee23ab84427",
        ),
    ),
    "nordland": _of_gsv_cities(
        "Nordland",
        (
            "Nordland_dbImages.npy",
            1_655_648,
            "57ddf16a7db2cbb6fb3933faa60df25f881a002232ddf8ffe5bbdac3a5247050",
        ),
        (
            "Nordland_qImages.npy",
            187_808,
            "44c19608e365283b92abdcc38a725b113dfc48f0614da26fcfa9849b60b31b33",
        ),
        (
            "Nordland_gt.npy",
            214_898,
            "0d523784bb8fb2f12adf228b445463da62f46245a5648fbe8a3d84e3d1090ea9",
        ),
    ),
    "sped": _of_gsv_cities(
        "SPED",
        (
            "SPED_dbImages.npy",
            36_548,
            "8984239ca9924a5267f8534d6799ec90b521911a6decf5e4a501acf1397e0aab",
        ),
        (
            "SPED_qImages.npy",
            41_404,
            "ef5dc51d06e4703a2cbb4216a7a78f83847af0da605ef7d198994887bf5de4b1",
        ),
        ("SPED_gt.npy", 4_984, "8db70792fb609b49c052baab76f81e4f651b52e682fd92b32c079e3de444ea5a"),
    ),
    "essex3in1": _of_gsv_cities(
        "ESSEX",
        (
            "ESSEX_dbImages.npy",
            12_728,
            "4ce1508b3c76d1248ece802b8bbec796830728922978c6e7a2fedf90b15d0e5b",
        ),
        (
            "ESSEX_qImages.npy",
            14_408,
            "1d6f43589e368f5363539f5b48c6aa4d1d13632afb697ddfc99df15f214b64ed",
        ),
        ("ESSEX_gt.npy", 1_808, "2f2ee766f2ea2fb3a113825ba8343dc3b3f00f09baf7d1fc1b170c7ebda0f1ee"),
    ),
    "pitts30k-lists": _of_gsv_cities(
        "Pittsburgh",
        (
            "pitts30k_val_dbImages.npy",
            1_080_128,
            "af6dace3f36daa9e1088911876bdbb731c84d44299589193f4416578176e5ce4",
        ),
        (
            "pitts30k_val_qImages.npy",
            1_217_408,
            "5ac592c9ebf3a8ed56098870b476b22c7cadc086db9ba51f3eda8eef4933c01b",
        ),
        ("pitts30k_val_gt.npy", None, None),
        (
            "pitts30k_test_dbImages.npy",
            1_080_128,
            "cbb45fa79154ad85da86e9f4500469e1363b173b68ff8569c82c2739ac68506d",
        ),
        (
            "pitts30k_test_qImages.npy",
            1_090_688,
            "7e26a66c2e3a855622e8cfa5cff66d0b79fe90c64aa4261a7b4cb42363b979cf",
        ),
        ("pitts30k_test_gt.npy", None, None),
    ),
}
"""By the name of the data set."""
