import pytest
import torch

from netvlad.models import Aggregator, AveragePooling, GeneralisedMeanPooling, MaxPooling


@pytest.mark.parametrize("build", [AveragePooling, GeneralisedMeanPooling, MaxPooling])
def test_descriptors_have_unit_length(build: type[Aggregator]) -> None:
    pool = build(6)  # type: ignore[call-arg]
    output = pool(torch.randn(3, 6, 4, 5).bfloat16())
    assert output.shape == (3, pool.output_dim) == (3, 6)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output.norm(dim=1), torch.ones(3))


def test_values_by_hand() -> None:
    features = torch.tensor([[[[1.0, 3.0]], [[2.0, 2.0]]]])
    torch.testing.assert_close(MaxPooling(2)(features) * 13**0.5, torch.tensor([[3.0, 2.0]]))
    torch.testing.assert_close(AveragePooling(2)(features) * 8**0.5, torch.tensor([[2.0, 2.0]]))
    generalised = torch.tensor([[((1 + 27) / 2) ** (1 / 3), 2.0]])
    torch.testing.assert_close(
        GeneralisedMeanPooling(2)(features), generalised / generalised.norm()
    )


def test_generalised_mean_lies_between_average_and_maximum() -> None:
    features = torch.rand(2, 5, 4, 4) + 0.1
    torch.testing.assert_close(
        GeneralisedMeanPooling(5, p=1.0)(features), AveragePooling(5)(features)
    )
    torch.testing.assert_close(
        GeneralisedMeanPooling(5, p=60.0)(features), MaxPooling(5)(features), atol=0.03, rtol=0
    )


def test_p_is_learned_and_survives_negative_features() -> None:
    pool = GeneralisedMeanPooling(5)
    assert list(pool.state_dict()) == ["p"]
    pool(torch.randn(2, 5, 3, 3)).square().sum().backward()
    pool(-torch.rand(2, 5, 3, 3)).sum().backward()
    assert pool.p.grad is not None
    assert torch.isfinite(pool.p.grad).all()


@pytest.mark.parametrize("build", [AveragePooling, GeneralisedMeanPooling, MaxPooling])
def test_gradients(build: type[Aggregator]) -> None:
    torch.manual_seed(0)
    pool = build(3).double()  # type: ignore[call-arg]
    features = torch.rand(2, 3, 2, 2, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(pool, (features.requires_grad_(),))
