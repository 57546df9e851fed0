"""Totals: they add up whatever the keys are, are measured as by hand, and their intervals cover what they promise."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting import hierarchy as module
from salesml_assets.forecasting.features import FeatureSpec, add_features
from salesml_assets.forecasting.hierarchy import (
    Hierarchy,
    Level,
    backtest_of,
    forecast_totals,
    history,
    in_one_batch,
    level_accuracy,
    levels_of,
)
from salesml_assets.forecasting.series_id import series_id
from salesml_assets_tests.forecasting.predictions import (
    backtest_predictions,
    in_batches,
    polars_table,
    sold_as_predicted,
)

FIRST = dt.date(2024, 1, 1)
LEVELS = [Level(()), Level(("category",)), Level(("store",)), Level(("store", "category"))]
# Names that could be mistaken for a separator, for each other, or for nothing.
NAMES = st.sampled_from(["a", "b", "a/b", "a\\", "\\/", "Ä", "total"])


def of_series(keys: Sequence[tuple[str, str | None, str]]) -> pl.DataFrame:
    """One row per series: store, category, product and the `unique_id`."""
    frame = pl.DataFrame(
        [dict(zip(("store", "category", "product"), key, strict=True)) for key in keys],
        schema=dict.fromkeys(("store", "category", "product"), pl.String),
    )
    return frame.with_columns(series_id(["store", "product"]))


@given(
    keys=st.lists(
        st.tuples(NAMES, st.none() | NAMES, NAMES), min_size=1, max_size=12, unique_by=lambda k: (k[0], k[2])
    ),
    data=st.data(),
)
def test_every_level_adds_up_to_the_series(keys: list[tuple[str, str | None, str]], data: st.DataObject) -> None:
    series = of_series(keys)
    days = [FIRST + dt.timedelta(n) for n in range(3)]
    numbers = st.lists(st.floats(0, 1e9), min_size=3 * len(keys), max_size=3 * len(keys))
    rows = series.join(pl.DataFrame({"ds": days}), how="cross").with_columns(pl.Series("yhat", data.draw(numbers)))
    hierarchy = Hierarchy(series.iter_slices(5), LEVELS)
    sums = hierarchy.sums(rows.select("unique_id", "ds", "yhat").iter_slices(4), ["ds"]).join(
        hierarchy.nodes, on="number"
    )
    for level in LEVELS:
        by_hand: dict[tuple[object, ...], float] = defaultdict(float)
        for row in rows.iter_rows(named=True):
            by_hand[(*[row[key] for key in level.keys], row["ds"])] += row["yhat"]
        own = sums.filter(level=level.name)
        assert own.height == len(by_hand)
        for row in own.iter_rows(named=True):
            expected = by_hand[(*[row[key] for key in level.keys], row["ds"])]
            assert row["yhat"] == pytest.approx(expected, rel=1e-9, abs=1e-9)
        totals = own.group_by("ds").agg(pl.col("yhat").sum()).sort("ds")["yhat"].to_list()
        assert totals == pytest.approx(rows.group_by("ds").agg(pl.col("yhat").sum()).sort("ds")["yhat"].to_list())
    assert hierarchy.sizes["series"].sum() == len(LEVELS) * len(keys)
    assert sums.filter(level="store/category").select("node", "ds").is_duplicated().sum() == 0


def test_series_that_are_not_known_belong_nowhere() -> None:
    hierarchy = Hierarchy([of_series([("s", "c", "p")])], [Level(())])
    rows = pl.DataFrame({"unique_id": ["s/p", "x/y"], "ds": [FIRST, FIRST], "yhat": [1.0, 9.0]})
    assert hierarchy.sums([rows], ["ds"])["yhat"].to_list() == [1.0]


def series_table(steps: int = 80, seed: int = 3) -> pl.DataFrame:
    """Six series of three categories, the last one young; closed on Sundays."""
    rng = np.random.default_rng(seed)
    series = of_series([("s1", "x", "p1"), ("s1", "y", "p2"), ("s2", "x", "p1"), ("s2", None, "p3"),
                        ("s3", "y", "p1"), ("s3", "x", "p4")])  # fmt: skip
    days = pl.DataFrame({"ds": [FIRST + dt.timedelta(n) for n in range(steps)]})
    rows = series.join(days, how="cross").with_columns(closed=pl.col("ds").dt.weekday() == 7)
    y = pl.Series("y", rng.poisson(4, rows.height).astype(float))
    rows = rows.with_columns(y).with_columns(y=pl.when("closed").then(0.0).otherwise("y"))
    return rows.filter((pl.col("product") != "p4") | (pl.col("ds") > FIRST + dt.timedelta(60)))


@pytest.mark.parametrize("chunk", [10, 500_000])
def test_the_past_of_a_total_is_that_of_a_series_of_its_sums(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", chunk)
    table = series_table()
    hierarchy = Hierarchy([table.unique("unique_id", keep="last", maintain_order=True)], LEVELS)
    past = history(hierarchy, in_batches(table), Settings()).join(hierarchy.nodes, on="number")
    for level in LEVELS:
        by_hand = table.group_by(*level.keys, "ds").agg(pl.col("y").sum(), pl.col("closed").all())
        for key, own in by_hand.partition_by(*level.keys, as_dict=True).items() if level.keys else [((), by_hand)]:
            expected = add_features(own.with_columns(unique_id=pl.lit("one")), FeatureSpec())
            found = past.filter(level=level.name)
            for name, value in zip(level.keys, key, strict=True):
                found = found.filter(pl.col(name).eq_missing(value))
            for column in ("y", "scale", "naive_mse"):
                assert found[column].to_list() == pytest.approx(expected[column].to_list(), nan_ok=True), column


def test_unknown_sales_of_all_series_are_no_zero() -> None:
    table = series_table().with_columns(y=pl.when(pl.col("ds") == FIRST).then(None).otherwise("y"))
    hierarchy = Hierarchy([table.unique("unique_id", keep="last")], [Level(())])
    past = history(hierarchy, in_batches(table), Settings())
    assert past["y"].null_count() == 1


def test_a_totals_backtest_has_what_was_sold_and_knows_no_later_level() -> None:
    origin = FIRST + dt.timedelta(55)  # p4 is new after it
    steps = [origin + dt.timedelta(n) for n in range(1, 8)]
    is_launch = (pl.col("product") == "p4") & (pl.col("ds") == steps[-2])
    table = series_table().with_columns(y=pl.when(is_launch).then(2.0).otherwise("y"))
    known = table.filter(pl.col("ds").is_in(steps) & ~pl.col("closed") & (pl.col("product") != "p4"))
    predicted = known.select(
        "unique_id", "ds", fold=pl.lit(1, pl.Int32), origin=pl.lit(origin), yhat=pl.col("y") + 1,
        horizon=(pl.col("ds") - pl.lit(origin)).dt.total_days().cast(pl.Int32),
    )  # fmt: skip
    hierarchy = Hierarchy([table.unique("unique_id", keep="last", maintain_order=True)], LEVELS)
    past = history(hierarchy, in_batches(table), Settings())
    rows = backtest_of(hierarchy, in_one_batch(predicted), past).join(hierarchy.nodes, on="number")
    overall = rows.filter(level="total").sort("ds")
    sold = table.filter(pl.col("ds").is_in(overall["ds"].implode())).group_by("ds").agg(pl.col("y").sum()).sort("ds")
    assert overall["y"].to_list() == sold["y"].to_list()
    # Five series each one too many, Sunday is closed, and the last step has sales of a series that is new.
    assert (overall["yhat"] - overall["y"]).to_list() == [5.0] * 5 + [5.0 - 2.0]
    changed = table.with_columns(y=pl.when(pl.col("ds") > origin).then(pl.col("y") * 50).otherwise("y"))
    later = backtest_of(hierarchy, in_one_batch(predicted), history(hierarchy, in_batches(changed), Settings()))
    assert later.select("scale", "naive_mse").equals(rows.sort("number", "fold", "ds").select("scale", "naive_mse"))


def test_accuracy_by_level_is_that_of_the_sums() -> None:
    tables = {name: polars_table(rows) for name, rows in backtest_predictions(series=60).items()}
    table = sold_as_predicted(tables["xgboost"])
    levels = [Level(()), Level(("category",))]
    hierarchy = Hierarchy([table.unique("unique_id", keep="last", maintain_order=True)], levels)
    past = history(hierarchy, in_batches(table), Settings())
    found = level_accuracy(hierarchy, {name: in_batches(rows) for name, rows in tables.items()}, past, Settings())
    assert set(found["dimension"]) == {"level"}
    values = found.set_index(["algorithm", "segment", "metric"])["value"]
    for name, rows in tables.items():
        for level in levels:
            scored = rows.filter(pl.col("fold") >= 1)
            sums = scored.group_by(*level.keys, "ds").agg(pl.col("y", "yhat").sum())
            error, volume = sums["yhat"] - sums["y"], sums["y"].abs().sum()
            assert values[name, level.name, "wape"] == pytest.approx(error.abs().sum() / volume)
            assert values[name, level.name, "bias"] == pytest.approx(error.sum() / volume)
            assert values[name, level.name, "rows"] == sums.height
            assert 0.55 < values[name, level.name, "coverage80"] <= values[name, level.name, "coverage95"] <= 1
    # Errors of single series cancel out.
    single = tables["xgboost"].filter(pl.col("fold") >= 1)
    wape = (single["y"] - single["yhat"]).abs().sum() / single["y"].sum()
    assert values["xgboost", "total", "wape"] < values["xgboost", "category", "wape"] < wape


def test_intervals_of_totals_cover_what_they_promise() -> None:
    """The truth is known: independent errors of 25 series in each of 60 categories, of ten different sizes."""
    rng = np.random.default_rng(11)
    categories, members, folds, horizon = 60, 25, 4, 14
    size = np.repeat(np.geomspace(5, 500, 10), categories // 10)
    days = [FIRST + dt.timedelta(n) for n in range(60 + (folds + 1) * horizon)]
    level = np.repeat(size, members)[:, None] * np.ones(len(days))
    sold = np.clip(level * (1 + 0.5 * rng.normal(size=level.shape)), 0, None)
    ids = [f"c{number // members}p{number}" for number in range(categories * members)]
    table = pl.DataFrame(
        {
            "unique_id": np.repeat(ids, len(days)),
            "category": np.repeat([f"c{number // members}" for number in range(len(ids))], len(days)),
            "ds": pl.Series(np.tile(np.array(days, dtype="datetime64[D]"), len(ids))),
            "y": sold.ravel(),
            "yhat": level.ravel(),
            "closed": False,
        }
    )
    last = days[-1 - horizon]
    cutoffs = [last - dt.timedelta(horizon * n) for n in range(folds, 0, -1)]
    folded = [
        table.filter((pl.col("ds") > cutoff) & (pl.col("ds") <= cutoff + dt.timedelta(horizon))).with_columns(
            fold=pl.lit(number, pl.Int32),
            origin=pl.lit(cutoff),
            horizon=(pl.col("ds") - pl.lit(cutoff)).dt.total_days().cast(pl.Int32),
        )
        for number, cutoff in enumerate(cutoffs)
    ]
    hierarchy = Hierarchy([table.unique("unique_id", keep="last", maintain_order=True)], [Level(("category",))])
    past = history(hierarchy, in_batches(table.filter(pl.col("ds") <= last)), Settings())
    ahead = table.filter(pl.col("ds") > last)
    forecasts = ahead.with_columns(cutoff=pl.lit(last), model_version=pl.lit(3, pl.Int32), hi95=pl.col("yhat") * 2)
    made = forecast_totals(
        hierarchy, in_batches(forecasts), backtest_of(hierarchy, in_batches(pl.concat(folded)), past), past, True
    )
    truth = ahead.group_by("ds", node="category").agg(pl.col("y").sum())
    both = made.join(truth, on=["node", "ds"])
    assert both.height == categories * horizon
    for nominal, low, high in ((0.8, "lo80", "hi80"), (0.95, "lo95", "hi95")):
        covered = both.select(pl.col("y").is_between(pl.col(low), pl.col(high)).mean()).item()
        spread = math.sqrt(nominal * (1 - nominal) / both.height)
        assert abs(covered - nominal) < 4 * spread + 0.01, nominal
    # Bounds that were added up would be some five times as wide: errors of 25 series do not fall on one side.
    width = both.select(((pl.col("hi80") - pl.col("lo80")) / pl.col("yhat")).mean()).item()
    assert width == pytest.approx(2 * 1.2816 * 0.5 / math.sqrt(members), rel=0.1)
    assert (made["model_version"].unique().to_list(), made["series"].unique().to_list()) == ([3], [members])
    ordered = made.select("lo95", "lo80", "yhat", "hi80", "hi95").to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()


def test_a_closed_step_is_certain() -> None:
    tables = {"xgboost": polars_table(backtest_predictions(series=20)["xgboost"])}
    table = sold_as_predicted(tables["xgboost"])
    hierarchy = Hierarchy([table.unique("unique_id", keep="last", maintain_order=True)], [Level(())])
    past = history(hierarchy, in_batches(table), Settings())
    last = table["ds"].max()
    assert isinstance(last, dt.date)
    shut, opened = last + dt.timedelta(1), last + dt.timedelta(2)
    forecasts = pl.DataFrame(
        {"unique_id": ["s000", "s001"] * 2, "ds": [shut, shut, opened, opened], "yhat": [0.0, 0.0, 5.0, 7.0],
         "hi95": [0.0, 0.0, 9.0, 9.0], "cutoff": [last] * 4}
    ).with_columns(model_version=pl.lit(1, pl.Int32))  # fmt: skip
    backtest = backtest_of(hierarchy, in_batches(tables["xgboost"]), past)
    closed, other = forecast_totals(hierarchy, in_batches(forecasts), backtest, past, True).iter_rows(named=True)
    assert [closed[name] for name in ("yhat", "lo80", "hi80", "lo95", "hi95")] == [0.0] * 5
    assert (other["yhat"], other["node"]) == (12.0, "total")
    assert other["lo80"] < 12.0 < other["hi80"]


def test_levels_by_default_and_as_wanted() -> None:
    def names(forecast: dict[str, object], columns: list[str]) -> list[str]:
        return [level.name for level in levels_of(Settings(forecast=forecast), columns)]

    assert names({"series": ["product"]}, ["product", "category"]) == ["total", "category"]
    assert names({"series": ["product"]}, ["product"]) == ["total"]
    assert names({"series": ["store"]}, ["store", "category"]) == ["total"]
    assert names({"series": ["store", "product"]}, ["store", "product", "category"]) == ["total", "category", "store"]
    wanted = {"series": ["store", "product"], "hierarchy": {"levels": [["store", "category"], []]}}
    assert names(wanted, ["store", "product", "category"]) == ["store/category", "total"]
    assert names({"hierarchy": {"levels": []}}, ["product"]) == []
    with pytest.raises(ConfigurationError, match=r"levels: \['category'\] needs 'category'"):
        names({"series": ["product"], "hierarchy": {"levels": [["category"]]}}, ["product"])


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([["product"]], "the series themselves"),
        ([["store"]], "store is not a key of the series"),
        ([["category", "category"]], "listed twice"),
        ([[], []], "a level is listed twice"),
    ],
)
def test_levels_that_make_no_totals_are_refused(levels: list[list[str]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(forecast={"series": ["product"], "hierarchy": {"levels": levels}})
