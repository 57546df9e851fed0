"""What a search tries: members, objectives, boosters' settings, and groups of features left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import Parameters
from salesml_assets.forecasting.algorithms.tuned import ALGORITHM, BOOSTERS, WITH_CALENDAR
from salesml_assets.forecasting.algorithms.xgboost import ABSOLUTE, TWEEDIE
from salesml_assets.forecasting.feature_groups import GROUPS, inputs_of

if TYPE_CHECKING:
    from optuna import Trial

SQUARED = "reg:squarederror"
HUBER = "reg:pseudohubererror"
RATES = (0.02, 0.2)
ROUNDS = (50, 400)
DEPTHS = (3, 9)
MIN_WEIGHTS = (1.0, 100.0)


def default_recipe() -> Parameters:
    """The recipe that every other is compared with: that of the ensemble."""
    return {name: values[0] for name, values in ALGORITHM.grid.items()}


class Space:
    """The choices for one panel.

    Args:
        columns: Columns of the panel; groups without a column are no choice.
        non_negative: Whether targets cannot be below zero, as Tweedie needs.
    """

    def __init__(self, columns: Sequence[str], non_negative: bool) -> None:
        inputs = list(columns)
        self.groups = [group for group in GROUPS if inputs_of([group], inputs)]
        means = [f"{TWEEDIE}+{ABSOLUTE}", TWEEDIE, ABSOLUTE, f"{TWEEDIE}+{ABSOLUTE}+{SQUARED}", f"{TWEEDIE}+{SQUARED}"]
        self.objectives = means if non_negative else [ABSOLUTE, SQUARED, f"{ABSOLUTE}+{SQUARED}", HUBER]

    def suggest(self, trial: Trial) -> Parameters:
        """One recipe."""
        without = [group for group in self.groups if trial.suggest_categorical(f"without_{group}", [False, True])]
        return {
            "members": trial.suggest_categorical("members", [WITH_CALENDAR, BOOSTERS]),
            "without": "+".join(without),
            "objective": trial.suggest_categorical("objective", self.objectives),
            "n_estimators": trial.suggest_int("n_estimators", *ROUNDS, step=10),
            "learning_rate": round(trial.suggest_float("learning_rate", *RATES, log=True), 4),
            "max_depth": trial.suggest_int("max_depth", *DEPTHS),
            "min_child_weight": round(trial.suggest_float("min_child_weight", *MIN_WEIGHTS, log=True), 2),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0, step=0.05),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0, step=0.05),
        }

    def as_choices(self, recipe: Parameters) -> dict[str, Any]:
        """A recipe as the values that `suggest` would ask for."""
        left_out = set(recipe["without"].split("+"))
        rest = {name: value for name, value in recipe.items() if name != "without"}
        return {**rest, **{f"without_{group}": group in left_out for group in self.groups}}

    def is_inside(self, recipe: Parameters) -> bool:
        """Whether `suggest` could ask for a recipe."""
        known = default_recipe().keys()
        return recipe.keys() == known and recipe["objective"] in self.objectives
