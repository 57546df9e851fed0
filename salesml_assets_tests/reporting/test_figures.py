"""Figures carry the numbers they were given: read back from what they draw."""

from __future__ import annotations

import math

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from salesml_assets.reporting import figures
from salesml_assets.reporting.figures.fit import linear_width
from salesml_assets.reporting.style import BLUE

from .sample import WAPES, bare_report, full_report, metrics, timelines

ALL_FIGURES = {
    "total_over_time",
    "metric_bars",
    "availability_and_stock",
    "gain_intervals",
    "error_by_horizon",
    "error_by_fold",
    "predicted_against_actual",
    "residual_histogram",
    "feature_importance",
    "group_influence",
    "effects_by_value",
    "partial_dependence",
    "forecast_waterfalls",
    "series_small_multiples",
    "quarantine_reasons",
}


def test_a_full_report_has_every_figure_each_with_words():
    made = figures.pictures(full_report())
    assert set(made) == ALL_FIGURES
    assert all(len(picture.alt) > len(picture.title) + 10 for picture in made.values())


def test_a_bare_report_has_the_comparison_only():
    assert set(figures.pictures(bare_report())) == {"metric_bars", "error_by_horizon", "error_by_fold"}


def test_bars_are_the_metrics_and_the_winner_is_blue():
    figure = figures.metric_bars(full_report())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["WAPE", "MAE", "RMSE", "RMSSE", "R²", "Bias"]
    for axes, factor, offset in ((figure.axes[0], 1, 0), (figure.axes[1], 100, 0), (figure.axes[4], -1, 1)):
        assert [bar.get_width() for bar in axes.patches] == pytest.approx(
            [factor * wape + offset for wape in WAPES.values()]
        )
        assert [to_hex(bar.get_facecolor()) == BLUE for bar in axes.patches] == [True, False, False]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "XGBoost",
        "Linear regression",
        "Seasonal naive",
    ]
    assert [note.get_text() for note in figure.axes[0].texts] == ["30.0%", "34.0%", "40.0%"]


def test_an_undefined_metric_is_said_to_be_so():
    table = metrics()
    table.loc[(table["algorithm"] == "xgboost") & (table["metric"] == "r2"), "value"] = math.nan
    figure = figures.metric_bars(bare_report(metrics=table))
    assert figure.axes[4].texts[0].get_text() == "not defined"


@pytest.mark.parametrize("draw", [figures.error_by_horizon, figures.error_by_fold])
def test_lines_are_the_error_of_each_segment(draw):
    axes = draw(full_report()).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == set(WAPES)
    for name, wape in WAPES.items():
        assert lines[name].get_ydata() == pytest.approx([wape, 1.1 * wape, 1.2 * wape])
    assert max(lines.values(), key=lambda line: line.get_linewidth()).get_label() == "xgboost"
    assert {note.get_text() for note in axes.texts} == {"XGBoost", "Linear regression", "Seasonal naive"}


def test_folds_are_named_by_their_dates_where_these_are_known():
    known = figures.error_by_fold(full_report()).axes[0].get_xticklabels()
    assert known[0].get_text() == "8 Apr 2024\nto 5 May 2024"
    unknown = figures.error_by_fold(bare_report()).axes[0].get_xticklabels()
    assert [label.get_text() for label in unknown] == ["Fold 1", "Fold 2", "Fold 3"]


def test_gains_are_drawn_with_their_intervals():
    interval, point = figures.gain_intervals(full_report()).axes[0].lines[:2]
    assert list(interval.get_xdata()) == [0.02, 0.06]
    assert list(point.get_xdata()) == [0.04]


def test_few_pairs_are_drawn_one_by_one_with_the_diagonal():
    data = full_report()
    axes = figures.predicted_against_actual(data).axes[0]
    points, diagonal = axes.lines
    assert points.get_xdata() == pytest.approx(data.sample["y"].to_numpy())
    assert points.get_ydata() == pytest.approx(data.sample["yhat"].to_numpy())
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == list(axes.get_xlim()) == list(axes.get_ylim())


def test_many_pairs_are_counted_in_hexagons():
    random = np.random.default_rng(1)
    y = random.lognormal(3, 2, 4000)
    sample = pd.DataFrame({"y": y, "yhat": y * random.lognormal(0, 0.5, 4000)})
    axes = figures.predicted_against_actual(full_report(sample=sample)).axes[0]
    (hexagons,) = (item for item in axes.collections if isinstance(item, PolyCollection))
    assert hexagons.get_array().sum() == 4000
    assert "logarithmic" in axes.get_xlabel()


def test_skewed_amounts_of_either_sign_keep_their_place_and_zero_is_a_tick():
    y = np.concatenate([[0.0, -50.0, 10_000.0], np.ones(60)])
    axes = figures.predicted_against_actual(full_report(sample=pd.DataFrame({"y": y, "yhat": y}))).axes[0]
    assert np.sinh(axes.lines[0].get_xdata()) * linear_width(y) == pytest.approx(y)
    ticks = dict(zip([label.get_text() for label in axes.get_xticklabels()], axes.get_xticks(), strict=True))
    assert ticks["0"] == 0
    assert np.sinh(ticks["1k"]) * linear_width(y) == pytest.approx(1000)


