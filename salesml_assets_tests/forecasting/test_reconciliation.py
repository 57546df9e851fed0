"""Reconciled forecasts: those of the textbook's dense matrices, coherent, and fitted on earlier errors only."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting import reconciliation as module
from salesml_assets.forecasting.hierarchy import (
    Hierarchy,
    Level,
    backtest_of,
    forecast_totals,
    history,
    in_one_batch,
    level_accuracy,
    series_rows,
)
from salesml_assets.forecasting.reconciliation import (
    FUTURE_FOLD,
    Reconciliation,
    own_forecasts,
    reconciled_backtests,
    reconciliation_of_forecasts,
)
from salesml_assets_tests.forecasting.predictions import in_batches

FIRST = dt.date(2023, 1, 2)
HORIZON, FOLDS, STEPS = 14, 4, 400
LEVELS = [Level(()), Level(("category",))]
SETTINGS = Settings(forecast={"horizon": HORIZON, "hierarchy": {"reconciliation": "mint"}}, training={"folds": 3})


class Shop:
    """Twenty series of two categories whose forecasts are a quarter too low; their weekly pattern is plain to see."""

    def __init__(self, seed: int = 5) -> None:
        rng = np.random.default_rng(seed)
        days = [FIRST + dt.timedelta(n) for n in range(STEPS)]
        self.ids = [f"p{number:02d}" for number in range(20)]
        level = np.geomspace(4, 60, 20)
        week = 1 + 0.4 * np.sin(2 * np.pi * np.arange(STEPS) / 7)
        y = level[:, None] * week * rng.gamma(4, 0.25, (20, STEPS))
        self.series = pl.DataFrame(
            {
                "unique_id": np.repeat(self.ids, STEPS),
                "category": np.repeat(["x", "y"] * 10, STEPS),
                "ds": days * 20,
                "y": y.ravel(),
                "yhat": (0.75 * level[:, None] * week * np.ones(y.shape)).ravel(),
                "scale": np.repeat(level, STEPS),
                "naive_mse": np.repeat(level**2, STEPS),
            }
        ).with_columns(product="unique_id", closed=pl.lit(False), volume_class=pl.lit("A"))
        self.last = days[-1 - HORIZON]
        self.origins = {n: self.last - dt.timedelta(HORIZON * (FOLDS - n)) for n in range(FOLDS)}
        self.known = self.series.filter(pl.col("ds") <= self.last)
        self.backtest = pl.concat(self._steps(origin, number) for number, origin in self.origins.items())
        self.forecasts = self._steps(self.last, FUTURE_FOLD).select(
            "unique_id", "ds", "yhat", cutoff="origin", model_version=pl.lit(2, pl.Int32),
            lo80=pl.col("yhat") / 2, lo95=pl.col("yhat") / 3, hi80=pl.col("yhat") * 2, hi95=pl.col("yhat") * 3,
        )  # fmt: skip
        self.hierarchy = Hierarchy([self.known.unique("unique_id", keep="last", maintain_order=True)], LEVELS)
        self.past = history(self.hierarchy, in_batches(self.known), SETTINGS)

    def _steps(self, origin: dt.date, number: int) -> pl.DataFrame:
        steps = self.series.filter((pl.col("ds") > origin) & (pl.col("ds") <= origin + dt.timedelta(HORIZON)))
        ahead = (pl.col("ds") - pl.lit(origin)).dt.total_days().cast(pl.Int32)
        return steps.with_columns(fold=pl.lit(number, pl.Int32), origin=pl.lit(origin), horizon=ahead)

    def made(self) -> Reconciliation:
        return reconciliation_of_forecasts(
            self.hierarchy, in_batches(self.backtest, 333), in_batches(self.forecasts, 77), self.past, SETTINGS
        )


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


def values_of(batches: Any, columns: list[str]) -> pl.DataFrame:
    return pl.concat(batches(columns))


def test_it_is_the_minimum_trace_solution_of_dense_matrices(shop: Shop) -> None:
    """(Sᵀ W⁻¹ S)⁻¹ Sᵀ W⁻¹ ŷ over all levels, the series included."""
    made = shop.made()
    sums = backtest_of(shop.hierarchy, in_one_batch(shop.backtest), shop.past)
    steps = shop.forecasts.select("ds", closed=pl.lit(False)).unique()
    ahead = shop.hierarchy.nodes.select("number").join(steps, how="cross").sort("number", "ds")
    own = own_forecasts(shop.past, SETTINGS, {**shop.origins, FUTURE_FOLD: shop.last}, ahead)
    nodes = shop.hierarchy.nodes["number"].to_list()
    summing = np.array([[1.0] * 20, [1.0, 0.0] * 10, [0.0, 1.0] * 10])
    assert shop.hierarchy.nodes["node"].to_list() == ["total", "x", "y"]

    def errors(forecast: str) -> np.ndarray:
        joined = sums.join(own, on=["number", "fold", "ds"])
        wide = joined.with_columns(e=pl.col("y") - pl.col(forecast)).pivot(on="number", index="ds", values="e")
        return wide.sort("ds").select(str(node) for node in nodes).to_numpy()

    squared = ((shop.backtest["y"] - shop.backtest["yhat"]) ** 2).to_numpy().reshape(FOLDS, 20, HORIZON)
    variances = squared.mean(axis=(0, 2))
    bottom_up = np.trace(module._shrunk_covariance(errors("yhat")))
    variances = variances * bottom_up / np.trace((summing * variances) @ summing.T)
    covariance = np.zeros((23, 23))
    covariance[:3, :3] = module._shrunk_covariance(errors("own"))
    covariance[3:, 3:] = np.diag(variances)
    everything = np.vstack([summing, np.eye(20)])
    inverse = np.linalg.inv(covariance)
    gain = np.linalg.inv(everything.T @ inverse @ everything) @ everything.T @ inverse
    found = values_of(made.published(in_batches(shop.forecasts, 55)), ["unique_id", "ds", "yhat"])
    for day in shop.forecasts["ds"].unique().sort():
        base = shop.forecasts.filter(pl.col("ds") == day).sort("unique_id")["yhat"].to_numpy()
        of_totals = own.filter((pl.col("ds") == day) & (pl.col("fold") == FUTURE_FOLD)).sort("number")["own"].to_numpy()
        expected = gain @ np.concatenate([of_totals, base])
        got = found.filter(pl.col("ds") == day).sort("unique_id")["yhat"].to_numpy()
        assert got == pytest.approx(expected, rel=1e-6)


def test_totals_get_better_and_levels_still_agree(shop: Shop) -> None:
    made = shop.made()
    published = made.published(in_batches(shop.forecasts, 100))
    errors = backtest_of(shop.hierarchy, made.backtest(in_batches(shop.backtest)), shop.past)
    totals = forecast_totals(shop.hierarchy, published, errors, shop.past, True)
    series = pl.concat(series_rows(shop.hierarchy, published))
    assert series.columns == totals.columns
    per_day = series.group_by("ds").agg(pl.col("yhat").sum()).sort("ds")["yhat"].to_numpy()
    for level in ("total", "category"):
        sums = totals.filter(level=level).group_by("ds").agg(pl.col("yhat").sum()).sort("ds")["yhat"].to_numpy()
        assert sums == pytest.approx(per_day, rel=1e-9)
    truth = shop.series.filter(pl.col("ds") > shop.last).group_by("ds").agg(pl.col("y").sum()).sort("ds")["y"]
    before = shop.forecasts.group_by("ds").agg(pl.col("yhat").sum()).sort("ds")["yhat"]
    assert abs(per_day - truth.to_numpy()).sum() < 0.7 * (before - truth).abs().sum()
    accuracy = {
        name: level_accuracy(shop.hierarchy, {"one": batches}, shop.past, SETTINGS)
        .query("segment == 'total' and metric == 'wape'")["value"]
        .item()
        for name, batches in (
            ("bottom_up", in_batches(shop.backtest)),
            (
                "mint",
                reconciled_backtests(shop.hierarchy, {"one": in_batches(shop.backtest)}, shop.past, SETTINGS)["one"],
            ),
        )
    }
    assert accuracy["mint"] < 0.75 * accuracy["bottom_up"]


def test_a_fold_knows_no_later_sales(shop: Shop) -> None:
    other = Shop()
    late = pl.col("ds") > shop.origins[3]
    other.known = shop.known.with_columns(y=pl.when(late).then(pl.col("y") * 9).otherwise("y"))
    other.backtest = shop.backtest.with_columns(y=pl.when(late).then(pl.col("y") * 9).otherwise("y"))
    other.past = history(other.hierarchy, in_batches(other.known), SETTINGS)
    columns = ["unique_id", "fold", "ds", "yhat"]
    pair = []
    for each in (shop, other):
        batches = in_batches(each.backtest)
        made = reconciled_backtests(each.hierarchy, {"one": batches}, each.past, SETTINGS)["one"]
        pair.append(values_of(made, columns).sort(columns[:3]))
    assert pair[0].equals(pair[1])
    first = pair[0].filter(fold=0)
    assert first["yhat"].to_list() == shop.backtest.filter(fold=0).sort(columns[:3])["yhat"].to_list()
    moved = (
        pair[0].filter(fold=3)["yhat"].to_numpy() / shop.backtest.filter(fold=3).sort(columns[:3])["yhat"].to_numpy()
    )
    assert moved.min() > 1.0  # all were too low


def test_zeros_stay_and_nothing_falls_below_them(shop: Shop) -> None:
    forecasts = shop.forecasts.with_columns(
        pl.when(pl.col("unique_id") == "p19").then(0.0).otherwise(name).alias(name)
        for name in ("yhat", "lo80", "lo95", "hi80", "hi95")
    )
    high = shop.backtest.with_columns(yhat=pl.col("yhat") * 40)  # far too high: all have to come down
    made = reconciliation_of_forecasts(
        shop.hierarchy,
        in_batches(high),
        in_batches(forecasts.with_columns(yhat=pl.col("yhat") * 40)),
        shop.past,
        SETTINGS,
    )
    found = values_of(made.published(in_batches(forecasts)), ["unique_id", "yhat", "lo95", "hi95"])
    assert found.filter(unique_id="p19").select("yhat", "hi95").sum().row(0) == (0.0, 0.0)
    assert found["yhat"].min() >= 0
    assert found["lo95"].min() >= 0


def test_series_without_errors_stay_as_they_are(shop: Shop) -> None:
    fewer = shop.backtest.filter(pl.col("unique_id") != "p07")
    made = reconciliation_of_forecasts(
        shop.hierarchy, in_batches(fewer), in_batches(shop.forecasts), shop.past, SETTINGS
    )
    found = values_of(made.published(in_batches(shop.forecasts)), ["unique_id", "ds", "yhat"])
    both = found.join(shop.forecasts, on=["unique_id", "ds"], suffix="_before")
    same = both.filter(pl.col("yhat") == pl.col("yhat_before"))["unique_id"].unique().to_list()
    assert same == ["p07"]


def test_too_many_totals_are_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTALS", 2)
    with pytest.raises(ConfigurationError, match=r"up to 2 totals, and there are 3: leave out the finest level"):
        shop.made()


def test_what_is_planned_for_a_day_moves_the_totals_of_that_day() -> None:
    shop, rng = Shop(), np.random.default_rng(2)
    days = shop.series["ds"].unique().sort()
    promoted = pl.DataFrame({"ds": days, "promo": (rng.random(len(days)) < 0.2).astype(float)})
    table = shop.known.join(promoted, on="ds").with_columns(y=pl.col("y") * (1 + pl.col("promo")))
    settings = Settings(
        forecast={**SETTINGS.forecast.model_dump(), "known_future": {"columns": ["promo"]}}, training={"folds": 3}
    )
    past = history(shop.hierarchy, in_batches(table), settings, ["promo"])
    shop.backtest = shop.backtest.drop("y").join(table.select("unique_id", "ds", "y"), on=["unique_id", "ds"])

    def totals(day: int) -> np.ndarray:
        """Reconciled sums where a single day ahead is promoted."""
        on = pl.col("ds") == shop.last + dt.timedelta(day)
        panel = shop.forecasts.select("unique_id", "ds", f_promo=on.cast(pl.Float64))
        made = reconciliation_of_forecasts(
            shop.hierarchy, in_batches(shop.backtest), in_batches(shop.forecasts), past, settings, in_batches(panel)
        )
        found = values_of(made.published(in_batches(shop.forecasts)), ["ds", "yhat"])
        return found.group_by("ds").agg(pl.col("yhat").sum()).sort("ds")["yhat"].to_numpy()

    early, late = totals(3), totals(9)
    assert early[2] > 1.1 * late[2]
    assert late[8] > 1.1 * early[8]
    others = [place for place in range(HORIZON) if place not in (2, 8)]
    assert early[others] == pytest.approx(late[others])
