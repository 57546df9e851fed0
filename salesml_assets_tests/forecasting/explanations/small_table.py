"""The table `explanations` of the small shop, made without Spark."""

from __future__ import annotations

import functools

import pandas as pd
import polars as pl

from salesml_assets.forecasting.explanations.columns import PRODUCTION
from salesml_assets.forecasting.explanations.overall import (
    dependence,
    effects,
    mean_contributions,
    permutation_importance,
)
from salesml_assets.forecasting.explanations.single import local_rows, surrogate, surrogate_rows
from salesml_assets.forecasting.model.explain import explained, shares_of
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel
from salesml_assets_tests.forecasting.small_models import SETTINGS, bundle, learned


@functools.cache
def panel() -> pl.DataFrame:
    return small_panel(small_features(SETTINGS), SETTINGS)


def rows_of(kind: str) -> pl.DataFrame:
    rows = panel().filter(pl.col("kind") == kind).sort("unique_id", "ds", "origin")
    return rows if kind != "score" else rows.filter(pl.col("origin") == rows["origin"].max())


@functools.cache
def small_table() -> pd.DataFrame:
    """Every part of the table, for trees."""
    model, spec = learned(), bundle(2).features
    learnt, tested, future = rows_of("train"), rows_of("score"), rows_of("future").filter(pl.col("unique_id") == "p6")
    shares = shares_of(model, spec, tested)
    overall = shares_of(model, spec, learnt)
    peak = future[3:4]
    parts = [
        mean_contributions(shares, "xgboost"),
        permutation_importance(model, tested, shares, "xgboost", non_negative=True),
        mean_contributions(overall, PRODUCTION),
        effects(learnt, overall, spec, PRODUCTION),
        dependence(model, learnt.head(50), overall, spec, PRODUCTION),
        local_rows(explained(bundle(2), future), "largest"),
        surrogate_rows(surrogate(model, peak, learnt, shares_of(model, spec, peak)), "p6", peak["ds"][0], "largest"),
    ]
    return pl.concat(parts).to_pandas()
