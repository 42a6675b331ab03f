"""Exact nearest-neighbour search: blocked matrix products with a running top-k."""

import numpy as np
import torch
from numpy.typing import NDArray

from netvlad.errors import ModelError
from netvlad.types import Matches

DATABASE_BLOCK = 8192
QUERY_BLOCK = 1024


@torch.inference_mode()
def search_exact(
    queries: NDArray[np.float32],
    database: NDArray[np.float32],
    k: int,
    *,
    query_mask: NDArray[np.bool_] | None = None,
    database_mask: NDArray[np.bool_] | None = None,
    device: torch.device | str = "cpu",
    database_block: int = DATABASE_BLOCK,
) -> Matches:
    """The ``k`` database rows with the smallest squared L2 distance to each query row.

    The database streams through in blocks, so it may be a memory-mapped array: at most
    ``QUERY_BLOCK`` x ``database_block`` distances are held at once.

    Args:
        queries: (Q, D) descriptors, not necessarily normalised.
        database: (N, D) descriptors.
        k: how many to return; columns beyond the number of usable rows hold -1.
        query_mask: (Q,) False for queries that have no descriptor: their rows are all -1.
        database_mask: (N,) False for rows that must never be returned.
        device: where the products are computed.
        database_block: database rows per product.

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
    for start in range(0, len(queries), QUERY_BLOCK):
        rows = slice(start, start + QUERY_BLOCK)
        block = torch.from_numpy(np.array(queries[rows], dtype=np.float32)).to(device)
        best, where = _search_block(block, database, k, database_mask, device, database_block)
        found = best.shape[1]
        distances[rows, :found] = best.cpu().numpy()
        indices[rows, :found] = where.cpu().numpy()
    nothing = ~np.isfinite(distances)
    if query_mask is not None:
        nothing |= ~query_mask[:, None]
    indices[nothing] = -1
    distances[nothing] = np.inf
    return Matches(indices=indices, squared_distances=distances)


def _search_block(
    queries: torch.Tensor,
    database: NDArray[np.float32],
    k: int,
    database_mask: NDArray[np.bool_] | None,
    device: torch.device | str,
    database_block: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Running top-k of one block of queries: ((B, <=k) squared distances, (B, <=k) indices)."""
    query_norms = queries.square().sum(1, keepdim=True)
    best = torch.empty((len(queries), 0), device=device)
    where = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
    for start in range(0, len(database), database_block):
        rows = np.array(database[start : start + database_block], dtype=np.float32)
        block = torch.from_numpy(rows).to(device)
        # ‖q − d‖² = ‖q‖² + ‖d‖² − 2 q·d; rounding may leave it a little below zero.
        squared = torch.addmm(block.square().sum(1)[None, :], queries, block.T, alpha=-2.0)
        squared = (squared + query_norms).clamp_min_(0.0)
        if database_mask is not None:
            usable = torch.from_numpy(database_mask[start : start + database_block]).to(device)
            squared.masked_fill_(~usable[None, :], torch.inf)
        nearest, at = squared.topk(min(k, squared.shape[1]), dim=1, largest=False)
        best = torch.cat([best, nearest], dim=1)
        where = torch.cat([where, at + start], dim=1)
        best, order = best.topk(min(k, best.shape[1]), dim=1, largest=False)
        where = where.gather(1, order)
    return best, where
