"""Empty faiss structures whose codes are learned from a sample of rows."""

from typing import Any

import faiss as _faiss
import numpy as np
import torch
from numpy.typing import NDArray

faiss: Any = _faiss  # its type stubs lack much of what is used here

LINKS = 24
"""M of HNSW: links per row and layer, twice as many in the lowest (4 bytes each)."""

BUILD_BREADTH = 60
"""ef_construction of HNSW."""

MOST_DIMENSIONS = 512
"""What IVF-PQ keeps of longer descriptors: codes only choose candidates."""

ITERATIONS = 10
"""Of every k-means."""


def new_hnsw(sample: NDArray[np.float32], rows: int, seed: int) -> Any:
    """An empty HNSW graph (Malkov and Yashunin 2018) over 8-bit codes of each dimension.

    Against a graph over the descriptors themselves it takes a quarter of the memory, and the few
    swaps that the codes cause are undone by re-scoring.

    Args:
        sample: (S, D) rows that tell the range of each dimension.
        rows: how many will be added; the graph does not depend on it.
        seed: of the layers that rows fall into.
    """
    del rows
    index = faiss.IndexHNSWSQ(sample.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS)
    index.hnsw.efConstruction = BUILD_BREADTH
    index.hnsw.rng = faiss.RandomGenerator(seed)
    index.train(sample)
    return index


def new_ivf_pq(sample: NDArray[np.float32], rows: int, seed: int) -> Any:
    """Empty inverted lists of product quantisation codes (Jégou et al. 2011).

    Rows are compared by inner product, which for L2-normalised ones ranks as the distance does and
    needs no table per list. A random rotation spreads what the dimensions hold evenly over the
    codes. (OPQ instead, at 60,000 × 512 and 64 bytes: recall@20 0.9982 instead of 0.9972 among 200
    candidates, for three times the training; re-scoring 400 gains the same.)

    Args:
        sample: (S, D) rows to learn from, at least 256.
        rows: how many will be added; the number of lists follows from it.
        seed: of rotation and k-means.
    """
    kept = min(sample.shape[1], MOST_DIMENSIONS, len(sample))
    codes = min(kept, max(16, min(64, kept // 8)))
    kept -= kept % codes
    # 4 √rows lists, as a power of two: the quantiser then costs about as much as the lists.
    lists = min(len(sample), 2 ** round(np.log2(4.0 * np.sqrt(rows))))
    inverted = faiss.IndexIVFPQ(
        faiss.IndexFlatIP(kept), kept, lists, codes, 8, faiss.METRIC_INNER_PRODUCT
    )
    for clustering in (inverted.cp, inverted.pq.cp):
        clustering.niter, clustering.seed = ITERATIONS, seed
        # We chose the sample; faiss would warn on stderr.
        clustering.min_points_per_centroid = 1
    inverted.cp.max_points_per_centroid = max(1, len(sample) // lists + 1)
    inverted.cp.spherical = True
    index = faiss.IndexPreTransform(_rotation(sample, kept, seed), inverted)
    index.train(sample)
    return index


def _rotation(sample: NDArray[np.float32], kept: int, seed: int) -> Any:
    """A random rotation; of the principal directions alone where fewer dimensions are kept.

    The directions are those of the second moment, not of the covariance: without the mean, inner
    products would be others.
    """
    dimension = sample.shape[1]
    random = np.random.default_rng(seed)
    matrix = np.linalg.qr(random.normal(size=(kept, kept)))[0]
    if kept < dimension:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, _, directions = torch.svd_lowrank(torch.from_numpy(sample[:20_000]), q=kept)
        matrix = matrix @ directions.numpy().T
    transform = faiss.LinearTransform(dimension, kept, False)
    faiss.copy_array_to_vector(np.ascontiguousarray(matrix, np.float32).ravel(), transform.A)
    transform.is_trained = True
    return transform
