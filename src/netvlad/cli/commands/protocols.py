"""``netvlad protocols``: the rules by which figures are counted, and who counted so."""

from rich.table import Table

from netvlad.cli.console import facts_table, show, show_json
from netvlad.evaluation.protocol_record import Protocol
from netvlad.evaluation.protocols import PROTOCOLS, find_protocol


def protocols(name: str | None = None, /, *, json: bool = False) -> None:
    """List the evaluation protocols, or show all fields of one.

    The same descriptors give different recalls under different rules: which queries count, what is
    a correct answer, one index or one for each city. Every published rule has a name here.

    ```
    netvlad protocols msls-val/gsv-740-one-index
    ```

    Args:
        name: A protocol; besides those listed, every radius-METRES and frames-N [default: list
            all].
        json: Print JSON instead of a table.
    """
    found = list(PROTOCOLS.values()) if name is None else [find_protocol(name)]
    if json:
        content = [protocol.to_json() for protocol in found]
        show_json(content if name is None else content[0])
    else:
        show(_overview() if name is None else _all_fields(found[0]))


def _overview() -> Table:
    table = Table(title="Protocols", title_justify="left", show_lines=True)
    table.add_column("name", no_wrap=True)
    for column in ("positives", "queries", "scope", "resizing", "papers"):
        table.add_column(column, overflow="fold")
    for protocol in PROTOCOLS.values():
        table.add_row(
            protocol.name,
            protocol.positives.words,
            _queries(protocol),
            _scope(protocol),
            _resizing(protocol),
            # Authors and year are among the fields of the one protocol.
            "; ".join(paper.partition(" (")[0] for paper in protocol.papers),
        )
    return table


def _all_fields(protocol: Protocol) -> Table:
    published = protocol.published
    suppression = protocol.suppression
    facts = {
        "description": protocol.description,
        "papers": "\n".join(protocol.papers),
        "data sets": ", ".join(protocol.datasets) or "all",
        "positives": protocol.positives.words,
        "queries that count": "all" if protocol.count == "all" else "those with a positive",
        "query filters": "\n".join(f.words for f in protocol.query_filters) or "none",
        "query version": protocol.query_version or "any",
        "database filters": "\n".join(f.words for f in protocol.database_filters) or "none",
        "index": "one" if protocol.index_per is None else f"one per {protocol.index_per}",
        "suppression": "none" if suppression is None else suppression.words,
        "same time stamp": "left out" if protocol.exclude_same_time else "counts",
        "resizing": protocol.resizing.words,
        "resizing of queries": protocol.resizing_of("queries").words,
        "not done by this loader": "\n".join(protocol.refusals) or "nothing",
        "published counts": (
            "" if published is None else f"{published[0]} database, {published[1]} queries"
        ),
        "fingerprint": protocol.fingerprint,
    }
    return facts_table(protocol.name, facts)


def _queries(protocol: Protocol) -> str:
    parts = ["all" if protocol.count == "all" else "with a positive"]
    parts += [f.words for f in protocol.query_filters]
    parts += [protocol.query_version] if protocol.query_version is not None else []
    return ", ".join(parts)


def _scope(protocol: Protocol) -> str:
    parts = ["one index" if protocol.index_per is None else f"an index per {protocol.index_per}"]
    parts += [protocol.suppression.words] if protocol.suppression is not None else []
    parts += ["not the query's own time"] if protocol.exclude_same_time else []
    return ", ".join(parts)


def _resizing(protocol: Protocol) -> str:
    words = protocol.resizing.words
    if protocol.query_resizing is not None:
        words += f"; queries {protocol.query_resizing.words}"
    return f"{words} (not by this loader)" if protocol.refusals else words
