"""The rules of an evaluation as one frozen record: what is asked, searched and counted."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from netvlad.errors import SettingsError
from netvlad.evaluation.resizing import AS_THE_MODEL, Resizing
from netvlad.storage import fingerprint


@dataclass(frozen=True)
class Radius:
    """Correct is a database image at most so far from the query.

    Attributes:
        radius_m: metres; the rim belongs to the circle.
        or_listed: whether the list of a data set without positions will do, because those who hand
            it out made it with this radius.
    """

    radius_m: float = 25.0
    or_listed: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius_m) and self.radius_m >= 0):
            raise SettingsError(f"radius_m is {self.radius_m}; give a number of metres, 0 or more")

    @property
    def words(self) -> str:
        """For people."""
        return f"within {self.radius_m:g} m" + (", or as listed" if self.or_listed else "")


@dataclass(frozen=True)
class Frames:
    """Correct is a database frame at most so many frames before or after the query's.

    An image's frame number is its label ``frame``; where the data set has no such label and its
    two sides are equally long, the place in the list.

    Attributes:
        tolerance: frames on either side.
    """

    tolerance: int

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise SettingsError(f"frame tolerance is {self.tolerance}; give 0 or more")

    @property
    def words(self) -> str:
        """For people."""
        return f"± {self.tolerance} frame{'' if self.tolerance == 1 else 's'}"


@dataclass(frozen=True)
class Listed:
    """Correct is what the data set lists for each query."""

    @property
    def words(self) -> str:
        """For people."""
        return "as listed"


Positives = Radius | Frames | Listed


@dataclass(frozen=True)
class LabelFilter:
    """Keeps the images that carry one of some words.

    Attributes:
        label: the label's name, such as ``"panorama"``.
        keep: the words; an image's label may hold several, separated by spaces.
        required: whether a data set without that label is refused; otherwise all of its images
            are kept, and a note says so.
    """

    label: str
    keep: tuple[str, ...]
    required: bool = True

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.label} = {' or '.join(self.keep)}" + ("" if self.required else " (if known)")


@dataclass(frozen=True)
class Suppression:
    """Of the cut-outs of one panorama only the nearest is an answer (Tokyo 24/7).

    As in the NetVLAD paper's code (``nnSearchPostprocess``): of the n × ``cut_outs`` nearest the
    first of each panorama are kept, and n of these are the answer.

    Attributes:
        label: the database label that tells panoramas apart. Without it each ``cut_outs``
            consecutive images are one panorama, as in Tokyo 24/7's own list.
        cut_outs: how many images were cut out of each panorama.
    """

    label: str = "panorama"
    cut_outs: int = 12

    def __post_init__(self) -> None:
        if self.cut_outs < 1:
            raise SettingsError(f"cut_outs is {self.cut_outs}; give 1 or more")

    @property
    def words(self) -> str:
        """For people."""
        return f"the best of the {self.cut_outs} cut-outs of each {self.label}"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """By which rules recall is counted.

    Attributes:
        name: data set and whose rules, such as ``"msls-val/official-740-per-city"``.
        description: one or two sentences for people.
        papers: who published figures that were counted so.
        datasets: names of the data sets (and formats) it is for; empty for all.
        positives: which database images are correct answers.
        count: whether all queries are the denominator, or those with a correct answer.
        query_filters: which images may be queries; all filters hold at once.
        database_filters: which images may be answers.
        index_per: each word of this label has an index of its own, and is asked its own queries
            (``"city"``); None for one index.
        resizing: of the database, and of the queries unless the next says otherwise.
        query_resizing: of the queries; None for the same.
        suppression: of all but one image of a panorama; None for none.
        exclude_same_time: whether an image with the query's own time stamp is neither an answer
            nor a positive (Tokyo Time Machine, whose queries come from the database).
        query_version: which published version of the queries, such as ``"v1"``; None for any.
        published: how many (database, query) images count in the papers, where the protocol is for
            one split; None otherwise. A difference is noted.
    """

    name: str
    description: str = ""
    papers: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    positives: Positives = Radius()
    count: Literal["all", "with-positive"] = "all"
    query_filters: tuple[LabelFilter, ...] = ()
    database_filters: tuple[LabelFilter, ...] = ()
    index_per: str | None = None
    resizing: Resizing = AS_THE_MODEL
    query_resizing: Resizing | None = None
    suppression: Suppression | None = None
    exclude_same_time: bool = False
    query_version: str | None = None
    published: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.count not in ("all", "with-positive"):
            raise SettingsError(
                f"protocol {self.name}: count {self.count!r} is not all or with-positive"
            )

    def resizing_of(self, side: Literal["database", "queries"]) -> Resizing:
        """How the images of one side are brought to size."""
        if side == "queries" and self.query_resizing is not None:
            return self.query_resizing
        return self.resizing

    @property
    def refusals(self) -> tuple[str, ...]:
        """What the loader of this package cannot do, on either side; empty when it can do all.

        Everything else that the record says is executed, on descriptors from anywhere.
        """
        sides = (self.resizing, self.resizing_of("queries"))
        return tuple(dict.fromkeys(words for side in sides for words in side.refusals))

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON types, with the fingerprint."""
        content = asdict(self)
        content["positives"] = {
            Radius: asdict(self.positives),
            Frames: {"frames": getattr(self.positives, "tolerance", None)},
            Listed: "list",
        }[type(self.positives)]
        content["fingerprint"] = self.fingerprint
        # Tuples become lists, as whoever reads the JSON again will find them.
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain

    @property
    def fingerprint(self) -> str:
        """16 hex digits for the rules: the same whatever they are called and described as."""
        rules = asdict(self)
        for prose in ("name", "description", "papers", "datasets", "published"):
            del rules[prose]
        rules["positives"] = [type(self.positives).__name__, asdict(self.positives)]
        return fingerprint(json.dumps(rules, sort_keys=True))
