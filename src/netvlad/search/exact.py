"""Exact nearest-neighbour search: the database streams through in blocks, with a running top-k."""

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.errors import ModelError
from netvlad.storage import drop_pages
from netvlad.types import Matches

GROUP = 32
"""Database rows whose smallest score is looked at first; tiles hold a multiple of it."""

DENSE = 8
"""Above this many promising groups per query, a top-k of the tile is cheaper than each of them."""


class RunningNearest:
    """The k nearest database rows of each query among the tiles offered so far.

    After the first tiles almost no distance beats a query's k-th best. So a tile is reduced to the
    smallest score of each group of rows, and only the groups that can win are looked at closely.

    Of two equal distances the one with the lower index comes first. That needs tiles in ascending
    order of their rows and nothing else.

    Attributes:
        squared: (Q, k) squared L2 distances, best first; inf where there is nothing.
        indices: (Q, k) int64 database rows; -1 where there is nothing.
    """

    def __init__(self, norms: torch.Tensor, asked: torch.Tensor, k: int) -> None:
        """Keep ``k`` for queries of so squared ``norms`` (Q,), but for those not ``asked`` (Q,)."""
        self.squared = norms.new_full((len(norms), k), torch.inf)
        self.indices = torch.full((len(norms), k), -1, device=norms.device)
        self._norms = norms
        # What a distance must be below; nothing is below -inf.
        self._limits = torch.where(asked, torch.inf, -torch.inf).to(norms.dtype)

    def offer(self, queries: slice, scores: torch.Tensor, first: int) -> None:
        """Take in the distances of some queries to some database rows.

        ``scores`` are (T, B) contiguous ‖d‖² − 2 q·d, inf for rows that must not be returned; T is
        a multiple of ``GROUP``. The length of the query is left out: adding it to what may win,
        instead of to everything, saves a pass over memory. The row of ``scores[0]``, ``first``, is
        above all those offered before.
        """
        norms, limits = self._norms[queries], self._limits[queries]
        groups = scores.view(-1, GROUP, scores.shape[1])
        # Rounding is monotone: the smallest score gives the smallest distance, to the last bit.
        lowest = _squared(groups.amin(1), norms)
        group, query = (lowest < limits).nonzero(as_tuple=True)
        if len(query) > DENSE * len(norms):
            limits = torch.minimum(limits, self._limits_within(scores, norms))
            group, query = (lowest < limits).nonzero(as_tuple=True)
        if len(query) == 0:
            return
        # By query, and within a query still by group: the order of the rows.
        query, order = query.sort(stable=True)
        group = group[order]
        squared = _squared(groups[group, :, query], norms[query, None])
        pair, member = (squared < limits[query, None]).nonzero(as_tuple=True)
        rows = first + group[pair] * GROUP + member
        self._merge(queries.start + query[pair], squared[pair, member], rows)

    def _limits_within(self, scores: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """(B,) what the k best of this tile alone are below."""
        k = min(self.squared.shape[1], len(scores))
        kth = scores.topk(k, dim=0, largest=False, sorted=False).values.amax(0)
        # Those equal to the k-th belong to it: which of them stay is decided by their indices.
        return torch.nextafter(_squared(kth, norms), kth.new_tensor(torch.inf))

    def _merge(self, query: torch.Tensor, squared: torch.Tensor, rows: torch.Tensor) -> None:
        """Put (H,) hits, ordered by query and then by row, among the k best of their queries."""
        k = self.squared.shape[1]
        opens = torch.ones_like(query, dtype=torch.bool)
        opens[1:] = query[1:] != query[:-1]
        starts, slot = opens.nonzero().squeeze(1), opens.cumsum(0) - 1
        changed = query[starts]
        # A table with a line per changed query: its k best, then its hits, then nothing.
        place = torch.arange(len(query), device=query.device) - starts[slot]
        width = k + int(place.max()) + 1
        values = squared.new_full((len(changed), width), torch.inf)
        indices = rows.new_full((len(changed), width), -1)
        values[:, :k] = self.squared[changed]
        indices[:, :k] = self.indices[changed]
        values[slot, k + place] = squared
        indices[slot, k + place] = rows
        # Stable: what was there before, and then what has the lower row, stays in front.
        values, order = values.sort(dim=1, stable=True)
        self.squared[changed] = values[:, :k]
        self.indices[changed] = indices.gather(1, order[:, :k])
        self._limits[changed] = values[:, k - 1]


def _squared(scores: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """‖q − d‖² = (‖d‖² − 2 q·d) + ‖q‖²; rounding may leave it a little below zero."""
    return (scores + norms).clamp_min_(0.0)


# Of database rows and of queries held at once, as float32; the database is read once for each such
# part of the queries.
DATABASE_BYTES, QUERY_BYTES = 64 * 2**20, 2**30
PIECE_BYTES = 4 * 2**20  # of rows converted at once: small enough for the processor's cache

CPU_TILE = (1024, 2048)
GPU_TILE = (8192, 4096)
"""Most (database rows, queries) of one matrix product. On the CPU its result should stay in the
cache for the one look taken at it; a GPU wants few large ones."""


@torch.inference_mode()
def search_exact(
    queries: NDArray[np.floating],
    database: NDArray[np.floating],
    k: int,
    *,
    query_mask: NDArray[np.bool_] | None = None,
    database_mask: NDArray[np.bool_] | None = None,
    device: torch.device | str = "auto",
    database_block: int | None = None,
) -> Matches:
    """The ``k`` database rows with the smallest squared L2 distance to each query row.

    Both sides may be float16, float32 or float64, in memory or memory-mapped; the arithmetic is in
    float32. What is held at once does not depend on the number of database rows: at most
    ``DATABASE_BYTES`` of them and ``QUERY_BYTES`` of queries. Pages of mapped files are given back
    after each block (see :func:`netvlad.storage.drop_pages`).

    Of rows at equal distance (copies of one row, say) the lower index comes first. A row that is
    not finite is never returned; a query that is not finite gets nothing.

    Args:
        queries: (Q, D) descriptors, not necessarily normalised.
        database: (N, D) descriptors.
        k: how many to return; columns beyond the number of usable rows hold -1.
        query_mask: (Q,) False for queries that have no descriptor: their rows are all -1.
        database_mask: (N,) False for rows that must never be returned.
        device: where the products are computed; ``"auto"`` takes a GPU if there is one.
        database_block: database rows held at once, rounded up to a multiple of ``GROUP``; None
            takes as many as ``DATABASE_BYTES`` hold. The answer does not depend on it.

    Returns:
        Matches with (Q, k) indices, best first.

    Raises:
        ModelError: the two sides have different dimensions.
    """
    if queries.ndim != 2 or database.ndim != 2 or queries.shape[1] != database.shape[1]:
        raise ModelError(
            f"queries of shape {queries.shape} cannot be searched in a database of shape "
            f"{database.shape}: both must be (count, dimension) with one dimension"
        )
    indices = np.full((len(queries), k), -1, dtype=np.int64)
    distances = np.full((len(queries), k), np.inf, dtype=np.float32)
    if indices.size and len(database):
        device = Compute(device=str(device)).torch_device()
        held = _Rows(queries, query_mask, _rows_within(QUERY_BYTES, queries), device)
        block = database_block or _rows_within(DATABASE_BYTES, database)
        streamed = _Rows(database, database_mask, block, device)
        for start in range(0, len(queries), held.capacity):
            found = _search_part(held, start, streamed, k)
            part = slice(start, start + held.count)
            indices[part] = found.indices[: held.count].cpu().numpy()
            distances[part] = found.squared[: held.count].cpu().numpy()
    return Matches(indices=indices, squared_distances=distances)


class _Rows:
    """Room on the device for some rows of an array, and the rows that were last loaded into it.

    Attributes:
        capacity: how many rows there is room for, a multiple of ``GROUP``.
        count: how many of the rows come from the array; those after them are zero.
        rows: (capacity, D) float32.
        norms: (capacity,) squared lengths.
        usable: (capacity,) False for masked rows, rows that are not finite, and those after them.
    """

    def __init__(
        self,
        source: NDArray[np.floating],
        mask: NDArray[np.bool_] | None,
        most: int,
        device: torch.device,
    ) -> None:
        self.source, self.mask = source, mask
        self.capacity = _even(len(source), most)
        self.count = 0
        dimension = source.shape[1]
        self.rows = torch.zeros((self.capacity, dimension), device=device)
        self.norms = torch.zeros(self.capacity, device=device)
        self.usable = torch.zeros(self.capacity, dtype=torch.bool, device=device)
        piece = _even(self.capacity, PIECE_BYTES // (4 * max(dimension, 1)))
        # torch converts half precision many times faster than numpy does.
        kept = {"float16": torch.float16, "float64": torch.float64}
        dtype = kept.get(source.dtype.name, torch.float32)
        self._staging = torch.zeros((piece, dimension), dtype=dtype)

    def load(self, start: int) -> None:
        """Fill the room with the rows from ``start`` on."""
        self.count = min(self.capacity, len(self.source) - start)
        for at in range(0, self.capacity, len(self._staging)):
            self._load_piece(start, at)
        self.usable.zero_()
        if self.mask is None:
            self.usable[: self.count] = True
        else:
            mask = np.array(self.mask[start : start + self.count], dtype=np.bool_)
            self.usable[: self.count].copy_(torch.from_numpy(mask))
        broken = ~self.norms.isfinite()
        if broken.any():
            # One NaN would spread to the smallest score of its whole group.
            self.rows[broken] = 0.0
            self.norms[broken] = 0.0
            self.usable &= ~broken

    def _load_piece(self, start: int, at: int) -> None:
        target = self.rows[at : at + len(self._staging)]
        count = max(0, min(len(target), self.count - at))
        rows = self.source[start + at : start + at + count]
        np.copyto(self._staging[:count].numpy(), rows, casting="same_kind")
        drop_pages(self.source)
        target[:count].copy_(self._staging[:count])
        target[count:].zero_()
        self.norms[at : at + len(target)] = target.square().sum(1)


def _search_part(held: _Rows, start: int, streamed: _Rows, k: int) -> RunningNearest:
    """The nearest of the whole database to the queries from ``start`` on that there is room for."""
    held.load(start)
    running = RunningNearest(held.norms, held.usable, k)
    held.rows.mul_(-2.0)
    device = held.rows.device
    most = CPU_TILE if device.type == "cpu" else GPU_TILE
    height, width = _even(streamed.capacity, most[0]), _even(held.capacity, most[1])
    buffer = torch.empty(height * width, device=device)
    for row in range(0, len(streamed.source), streamed.capacity):
        streamed.load(row)
        norms = torch.where(streamed.usable, streamed.norms, torch.inf)
        for left in range(0, held.count, width):
            queries = held.rows[left : left + width]
            for top in range(0, streamed.count, height):
                database = streamed.rows[top : top + height]
                scores = buffer[: len(database) * len(queries)].view(len(database), len(queries))
                torch.addmm(norms[top : top + height, None], database, queries.T, out=scores)
                running.offer(slice(left, left + len(queries)), scores, row + top)
    return running


def _rows_within(budget: int, array: NDArray[np.floating]) -> int:
    return budget // (4 * max(int(array.shape[1]), 1))


def _even(total: int, most: int) -> int:
    """The size of equal parts of ``total``, about ``most`` at most: a multiple of ``GROUP``.

    Products of one shape whose sides are such multiples give a pair of rows the same distance
    wherever they stand, which is what makes copies of a row equally far from a query.
    """
    parts = -(-total // max(most, 1))
    return GROUP * -(-total // (parts * GROUP))
