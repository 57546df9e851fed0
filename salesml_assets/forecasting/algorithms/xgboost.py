"""XGBoost; the mean of two objectives, because the objective decides more than the booster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import Algorithm, Engines, Fit, Parameters
from salesml_assets.forecasting.feature_groups import inputs_of

if TYPE_CHECKING:
    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.model.encoder import Matrix
    from salesml_assets.forecasting.model.regressors import Trees
    from salesml_assets.forecasting.training.sample import Sample

ABSOLUTE = "reg:absoluteerror"
TWEEDIE = "reg:tweedie"  # needs targets that are not negative
NOTHING_SOLD = 1e-9
MAX_BIN = 128


def fit(
    sample: Sample, candidates: Sequence[Parameters], settings: TrainingSettings, engines: Engines, probe: Matrix
) -> Iterator[Fit]:
    """One booster for each objective; several joined by `+` are averaged, and candidates share their boosters.

    A booster is trained by one thread, so that every machine gets the same trees; boosters side by side use the cores.
    """
    from salesml_assets.forecasting.model.models import Learned

    taken = sample.at_most(settings.max_rows)
    with ThreadPoolExecutor(engines.cores, thread_name_prefix="fit") as pool:
        begun: dict[str, Future[Trees]] = {}
        for parameters in candidates:
            for single in _single(parameters):
                begun.setdefault(_key(single), pool.submit(_booster, taken, single, settings.seed))
        try:
            for parameters in candidates:
                boosters = tuple(begun[_key(single)].result() for single in _single(parameters))
                yield Fit(Learned(taken.encoder, boosters))
        finally:
            for future in begun.values():
                future.cancel()


def _single(parameters: Parameters) -> list[Parameters]:
    """The parameters of each booster of a mean."""
    return [{**parameters, "objective": objective} for objective in parameters["objective"].split("+")]


def _key(parameters: Parameters) -> str:
    return repr(sorted(parameters.items()))


def _booster(sample: Sample, parameters: Parameters, seed: int) -> Trees:
    import xgboost

    from salesml_assets.forecasting.model.regressors import Trees

    rest = dict(parameters)
    without = [group for group in str(rest.pop("without", "")).split("+") if group]
    rounds = int(rest.pop("n_estimators"))
    tweedie = rest["objective"] == TWEEDIE
    labels = sample.non_negative_labels if tweedie else sample.labels
    values: dict[str, Any] = {
        "tree_method": "hist",
        "max_bin": MAX_BIN,
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
        **({"tweedie_variance_power": 1.2} if tweedie else {}),
        # Its link is the logarithm: where nothing was sold, the mean it would start from has none.
        **({"base_score": NOTHING_SOLD} if tweedie and not labels.any() else {}),
        **rest,
    }
    matrix = xgboost.QuantileDMatrix(
        _without(sample, without),
        labels,
        weight=sample.weights,
        max_bin=MAX_BIN,
        nthread=1,
    )
    booster = xgboost.train(values, matrix, rounds)
    return Trees(bytes(booster.save_raw("ubj")))


def _without(sample: Sample, groups: Sequence[str]) -> Matrix:
    """The matrix with constants for the inputs of some groups: no tree splits there, whatever it is given later."""
    places = inputs_of(groups, sample.encoder.sources)
    if not places:
        return sample.matrix
    matrix = sample.matrix.copy()
    matrix[:, places] = 0.0
    return matrix


ALGORITHM = Algorithm(
    name="xgboost",
    title="XGBoost",
    description="XGBoost; the mean of a model of expected sales (Tweedie) and one of their median (absolute error).",
    grid={
        # A choice of one objective on one origin is noise: their mean is as accurate, and needs no tuning.
        "objective": [f"{TWEEDIE}+{ABSOLUTE}"],
        "n_estimators": [200],
        "learning_rate": [0.07],
        "max_depth": [6],
        "min_child_weight": [10.0],
        "subsample": [0.8],
        "colsample_bytree": [0.5],
    },
    fit=fit,
    rows="max_rows",
    kinds=frozenset({"xgboost"}),
)
