"""The average of the weights over the steps: what is validated, stored and used.

A step follows one batch, and what it learns there is partly chance. The mean over many steps has
less of that than the last one (Polyak and Juditsky, SIAM J. Control Optim. 1992; for deep networks
Izmailov et al., "Averaging Weights Leads to Wider Optima", UAI 2018). Steps and mining use
the weights themselves.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from netvlad.models import PlaceModel

_COUNT = "average.count"
_WEIGHT = "average.last."


class WeightAverage:
    """Follows the weights of a model in training.

    Attributes:
        model: with the averaged weights; without averaging the trained model itself.
    """

    def __init__(self, trained: PlaceModel, first_epoch: int) -> None:
        """Begin without any step; the average is what ``trained`` has now.

        Args:
            trained: whose weights change.
            first_epoch: counted from 1; until then the average is what the last step gave. 0 never
                averages.
        """
        self._trained, self._first_epoch = trained, first_epoch
        self._average = AveragedModel(trained) if first_epoch else None
        self.model = trained
        if self._average is not None:
            self.model = cast(PlaceModel, self._average.module)

    def step(self, epoch: int) -> None:
        """Take in what a step of ``epoch`` gave."""
        if self._average is None:
            return
        self._average.update_parameters(self._trained)
        if epoch < self._first_epoch:
            self._average.n_averaged.zero_()  # the next update starts anew, by copying

    def finish(self) -> None:
        """Give the trained model the averaged weights."""
        if self._average is not None:
            self._trained.load_state_dict(self.model.state_dict())

    def to_parts(self) -> dict[str, Tensor]:
        """What a checkpoint needs beside the averaged weights: those of the last step."""
        if self._average is None:
            return {}
        last = {
            f"{_WEIGHT}{name}": value.detach()
            for name, value in self._trained.named_parameters()
            if value.requires_grad
        }
        return {_COUNT: self._average.n_averaged, **last}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`to_parts`; both models have the averaged weights.

        Where training did not average so far, averaging starts here; where it is not to average any
        more, training resumes from the last step.
        """
        if _COUNT not in tensors:
            return
        weights = self._trained.state_dict()
        with torch.no_grad():
            for key, value in tensors.items():
                if key.startswith(_WEIGHT):
                    weights[key.removeprefix(_WEIGHT)].copy_(value)
        if self._average is not None:
            self._average.n_averaged.copy_(tensors[_COUNT])