def test_even_amounts_are_drawn_as_they_are():
    assert linear_width(np.array([90.0, 100.0, 110.0])) is None
    assert linear_width(np.zeros(5)) is None


def test_the_histogram_shows_shares_of_all_rows():
    data = full_report(residual_edges=[-20, -10, 0, 10, 20], residual_counts=[1, 4, 3, 2])
    axes = figures.residual_histogram(data).axes[0]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.1, 0.4, 0.3, 0.2])
    assert [bar.get_x() for bar in axes.patches] == [-20, -10, 0, 10]
    assert axes.get_yscale() == "linear"


def test_a_lone_far_bin_does_not_squeeze_the_others_and_a_peak_is_drawn_logarithmically():
    counts = [1, *[0] * 97, 2_000, 100_000, 1_500, 1_000, *[0] * 98]
    data = full_report(residual_edges=np.linspace(-1000, 1000, 201).tolist(), residual_counts=counts)
    axes = figures.residual_histogram(data).axes[0]
    assert axes.get_xlim()[0] > -100
    assert axes.get_xlim()[1] < 100
    assert axes.get_yscale() == "log"


def test_importance_is_shown_in_shares_largest_first():
    axes = figures.feature_importance(full_report()).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0.3, 0.1])
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Mean of the last 28 days", "How far ahead", "Promo"]


def test_only_the_fifteen_most_important_features_are_shown():
    many = pd.DataFrame({"name": [f"x{i}" for i in range(40)], "value": np.arange(40.0)})
    axes = figures.feature_importance(full_report(importance=many)).axes[0]
    assert len(axes.patches) == 15
    assert axes.patches[0].get_width() == pytest.approx(39 / many["value"].sum())


def test_the_total_shows_sales_backtests_and_the_forecast_with_its_fan():
    data = full_report()
    axes = figures.total_over_time(data).axes[0]
    sold, *folds, forecast, end = axes.lines
    assert sold.get_ydata() == pytest.approx(data.total_actual["y"].to_numpy())
    assert np.concatenate([line.get_ydata() for line in folds]) == pytest.approx(data.total_backtest["yhat"].to_numpy())
    assert len(folds) == 3
    assert forecast.get_ydata() == pytest.approx(data.total_future["yhat"].to_numpy())
    assert mdates.num2date(mdates.date2num(end.get_xdata()[0])).date() == data.total_actual["ds"].max().date()
    outer, inner = (item.get_paths()[0].get_extents() for item in axes.collections)
    assert (outer.ymin, outer.ymax) == pytest.approx((data.total_future["lo95"].min(), data.total_future["hi95"].max()))
    assert (inner.ymin, inner.ymax) == pytest.approx((data.total_future["lo80"].min(), data.total_future["hi80"].max()))


def test_closed_days_are_not_drawn_as_zero_sales():
    lines = timelines()
    actual = lines["total_actual"].assign(closed=lambda frame: frame["ds"].dt.day_of_week == 5)
    actual.loc[actual["closed"], "y"] = 0.0
    axes = figures.total_over_time(full_report(total_actual=actual)).axes[0]
    assert min(axes.lines[0].get_ydata()) > 0


def test_dates_as_text_or_date_objects_are_read_too():
    lines = {name: frame.assign(ds=frame["ds"].dt.date.astype(object)) for name, frame in timelines().items()}
    assert figures.total_over_time(full_report(**lines)) is not None
    lines = {name: frame.assign(ds=frame["ds"].astype(str)) for name, frame in lines.items()}
    assert figures.series_small_multiples(full_report(**lines)) is not None


def test_each_series_is_drawn_in_its_own_panel():
    data = full_report()
    figure = figures.series_small_multiples(data)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}
    assert set(panels) == {"tea/1", "tea/2", "coffee/1"}
    for name, axes in panels.items():
        history = data.series_history[data.series_history["unique_id"] == name]
        assert axes.lines[0].get_ydata() == pytest.approx(history["y"].to_numpy())
        future = data.series_future[data.series_future["unique_id"] == name]
        assert axes.lines[2].get_ydata() == pytest.approx(future["yhat"].to_numpy())
    assert panels["coffee/1"].get_title(loc="right") == "highest error · WAPE 90%"


def test_forecasts_without_intervals_have_no_bands():
    lines = timelines()
    bare = {
        name: frame.drop(columns=["lo80", "hi80", "lo95", "hi95"], errors="ignore") for name, frame in lines.items()
    }
    data = full_report(**bare)
    for figure in (figures.total_over_time(data), figures.series_small_multiples(data)):
        assert not any(axes.collections for axes in figure.axes)


def test_reasons_are_counted_most_first():
    axes = figures.quarantine_reasons(full_report()).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [35, 20]
    assert [note.get_text() for note in axes.texts] == ["35  (3.50% of rows)", "20  (2.00% of rows)"]


def test_quantities_to_order_are_drawn_where_there_are_any():
    def labels(data):
        return [text.get_text() for text in figures.series_small_multiples(data).legends[0].get_texts()]

    data = full_report()
    assert "Quantity to order" not in labels(data)
    future = data.series_future.assign(order_quantity=data.series_future["hi80"] * 0.9)
    assert "Quantity to order" in labels(full_report(series_future=future))
