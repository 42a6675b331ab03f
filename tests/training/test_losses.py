import numpy as np
import pytest
import torch

from netvlad.training.losses import (
    hardest_triplets_loss,
    mil_nce_loss,
    multi_similarity_loss,
    triplet_loss,
)


def unit_rows(count, dim, seed=0):
    rows = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


def test_triplet_loss_equals_torch_and_a_loop():
    x = unit_rows(9, 5).double()
    triplets = torch.tensor([[0, 1, 2], [0, 1, 3], [4, 5, 6], [4, 5, 8]])
    reference = torch.nn.TripletMarginLoss(margin=0.1**0.5, reduction="sum")
    slow = sum(reference(x[q][None], x[p][None], x[n][None]) for q, p, n in triplets.tolist())
    assert triplet_loss(x, triplets, margin=0.1).item() == pytest.approx(slow.item() / 4, abs=2e-6)


def test_triplet_loss_has_a_gradient_where_images_are_identical():
    x = unit_rows(1, 4).repeat(3, 1).requires_grad_()
    triplet_loss(x, torch.tensor([[0, 1, 2]]), margin=0.1).backward()
    assert torch.isfinite(x.grad).all()


def test_multi_similarity_loss_equals_its_equation():
    x = unit_rows(6, 4, seed=3).double()
    places = np.array([0, 0, 1, 1, 2, 3])
    positive = torch.from_numpy(places[:, None] == places) & ~torch.eye(6, dtype=torch.bool)
    negative = torch.from_numpy(places[:, None] != places)
    negative[4, 5] = negative[5, 4] = False  # one pair that is neither
    s = (x @ x.T).numpy()
    rows = []
    for i in range(6):
        pull = sum(np.exp(-2.0 * (s[i, j] - 0.5)) for j in range(6) if positive[i, j])
        push = sum(np.exp(50.0 * (s[i, j] - 0.5)) for j in range(6) if negative[i, j])
        rows.append(np.log1p(pull) / 2.0 + np.log1p(push) / 50.0)
    assert multi_similarity_loss(x, positive, negative).item() == pytest.approx(np.mean(rows))


def test_mil_nce_loss_equals_its_equation():
    x = unit_rows(6, 4, seed=3).double()
    places = np.array([0, 0, 0, 1, 1, 2])
    positive = torch.from_numpy(places[:, None] == places) & ~torch.eye(6, dtype=torch.bool)
    negative = torch.from_numpy(places[:, None] != places)
    negative[0, 3] = negative[3, 0] = False  # one pair that is neither
    e = np.exp((x @ x.T).numpy() / 0.1)
    rows = []
    for i in range(5):  # the last image has no positive and does not count
        right = sum(e[i, j] for j in range(6) if positive[i, j])
        wrong = sum(e[i, j] for j in range(6) if negative[i, j])
        rows.append(-np.log(right / (right + wrong)))
    loss = mil_nce_loss(x, positive, negative, temperature=0.1)
    assert loss.item() == pytest.approx(np.mean(rows))


def test_mil_nce_loss_needs_one_near_positive_only():
    x = torch.tensor([[1.0, 0], [1, 0], [0, 1], [-1, 0]])
    positive = torch.zeros(4, 4, dtype=torch.bool)
    positive[0, 1] = positive[0, 2] = True
    negative = torch.zeros(4, 4, dtype=torch.bool)
    negative[0, 3] = True
    assert mil_nce_loss(x, positive, negative).item() < 1e-6


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, none: triplet_loss(x, torch.zeros(0, 3, dtype=torch.int64), margin=0.1),
        lambda x, none: hardest_triplets_loss(x, none, none, margin=0.1, negatives=2),
        multi_similarity_loss,
        mil_nce_loss,
    ],
    ids=["triplet", "hardest-triplets", "multi-similarity", "mil-nce"],
)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_pairs_every_loss_is_zero_with_a_gradient(loss, count):
    x = torch.nn.functional.normalize(torch.randn(count, 4), dim=1).requires_grad_()
    nothing = torch.zeros(count, count, dtype=torch.bool)
    value = loss(x, nothing) if loss.__name__ == "<lambda>" else loss(x, nothing, nothing)
    value.backward()
    assert value.item() == 0 and not x.grad.any()


@pytest.mark.parametrize("count", [1, 2, 9])
def test_hardest_triplets_equal_a_loop(count):
    x = unit_rows(7, 4, seed=5).double()
    places = np.array([0, 0, 0, 1, 1, 2, 3])
    positive = torch.from_numpy(places[:, None] == places) & ~torch.eye(7, dtype=torch.bool)
    negative = torch.from_numpy(places[:, None] != places)
    violations = []
    for a, p in positive.nonzero().tolist():
        gaps = [
            (x[a] - x[p]).norm() - (x[a] - x[n]).norm() + 0.1**0.5
            for n in range(7)
            if negative[a, n]
        ]
        violations += [g.item() for g in sorted(gaps, reverse=True)[:count] if g > 0]
    loss = hardest_triplets_loss(x, positive, negative, margin=0.1, negatives=count)
    assert loss.item() == pytest.approx(np.mean(violations), abs=1e-6)
    easy = torch.eye(7).double()[[0, 0, 0, 1, 1, 2, 3]]
    assert hardest_triplets_loss(easy, positive, negative, margin=0.1, negatives=2).item() == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_in_float64(seed):
    x = unit_rows(5, 3, seed).double().requires_grad_()
    triplets = torch.tensor([[0, 1, 2], [3, 4, 2]])
    assert torch.autograd.gradcheck(lambda d: triplet_loss(d, triplets, margin=0.1), (x,))
    positive = torch.zeros(5, 5, dtype=torch.bool)
    positive[0, 1] = positive[1, 0] = True
    negative = ~positive & ~torch.eye(5, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda d: multi_similarity_loss(d, positive, negative), (x,))
