"""What ``netvlad evaluate`` writes beside its page, for programs, spreadsheets and papers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from netvlad.errors import DataError
from netvlad.evaluation.comparison import Comparison, comparisons_to_json
from netvlad.reports.evaluation_csv import write_queries_csv, write_results_csv
from netvlad.reports.evaluation_latex import latex_table
from netvlad.storage import write_json, written_beside

RESULTS_JSON = "results.json"
RESULTS_CSV = "results.csv"
QUERIES_CSV = "queries.csv"
TABLE_TEX = "table.tex"


def write_results(
    folder: Path, comparisons: Sequence[Comparison], provenance: Mapping[str, str]
) -> list[Path]:
    """Write all figures, the outcome of every query, and a table for a paper.

    Each file is whole or absent; an older one of its name is replaced. All of them are UTF-8. A
    file name that is not keeps its odd bytes as ``\\udcNN``, where NN is the byte in hexadecimal.

    Args:
        folder: made if need be.
        comparisons: a data set under a protocol each.
        provenance: what is needed to repeat them: command, versions, date.

    Returns:
        ``results.json``, ``results.csv``, ``queries.csv`` and ``table.tex`` in the folder.

    Raises:
        DataError: there is no comparison.
        StorageError: a file cannot be written.
    """
    if not comparisons:
        raise DataError(f"{folder}: there is nothing to write; evaluate at least one data set")
    content = comparisons_to_json(comparisons, provenance)
    paths = [folder / name for name in (RESULTS_JSON, RESULTS_CSV, QUERIES_CSV, TABLE_TEX)]
    write_json(paths[0], content)
    with written_beside(paths[1]) as temporary:
        write_results_csv(temporary, content)
    with written_beside(paths[2]) as temporary:
        write_queries_csv(temporary, comparisons)
    with written_beside(paths[3]) as temporary:
        temporary.write_text(latex_table(comparisons, provenance), encoding="utf-8")
    return paths
