"""Learning with gradients."""

from netvlad.training.loop import Machine, Trainer
from netvlad.training.recipes import RECIPES, Recipe
from netvlad.training.state import TrainingState

__all__ = ["RECIPES", "Machine", "Recipe", "Trainer", "TrainingState"]
