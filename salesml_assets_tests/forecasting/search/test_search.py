"""A real search on the small shop: nothing of the scored origins is seen, it continues, and what it finds is used."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.feature_groups import GROUPS, inputs_of
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.panel import SCORE, TRAIN
from salesml_assets.forecasting.search import study as study_module
from salesml_assets.forecasting.search.arena import Arena, Score, arena_of_lake
from salesml_assets.forecasting.search.found import as_settings, found_recipe, found_trial, trials_table
from salesml_assets.forecasting.search.lake import search_lake
from salesml_assets.forecasting.search.space import Space, default_recipe
from salesml_assets.forecasting.search.study import COMPLETE, FAILED, PRUNED, Limits, Outcome, Trial, search
from salesml_assets.forecasting.training.backtest import backtest
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel, small_pool, training_panel

HORIZON = 7
NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


def no_spark() -> Any:
    raise RuntimeError("no Spark here")


ENGINES = Engines(2, no_spark, "")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lakehouse, Settings]:
    """The small shop's tables that a search reads."""
    folder = tmp_path_factory.mktemp("search")
    settings = Settings(
        lake={"root": str(folder / "lake")},
        forecast={"horizon": HORIZON},
        training={"max_rows": 1_000},
        search={"folder": str(folder / "journal")},
    )
    lake = Lakehouse(settings.lake.root)
    features = small_features(settings)
    lake.write_polars(features, "features")
    lake.write_polars(small_pool(features, settings), "pooled_calendar")
    panel = small_panel(features, settings).with_columns(volume_class=pl.lit("A"))
    lake.write_polars(panel, "panel")
    return lake, settings


@pytest.fixture(scope="module")
def arena(made: tuple[Lakehouse, Settings]) -> Arena:
    recipe = {**default_recipe(), "n_estimators": 50}
    return arena_of_lake(*made, recipe)


def test_no_target_lies_after_the_first_scored_origin(arena: Arena, made: tuple[Lakehouse, Settings]) -> None:
    lake, settings = made
    last = lake.read_polars("features", ["ds"])["ds"].max()
    assert isinstance(last, dt.date)
    folds = rolling_folds(last, HORIZON, settings.training.folds, 1)
    first_scored = folds[1].cutoff
    assert arena._rows["ds"].max() <= first_scored  # type: ignore[operator]
    assert [fold.cutoff for fold in arena.origins] == [first_scored - dt.timedelta(2 * HORIZON), folds[0].cutoff]
    scored = arena._rows.filter(pl.col("kind") == SCORE)
    for fold in arena.origins:
        own = scored.filter(pl.col("fold") == fold.number)
        assert own["origin"].unique().to_list() == [fold.cutoff]
        assert own["ds"].max() <= fold.last  # type: ignore[operator]
    learned = arena._rows.filter(pl.col("kind") == TRAIN)
    assert learned["ds"].max() <= folds[0].cutoff  # type: ignore[operator]


def test_stages_grow_and_end_with_everything(arena: Arena) -> None:
    assert arena.series < 30  # all series take part in each stage, so that only the origins grow
    assert [(stage.share, stage.origins) for stage in arena.stages] == [(1.0, (1,)), (1.0, (0, 1))]
    many = Arena.__new__(Arena)
    many.series, many.origins = 900, arena.origins
    assert [(round(stage.share, 3), stage.origins, stage.resource) for stage in many.stages] == [
        (0.111, (1,), 1), (0.333, (1,), 3), (1.0, (0, 1), 9),
    ]  # fmt: skip


def test_the_default_recipe_is_the_yardstick(arena: Arena) -> None:
    tuned = ALGORITHMS["tuned"]
    for stage in arena.stages:
        assert arena.score(tuned, arena.default, stage, ENGINES).value == 1.0
    worse = {**arena.default, "members": "boosters", "learning_rate": 0.0001}
    assert arena.score(tuned, worse, arena.stages[-1], ENGINES).value > 1.02


def test_a_search_finds_the_same_again_and_continues(arena: Arena, tmp_path: Path) -> None:
    space = Space(arena.columns, True)
    lines: list[Trial] = []
    limits = Limits(minutes=30, trials=5)

    def searched(folder: str, limits: Limits = limits) -> Outcome:
        first = [arena.default]
        return search(arena, space, "one", tmp_path / folder, limits, ENGINES, first, lambda *a: lines.append(a[0]))

    outcome = searched("a")
    assert [trial.number for trial in lines] == [0, 1, 2, 3, 4]
    assert (outcome.reason, len(outcome.trials)) == ("5 trials are done", 5)
    first = outcome.trials[0]
    assert (first.state, first.value, first.recipe["n_estimators"]) == (COMPLETE, 1.0, 50)
    assert {trial.state for trial in outcome.trials} <= {COMPLETE, PRUNED}
    assert all(len(trial.stages) == len(arena.stages) for trial in outcome.trials if trial.state == COMPLETE)

    again = searched("b")
    assert [replace(trial, seconds=0) for trial in again.trials] == [replace(t, seconds=0) for t in outcome.trials]

    longer = searched("a", Limits(minutes=30, trials=7))
    assert [trial.recipe for trial in longer.trials[:5]] == [trial.recipe for trial in outcome.trials]
    assert len(longer.trials) == 7
    assert len({str(trial.recipe) for trial in longer.trials}) == 7
    assert searched("a", Limits(minutes=1e-9, trials=99)).reason == "the budget of 1e-09 minutes is used"
    assert searched("a", Limits(minutes=30, patience=0)).reason == "no better recipe in the last 0 trials"


