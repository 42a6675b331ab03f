"""From features of an answer to the probability that it is right: a fitted logistic model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netvlad.errors import DataError, SettingsError, StorageError

L2 = 1.0


@dataclass(frozen=True)
class Calibration:
    """p = 1 / (1 + exp(−(intercept + Σ_j coefficients[j] · (x[j] − means[j]) / scales[j]))).

    Attributes:
        names: the f features it reads, in this order.
        means: f averages over the answers it was fitted to.
        scales: f standard deviations over the same, all positive.
        coefficients: f weights of the standardised features.
        intercept: the log-odds of an average answer.
        radius_m: how near the first place must lie to count as right; also tells the features
            which places are the same.
        provenance: what it was fitted to: data, number of answers, model.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    radius_m: float
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.means), len(self.scales), len(self.coefficients)}
        if lengths != {len(self.names)}:
            raise DataError(
                f"calibration: {len(self.names)} names but {len(self.means)} means, "
                f"{len(self.scales)} scales and {len(self.coefficients)} coefficients; fit it again"
            )
        numbers = (*self.means, *self.scales, *self.coefficients, self.intercept)
        if not np.isfinite(numbers).all() or min(self.scales, default=1.0) <= 0:
            raise DataError("calibration: a number is not finite or a scale is 0; fit it again")
        if not (np.isfinite(self.radius_m) and self.radius_m > 0):
            raise SettingsError(f"radius_m is {self.radius_m}; give a number of metres above 0")

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """How likely each answer is right: (n,) in [0, 1], NaN where a feature is NaN.

        ``features`` are (n, f) in the order of ``names``; or (f,) of one answer, which gives ().

        Raises:
            DataError: the array has another shape.
        """
        table = np.asarray(features, np.float64)
        if table.ndim not in (1, 2) or table.shape[-1] != len(self.names):
            raise DataError(
                f"features have shape {table.shape}; this calibration reads {len(self.names)}: "
                f"{', '.join(self.names)}"
            )
        standard = (table - np.array(self.means)) / np.array(self.scales)
        return _logistic(standard @ np.array(self.coefficients) + self.intercept)

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        lists = ("names", "means", "scales", "coefficients")
        return asdict(self) | {key: list(getattr(self, key)) for key in lists}

    @classmethod
    def from_json(cls, content: Any, source: str) -> "Calibration":
        """Read what :meth:`to_json` gave; ``source`` is the file, for the message.

        Raises:
            StorageError: it is no calibration, or a damaged one.
        """
        try:
            values: dict[str, Any] = {
                "names": tuple(str(name) for name in content["names"]),
                "provenance": dict(content.get("provenance", {})),
            }
            for key in ("means", "scales", "coefficients"):
                values[key] = tuple(float(value) for value in content[key])
            for key in ("intercept", "radius_m"):
                values[key] = float(content[key])
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"{source}: is not a calibration ({type(error).__name__}: {error}); "
                "fit it again with `netvlad index calibrate`"
            ) from error
        except (DataError, SettingsError) as error:
            raise StorageError(f"{source}: {error}") from error


def fit_calibration(
    features: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *,
    names: Sequence[str],
    radius_m: float = 25.0,
    l2: float = L2,
    provenance: Mapping[str, str | int | float] | None = None,
) -> Calibration:
    """Logistic regression with an L2 penalty (Hastie et al., Statistical Learning, section 4.4).

    Minimises Σ_i log(1 + exp(−y_i z_i)) + l2/2 · Σ_j w_j², y = ±1, over standardised features; the
    intercept is not penalised, so that the average probability equals the share that is right. The
    optimum is unique and does not depend on the order of the answers.

    Args:
        features: (n, f) one row for each answer; rows with a NaN are left out.
        correct: (n,) whether the first place was right.
        names: of the f features.
        radius_m: how near the first place had to lie to count as right.
        l2: strength of the penalty, above 0.
        provenance: what the answers were; the number of answers and of right ones is added.

    Raises:
        DataError: shapes do not fit, a feature is infinite, or the answers are all right or all
            wrong.
        SettingsError: ``l2`` or ``radius_m`` is out of range.
    """
    table, truth = _usable(features, correct, names)
    if not (np.isfinite(l2) and l2 > 0):
        raise SettingsError(f"l2 is {l2}; give a number above 0")
    means, scales = table.mean(axis=0), table.std(axis=0)
    # A feature that never changes says nothing: it becomes 0 and keeps the weight 0. Rounding of
    # the mean leaves such a feature a spread of about 1e-16 of its size.
    scales = np.where(scales > 1e-12 * np.maximum(1.0, np.abs(means)), scales, 1.0)
    weights = _minimum((table - means) / scales, np.where(truth, 1.0, -1.0), l2)
    return Calibration(
        names=tuple(names),
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        coefficients=tuple(weights[:-1].tolist()),
        intercept=float(weights[-1]),
        radius_m=radius_m,
        provenance={**(provenance or {}), "answers": len(truth), "right": int(truth.sum())},
    )


def _usable(
    features: NDArray[np.float64], correct: NDArray[np.bool_], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    table, truth = np.asarray(features, np.float64), np.asarray(correct, np.bool_)
    if table.ndim != 2 or table.shape != (len(truth), len(names)) or truth.ndim != 1:
        raise DataError(
            f"features of shape {table.shape} do not fit {truth.shape} answers and "
            f"{len(names)} names"
        )
    if np.isinf(table).any():
        column = int(np.flatnonzero(np.isinf(table).any(axis=0))[0])
        raise DataError(f"feature {names[column]} is infinite in some answers; check its input")
    kept = ~np.isnan(table).any(axis=1)
    table, truth = table[kept], truth[kept]
    if truth.all() or not truth.any():
        raise DataError(
            f"{len(truth)} answers with features, {int(truth.sum())} of them right: a calibration "
            "needs right and wrong ones; add queries of places that are not in the index"
        )
    return table, truth


def _logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    probability: NDArray[np.float64] = np.exp(-np.logaddexp(0, -logits))
    return probability


def _minimum(
    standard: NDArray[np.float64], signs: NDArray[np.float64], l2: float
) -> NDArray[np.float64]:
    """(f + 1,) the weights and, last, the intercept at the optimum."""
    from scipy.optimize import minimize  # noqa: PLC0415 - half a second, for fitting alone

    design = np.column_stack([standard, np.ones(len(standard))])
    penalty = np.full(design.shape[1], l2)
    penalty[-1] = 0.0

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = signs * (design @ w)
        gradient = -design.T @ (signs * _logistic(-margins)) + penalty * w
        return float(np.logaddexp(0, -margins).sum() + (penalty * w * w).sum() / 2), gradient

    def curvature(w: NDArray[np.float64]) -> NDArray[np.float64]:
        p = _logistic(design @ w)
        hessian: NDArray[np.float64] = (design * (p * (1 - p))[:, None]).T @ design
        hessian += np.diag(penalty)
        return hessian

    found: NDArray[np.float64] = minimize(
        loss,
        np.zeros(design.shape[1]),
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"gtol": 1e-8 * len(design), "maxiter": 1000},
    ).x
    return found
