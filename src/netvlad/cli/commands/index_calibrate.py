"""``netvlad index calibrate``: the probabilities of an index, fitted to a data set."""

from pathlib import Path

from netvlad.cli.console import reporting, show
from netvlad.cli.flags import DEFAULT_SPLIT, ComputeFlags
from netvlad.cli.index_tables import confidence_table
from netvlad.compute import Compute
from netvlad.index.calibration import feature_names, fit, labelled_answers
from netvlad.index.place_index import PlaceIndex
from netvlad.index.probability import document_name
from netvlad.matching.cache import FeatureCache
from netvlad.matching.registry import DEFAULT_MATCHER, MatcherName, matcher_name

DEFAULTS = Compute()


def calibrate(
    *,
    index: str,
    dataset: str,
    data_dir: Path,
    split: str = DEFAULT_SPLIT,
    utm_zone: str | None = None,
    radius_m: float = 25.0,
    rerank: bool = False,
    matcher: MatcherName | None = None,
    compute: ComputeFlags = DEFAULTS,
) -> None:
    """Fit the probabilities of an index to a data set whose positions are known.

    ```
    netvlad index calibrate --index my.index --dataset csv --data-dir city
    ```

    Every query is asked twice: of the whole database, and with all places within 100 m of it left
    out, so that half of the answers are to photos of places that are not there. The figures are
    those of cross-validation over five strips of the ground, with gaps between what is learned from
    and what is measured on.

    Args:
        index: The index folder, or milvus://HOST:19530/COLLECTION; its own model describes the data
            set.
        dataset: Layout of the data, as for `netvlad test`.
        data_dir: The folder the data set lies in.
        split: Which split: one that the model was not trained on.
        utm_zone: UTM zone such as 31N, where the format does not say.
        radius_m: How near the first place must lie to count as right (metres).
        rerank: Fit those of re-ranked answers, which `netvlad locate --rerank` gives.
        matcher: Fit those that `netvlad locate --matcher` of that name gives [default: with
            --rerank, sift].
    """
    from netvlad.cli.settings import tell  # noqa: PLC0415 - brings every reader
    from netvlad.datasets import open_dataset  # noqa: PLC0415

    with reporting() as report:
        opened = PlaceIndex.open(index, compute=compute)
        data = tell(open_dataset(dataset, data_dir, split, utm_zone=utm_zone), report)
        reranked = matcher_name(matcher or rerank)
        answers = labelled_answers(
            opened.model,
            data,
            radius_m=radius_m,
            cache=None if reranked is None else FeatureCache(None),
            matcher=opened.matcher(reranked or DEFAULT_MATCHER, report=report),
            compute=compute,
            report=report,
        )
        names = feature_names(opened.model, reranked=reranked is not None)
        calibration, measures = fit(answers, data, names, radius_m=radius_m)
        name = document_name(reranked=reranked or False)
        opened.store.put_document(name, calibration.to_json())
    show(confidence_table(f"Probabilities on {data.name} {split}, held out", measures))
