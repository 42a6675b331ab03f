"""Which protocols are for which data sets, of those that somebody named."""

from collections.abc import Sequence

from netvlad.errors import SettingsError
from netvlad.evaluation.protocol_record import Protocol
from netvlad.evaluation.protocols import find_protocol, protocol_for
from netvlad.types import PlaceDataset


def protocols_for(dataset: PlaceDataset, wanted: Sequence[Protocol]) -> list[Protocol]:
    """The protocols of ``wanted`` that are for a data set; its own rules where none is wanted."""
    if not wanted:
        return [protocol_for(dataset)]
    return [p for p in wanted if not p.datasets or dataset.name in p.datasets]


def find_protocols(names: Sequence[str], datasets: Sequence[PlaceDataset]) -> list[Protocol]:
    """Protocols by name, each of them for one of the data sets at least, and the other way round.

    Raises:
        SettingsError: an unknown protocol, one that is for none of the data sets, or a data set
            that none is for.
    """
    found = [find_protocol(name) for name in dict.fromkeys(names)]
    for protocol in found:
        if not any(protocol in protocols_for(dataset, found) for dataset in datasets):
            raise SettingsError(
                f"protocol {protocol.name} is for {' or '.join(protocol.datasets)}, not for "
                f"{' or '.join(d.name for d in datasets)}; see `netvlad protocols`"
            )
    for dataset in datasets:
        if not protocols_for(dataset, found):
            raise SettingsError(
                f"none of the protocols is for {dataset.name}; name one that is, such as radius-25 "
                "(see `netvlad protocols`)"
            )
    return found
