"""The losses: a pure function each, on descriptors and index arrays, without Python loops."""

import torch
import torch.nn.functional as F
from torch import Tensor


def triplet_loss(descriptors: Tensor, triplets: Tensor, *, margin: float) -> Tensor:
    """The ranking loss of pytorch-NetVlad: mean of max(0, ‖q − p‖ − ‖q − n‖ + √margin).

    The NetVLAD paper (Arandjelović et al., CVPR 2016, equation 7) has squared distances and
    ``margin`` itself; the square roots are what pytorch-NetVlad's published numbers were got with.

    Args:
        descriptors: (U, D), each image of the batch once.
        triplets: (T, 3) int64 rows of ``descriptors``: query, positive, negative.
        margin: the paper's m; its root is added to distances.

    Returns:
        A scalar; 0 without any triplet.
    """
    query, positive, negative = descriptors[triplets].unbind(1)
    gap = _distance(query, positive) - _distance(query, negative)
    return _mean(torch.relu(gap + margin**0.5))


def hardest_triplets_loss(
    descriptors: Tensor,
    positive_pairs: Tensor,
    negative_pairs: Tensor,
    *,
    margin: float,
    negatives: int,
) -> Tensor:
    """The ranking loss over all positive pairs of a batch, each against its hardest negatives.

    Every image of a positive pair is in turn the anchor; its negatives are the ``negatives``
    nearest images of the *whole* batch that show other places, not only those mined for it
    ("batch hard", Hermans et al., arXiv 1703.07737, section 2). The mean is over the triplets that
    violate the margin: the others would only shrink the gradient while training succeeds.

    Args:
        descriptors: (U, D), L2-normalised.
        positive_pairs: (U, U) bool, symmetric; the diagonal is False.
        negative_pairs: (U, U) bool, symmetric.
        margin: as in :func:`triplet_loss`.
        negatives: how many negatives per anchor and positive.

    Returns:
        A scalar; 0 when nothing violates the margin.
    """
    anchor, positive = positive_pairs.nonzero(as_tuple=True)
    squared = 2 - 2 * descriptors @ descriptors.T
    distance = squared.clamp_min(1e-9).sqrt()
    gap = distance[anchor, positive][:, None] - distance[anchor] + margin**0.5
    gap = gap.masked_fill(~negative_pairs[anchor], -torch.inf)
    worst = torch.relu(gap.topk(min(negatives, gap.shape[1]), dim=1).values)
    return worst.sum() / (worst > 0).sum().clamp_min(1)


def multi_similarity_loss(
    descriptors: Tensor,
    positive_pairs: Tensor,
    negative_pairs: Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
) -> Tensor:
    """Multi-Similarity loss (Wang et al., CVPR 2019, equation 15) over the pairs of a batch.

    Args:
        descriptors: (U, D), L2-normalised.
        positive_pairs: (U, U) bool, which pairs show the same place; the diagonal is False.
        negative_pairs: (U, U) bool, which pairs show different places; pairs in neither mask
            (too far to be sure, too near to be wrong) do not count.
        alpha: weight of positive pairs.
        beta: weight of negative pairs.
        base: the similarity λ that separates the two.

    Returns:
        A scalar: the mean over the images that have at least one pair; 0 without any.
    """
    similarity = descriptors @ descriptors.T
    pull = _soft_sum(-alpha * (similarity - base), positive_pairs) / alpha
    push = _soft_sum(beta * (similarity - base), negative_pairs) / beta
    counted = (positive_pairs | negative_pairs).any(1)
    return _mean((pull + push)[counted])


def mil_nce_loss(
    descriptors: Tensor,
    positive_pairs: Tensor,
    negative_pairs: Tensor,
    *,
    temperature: float = 0.05,
) -> Tensor:
    """MIL-NCE (Miech et al., CVPR 2020, equation 1) over the pairs of a batch.

    Per image −log of the share that its positives have in Σ exp(s/τ) over positives and negatives.
    The sum is inside the logarithm: one positive that is much nearer than every negative is
    enough. That suits labels that are positions only, for of the images taken near a place most
    look elsewhere; it is the assumption of the NetVLAD paper too (section 4.1: at least one of the
    potential positives shows what the query shows).

    Args:
        descriptors: as in :func:`multi_similarity_loss`, with what follows.
        positive_pairs: see there; which pairs *may* show the same place.
        negative_pairs: see there.
        temperature: τ; the smaller, the more the nearest images decide.

    Returns:
        A scalar: the mean over the images that have a positive and a negative; 0 without any.
    """
    counted = positive_pairs.any(1) & negative_pairs.any(1)
    scores = (descriptors[counted] @ descriptors.T) / temperature
    positive = scores.masked_fill(~positive_pairs[counted], -torch.inf).logsumexp(1)
    negative = scores.masked_fill(~negative_pairs[counted], -torch.inf).logsumexp(1)
    return _mean(F.softplus(negative - positive))


def _mean(values: Tensor) -> Tensor:
    """The mean, which of nothing is 0 with a gradient of 0, where torch's own is NaN."""
    return values.sum() / max(len(values), 1)


def _soft_sum(exponents: Tensor, mask: Tensor) -> Tensor:
    """log(1 + Σ exp) over the masked entries of each row, without overflow."""
    zero = exponents.new_zeros(len(exponents), 1)
    return torch.cat([zero, exponents.masked_fill(~mask, -torch.inf)], dim=1).logsumexp(1)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    # The square root has no gradient at 0, which two identical images would meet.
    return (a - b).square().sum(1).clamp_min(1e-12).sqrt()
