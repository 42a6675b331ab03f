"""The protocols by which published figures were counted, by name.

Where one data set has been evaluated by different rules, each has a name of its own: the same
weights score 88.2 or 83.4 on "MSLS val" depending on which.
"""

import difflib
import re
from dataclasses import replace

from netvlad.errors import SettingsError
from netvlad.evaluation.protocol_record import (
    Frames,
    LabelFilter,
    Listed,
    Protocol,
    Radius,
    Suppression,
)
from netvlad.evaluation.resizing import Resizing
from netvlad.types import PlaceDataset

_NETVLAD = "NetVLAD (Arandjelović et al., CVPR 2016)"
_DVGL = "Deep Visual Geo-localization Benchmark (Berton et al., CVPR 2022)"
_GSV = "GSV-Cities (Ali-bey et al., Neurocomputing 2022)"
_MIXVPR = "MixVPR (Ali-bey et al., WACV 2023)"
_SALAD = "SALAD (Izquierdo and Civera, CVPR 2024)"
_BOQ = "BoQ (Ali-bey et al., CVPR 2024)"
_SELA = "SelaVPR (Lu et al., ICLR 2024)"
_OPENIBL = "SFRS (Ge et al., ECCV 2020)"

# The same images under the layouts in which they are handed around.
_PITTS30K = ("pitts30k", "pitts30k-lists", "patch-netvlad", "utm-names", "csv")
# Without a label only the order of the list tells which twelve are one panorama.
_TOKYO_IN_ORDER = ("tokyo247", "patch-netvlad", "csv")
_25_M = Radius(25.0, or_listed=True)
_NO_PANORAMAS = LabelFilter("panorama", ("0",))

PITTSBURGH = (
    Protocol(
        name="pitts30k/relja",
        description="25 m, all queries, one index, images as they are.",
        papers=(_NETVLAD, "pytorch-NetVlad"),
        datasets=_PITTS30K,
        positives=_25_M,
        resizing=Resizing("native"),
    ),
    Protocol(
        name="pitts250k/relja",
        description="25 m, all queries, one index, images as they are.",
        papers=(_NETVLAD,),
        datasets=("pitts250k", "utm-names", "csv"),
        resizing=Resizing("native"),
    ),
    Protocol(
        name="pitts30k/dvgl-480x640",
        description="As pitts30k/relja, but the normalised tensors are resized to 480×640.",
        papers=(_DVGL,),
        datasets=_PITTS30K,
        positives=_25_M,
        resizing=Resizing("height-width", (480, 640), antialias=False, when="after-normalisation"),
    ),
)

TOKYO = (
    Protocol(
        name="tokyo247/relja-nms",
        description=(
            "Of the twelve cut-outs of a panorama only the nearest is an answer. Images as they "
            "are, the queries of the phones one by one."
        ),
        papers=(_NETVLAD, "Patch-NetVLAD (Hausler et al., CVPR 2021; at 480×640)"),
        datasets=_TOKYO_IN_ORDER,
        resizing=Resizing("native"),
        suppression=Suppression(),
        query_version="v2",
        published=(75_984, 315),
    ),
    Protocol(
        name="tokyo247/openibl-nms",
        description="As tokyo247/relja-nms, with the queries' short side brought to 640 pixels.",
        papers=(_OPENIBL,),
        datasets=_TOKYO_IN_ORDER,
        resizing=Resizing("height-width", (480, 640)),
        query_resizing=Resizing("short-side", (640,)),
        suppression=Suppression(),
        published=(75_984, 315),
    ),
    Protocol(
        name="tokyo247/no-nms",
        description="Every cut-out is an answer: those of one panorama may fill the list.",
        papers=(_DVGL, "VPR-methods-evaluation"),
        datasets=("tokyo247", "tokyo247-utm", "patch-netvlad", "utm-names", "csv"),
        resizing=Resizing("native"),
        published=(75_984, 315),
    ),
    Protocol(
        name="tokyo-tm/relja",
        description=(
            "Queries come from the database, so an image with the query's own time stamp is "
            "neither an answer nor a positive."
        ),
        papers=(_NETVLAD,),
        datasets=("tokyo-time-machine",),
        resizing=Resizing("native"),
        exclude_same_time=True,
    ),
)

