"""The nearest rows found so far, while distances arrive tile by tile."""

import torch

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
        """Start with nothing.

        Args:
            norms: (Q,) squared lengths of the queries.
            asked: (Q,) bool, False for queries that shall get nothing.
            k: how many to keep, at least 1.
        """
        self.squared = norms.new_full((len(norms), k), torch.inf)
        self.indices = torch.full((len(norms), k), -1, device=norms.device)
        self._norms = norms
        # What a distance must be below; nothing is below -inf.
        self._limits = torch.where(asked, torch.inf, -torch.inf).to(norms.dtype)

    def offer(self, queries: slice, scores: torch.Tensor, first: int) -> None:
        """Take in the distances of some queries to some database rows.

        Args:
            queries: which queries, B of them.
            scores: (T, B) contiguous ‖d‖² − 2 q·d, inf for rows that must not be returned; T is a
                multiple of ``GROUP``. The length of the query is left out: adding it to what may
                win, instead of to everything, saves a walk through memory.
            first: the database row of ``scores[0]``; above all those offered before.
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