class Interrupts:
    """An arena that is interrupted in its third trial."""

    def __init__(self, arena: Arena) -> None:
        self.arena, self.scored = arena, 0
        self.stages, self.settings = arena.stages, arena.settings

    def score(self, *about: Any) -> Score:
        self.scored += 1
        if self.scored == 4:
            raise KeyboardInterrupt
        return Score(1.0 - self.scored / 100, 0.5, 0.0)


def test_an_interrupted_search_keeps_its_trials(arena: Arena, tmp_path: Path) -> None:
    space = Space(arena.columns, True)
    about: Any = (Interrupts(arena), space, "one", tmp_path, Limits(10, trials=5), ENGINES, [arena.default])
    outcome = search(*about)
    assert outcome.reason == "interrupted; the same command continues"
    assert [trial.state for trial in outcome.trials][-1] == FAILED
    assert outcome.best is not None
    after = search(*about)
    assert after.trials[: len(outcome.trials)] == outcome.trials
    assert len(after.trials) == 5


def test_what_is_found_is_stored_and_serves_as_a_recipe(made: tuple[Lakehouse, Settings]) -> None:
    lake, settings = made
    assert found_recipe(lake) is None
    outcome = search_lake(lake, settings, Limits(30, trials=4), 2, lambda *about: None, "run-1")
    table = lake.read_polars("model_search")
    assert table["trial"].to_list() == [0, 1, 2, 3]
    assert outcome.study.startswith("panel 0, ")
    found = found_trial(outcome, settings)
    assert table["is_found"].sum() == (found is not None)
    recipe = {**default_recipe(), "n_estimators": 60, "members": "boosters", "without": "keys+year"}
    better = Trial(1, COMPLETE, recipe, 0.9, 0.4, 0.0, [0.9], 1.0)
    default = Trial(0, COMPLETE, default_recipe(), 1.0, 0.5, 0.0, [1.0], 1.0)
    lake.write_polars(trials_table(Outcome("s", [default, better], "done"), settings, NOW), "model_search")
    assert found_recipe(lake) == recipe
    noise = replace(better, value=0.999)
    lake.write_polars(trials_table(Outcome("s", [default, noise], "done"), settings, NOW), "model_search")
    assert found_recipe(lake) is None
    import yaml

    pinned = Settings(**yaml.safe_load(as_settings(recipe)))
    assert ALGORITHMS["tuned"].candidates(pinned.training) == [recipe]


def test_the_recipe_is_backtested_like_any_algorithm(made: tuple[Lakehouse, Settings]) -> None:
    _, settings = made
    panel = training_panel(settings)
    recipe = {**default_recipe(), "n_estimators": 20}
    tuned, ensemble = (
        backtest(ALGORITHMS[name], panel, [{k: v for k, v in recipe.items() if name == "tuned" or k in grid}], ENGINES)
        for name in ("tuned", "ensemble")
        for grid in [ALGORITHMS[name].grid]
    )
    rows = pl.concat(panel.to_score())
    for number in tuned.models:
        own = rows.filter(pl.col("fold") == number)
        assert tuned.models[number].predict(own).tolist() == ensemble.models[number].predict(own).tolist()
    without = {**recipe, "members": "boosters", "without": "calendar_regression+keys"}
    model = backtest(ALGORITHMS["tuned"], panel, [without], ENGINES).model
    importance = model.importance()
    assert sum(importance.values()) > 0
    assert all(importance.get(name, 0.0) == 0 for name in ("f_calendar", "f_calendar_log", "product", "category"))
    changed = rows.with_columns(f_calendar=pl.lit(99.0), f_calendar_log=pl.lit(-5.0), product=pl.lit("other"))
    assert model.predict(changed).tolist() == model.predict(rows).tolist()
    with pytest.raises(ValueError, match="members: 'x' is neither"):
        backtest(ALGORITHMS["tuned"], panel, [{**recipe, "members": "x"}], ENGINES)


def test_groups_of_inputs() -> None:
    assert inputs_of([], ["f_last"]) == []
    with pytest.raises(ValueError, match=r"there is no group 'x'; groups: calendar_regression"):
        inputs_of(["x"], ["f_last"])
    names = [
        "f_calendar",
        "f_holiday_is",
        "f_year_ratio",
        "f_mean_91",
        "f_mean_7",
        "store",
        "f_promo_by_store",
        "f_level",
    ]
    places = {place for group in GROUPS for place in inputs_of([group], names)}
    assert places == set(range(7))


def test_only_choices_that_the_panel_allows_are_made() -> None:
    space = Space(["f_last", "f_level", "product"], non_negative=False)
    assert space.groups == ["short_means", "keys"]
    assert not any("tweedie" in objective for objective in space.objectives)
    assert not space.is_inside(default_recipe())
    assert Space(["f_last"], True).is_inside(default_recipe())
    assert not Space(["f_last"], True).is_inside({"objective": "reg:squarederror"})


def test_too_short_a_history_is_an_error_with_a_remedy(made: tuple[Lakehouse, Settings], tmp_path: Path) -> None:
    lake, settings = made
    other = Lakehouse(str(tmp_path))
    panel = lake.read_polars("panel")
    other.write_polars(panel.filter(pl.col("fold").is_null() | (pl.col("fold") > 0)), "panel")
    with pytest.raises(ConfigurationError, match=r"too short for a search: .* Lower forecast\.horizon"):
        arena_of_lake(other, settings, default_recipe())


def test_lines_of_progress() -> None:
    failed = Trial(3, FAILED, {}, None, None, None, [], 0.0)
    assert "nothing of the default's error" in study_module.line_of(failed, None, 1.0)