MSLS = (
    Protocol(
        name="msls-val/official-740-per-city",
        description=(
            "Without panoramas, only queries of the image-to-image task that have a match, "
            "Copenhagen and San Francisco each searched for themselves."
        ),
        papers=("Mapillary SLS (Warburg et al., CVPR 2020)",),
        datasets=("msls",),
        count="with-positive",
        query_filters=(_NO_PANORAMAS, LabelFilter("subtask", ("all",))),
        database_filters=(_NO_PANORAMAS,),
        index_per="city",
        published=(18_871, 740),
    ),
    Protocol(
        name="msls-val/gsv-740-one-index",
        description=(
            "The same 740 queries, both cities in one index. The papers squash images to the "
            "square that each model was trained with."
        ),
        papers=(_GSV, _MIXVPR, _SALAD, _BOQ),
        # The lists that GSV-Cities hands out are filtered already and carry no labels.
        datasets=("msls", "msls-lists"),
        positives=_25_M,
        count="with-positive",
        query_filters=(
            replace(_NO_PANORAMAS, required=False),
            LabelFilter("subtask", ("all",), required=False),
        ),
        database_filters=(replace(_NO_PANORAMAS, required=False),),
        published=(18_871, 740),
    ),
    Protocol(
        name="msls-val/all-queries",
        description=(
            "All queries that are no panoramas count, those without a match too; one index. "
            "What VPR-datasets-downloader makes of the data set."
        ),
        papers=(_DVGL, "VPR-methods-evaluation"),
        datasets=("msls", "msls-utm", "utm-names"),
        query_filters=(replace(_NO_PANORAMAS, required=False),),
        database_filters=(replace(_NO_PANORAMAS, required=False),),
        resizing=Resizing("native"),
        published=(18_871, 11_084),
    ),
)

NORDLAND = (
    Protocol(
        name="nordland/2760-1",
        description=(
            "Every tenth frame of the summer asked of the whole winter; the list of VPR-Bench, "
            "one frame on either side."
        ),
        papers=("VPR-Bench (Zaffar et al., IJCV 2021)", _GSV, _MIXVPR, _SALAD, _BOQ),
        datasets=("nordland",),
        positives=Listed(),
        published=(27_592, 2_760),
    ),
    Protocol(
        name="nordland/27592-10",
        description="All 27,592 frames asked of all others of another season, ten on either side.",
        papers=(_BOQ, "FoL"),
        datasets=("nordland", "utm-names"),
        positives=Frames(10),
        published=(27_592, 27_592),
    ),
    Protocol(
        name="nordland/patch-netvlad-10",
        description=(
            "The lists of Patch-NetVLAD, in which frame i lies at (i, i): its 10 m reach seven "
            "frames on either side."
        ),
        papers=("Patch-NetVLAD (Hausler et al., CVPR 2021)",),
        datasets=("patch-netvlad",),
        positives=Radius(10.0),
        published=(27_592, 27_592),
    ),
    Protocol(
        name="nordland/3450-2",
        description="The test split of 3,450 frames, two on either side.",
        papers=(_SELA,),
        datasets=("nordland", "utm-names"),
        positives=Frames(2),
        published=(3_450, 3_450),
    ),
)

OTHERS = (
    Protocol(
        name="sf-xl/v1",
        description="The first set of 1,000 queries, asked of all 2.8 million images as they are.",
        papers=(
            "CosPlace (Berton et al., CVPR 2022)",
            "EigenPlaces (Berton et al., ICCV 2023)",
        ),
        datasets=("sf-xl", "utm-names"),
        resizing=Resizing("native"),
        query_version="v1",
        published=(2_805_840, 1_000),
    ),
    Protocol(
        name="radius-25",
        description="25 m, all queries, one index: for every data set with positions.",
    ),
    Protocol(
        name="frames-2",
        description="Two frames on either side: for two traverses of one route.",
        positives=Frames(2),
    ),
    Protocol(
        name="listed",
        description="The answers that the data set lists: for every data set that does.",
        positives=Listed(),
    ),
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (*PITTSBURGH, *TOKYO, *MSLS, *NORDLAND, *OTHERS)
}
"""By name; besides these, :func:`find_protocol` knows every ``radius-N`` and ``frames-N``."""


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; ``radius-10`` and ``frames-5`` need no entry.

    Raises:
        SettingsError: there is none; the message says which are near.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    radius = re.fullmatch(r"radius-(\d{1,7}(?:\.\d{1,6})?)", name)
    if radius is not None:
        return _within(float(radius[1]))
    frames = re.fullmatch(r"frames-(\d{1,7})", name)
    if frames is not None:
        tolerance = Frames(int(frames[1]))
        return Protocol(
            name=f"frames-{tolerance.tolerance}",
            description=f"Correct is {tolerance.words}.",
            positives=tolerance,
        )
    close = difflib.get_close_matches(name.lower(), PROTOCOLS, n=1, cutoff=0.4)
    raise SettingsError(
        f"there is no protocol called {name}; "
        + (f"did you mean {close[0]}? " if close else "")
        + f"choose from {', '.join(PROTOCOLS)}, radius-METRES, frames-N"
    )


def protocol_for(dataset: PlaceDataset) -> Protocol:
    """What counts where nobody names a protocol: the data set's list, else its radius."""
    if dataset.positives is not None:
        return PROTOCOLS["listed"]
    return _within(dataset.radius_m)


def _within(radius_m: float) -> Protocol:
    name = f"radius-{radius_m:g}"
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    return Protocol(
        name=name,
        description=f"{radius_m:g} m, all queries, one index.",
        positives=Radius(radius_m),
    )
