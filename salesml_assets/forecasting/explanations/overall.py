"""What a model looks at as a whole: mean contributions, permutation importance, effects by value, dependence."""

from __future__ import annotations

import calendar

import numpy as np
import polars as pl

from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.explanations.columns import (
    CONTRIBUTION,
    DEPENDENCE,
    EFFECT,
    PERMUTATION,
    table_of,
)
from salesml_assets.forecasting.feature_words import label_of
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.metrics import horizon_bucket
from salesml_assets.forecasting.model.explain import Shares
from salesml_assets.forecasting.model.models import Model
from salesml_assets.forecasting.panel_features import AHEAD, WEEKDAY, YEAR, planned_group

REPEATS = 3
GRID = 9
MAX_FEATURES = 6
DONORS_IN_UNITS = ("seasonal_naive", "average_")


def mean_contributions(shares: Shares, subject: str) -> pl.DataFrame:
    """Mean absolute contribution of each group, and of each feature in it.

    Args:
        shares: Of a sample of rows.
        subject: Name of the model.

    Returns:
        Rows of the table: `amount` is the mean absolute contribution in units of the target, `share` its share among
        the groups (of a feature: among the features), `low` and `high` are the 10th and 90th percentile of the
        contribution itself; `feature` is null in the rows of groups. Groups cancel inside: two features that always
        move against each other are no influence.
    """
    groups = _spread(shares.by_group.values())
    features = _spread(shares.amounts.T)
    names = {place: group for group, places in shares.groups.items() for place in places}
    return pl.concat(
        [
            table_of(groups.with_columns(group=pl.Series(list(shares.groups))), subject=subject, kind=CONTRIBUTION),
            table_of(
                features.with_columns(
                    group=pl.Series([names[place] for place in range(len(shares.features))]),
                    feature=pl.Series(shares.features),
                    label=pl.Series(shares.labels),
                ),
                subject=subject,
                kind=CONTRIBUTION,
            ),
        ]
    )


def permutation_importance(
    model: Model, rows: pl.DataFrame, shares: Shares, subject: str, *, non_negative: bool
) -> pl.DataFrame:
    """How much the error grows when the columns of a group are shuffled among the rows (Breiman 2001; Fisher 2019).

    Args:
        model: A model that has not seen the targets of the rows.
        rows: Rows of a backtest, with `y`.
        shares: Their shares, for the groups.
        subject: Name of the model.
        non_negative: Whether forecasts below zero are cut off.

    Returns:
        Rows of the table: `amount` is the increase of the mean absolute error in units of the target, `share` that of
        WAPE; `low` and `high` are the extremes of `REPEATS` shuffles.
    """
    y = rows["y"].to_numpy()
    volume = float(np.abs(y).sum())
    orders = [np.argsort(uniform(rows["unique_id"], rows["ds"], seed=seed).to_numpy()) for seed in range(REPEATS)]
    # One prediction of all shuffled rows: each call costs some milliseconds, whatever its rows.
    shuffled = [
        with_columns_of(rows, rows[order], shares.columns_of(group)) for group in shares.groups for order in orders
    ]
    predicted = model.predict(pl.concat([rows, *shuffled])).reshape(-1, len(y))
    errors = np.abs((np.maximum(predicted, 0.0) if non_negative else predicted) - y).sum(axis=1)
    grown = (errors[1:] - errors[0]).reshape(-1, REPEATS)
    found = [
        {
            "group": group,
            "amount": float(values.mean()) / len(y),
            "share": float(values.mean()) / volume if volume else None,
            "low": float(values.min()) / len(y),
            "high": float(values.max()) / len(y),
        }
        for group, values in zip(shares.groups, grown, strict=True)
    ]
    return table_of(pl.DataFrame(found), subject=subject, kind=PERMUTATION)


def effects(rows: pl.DataFrame, shares: Shares, spec: FeatureSpec, subject: str) -> pl.DataFrame:
    """Mean contribution of a group by what a planner knows it by: weekday, month, distance, planned value.

    Args:
        rows: Rows of the panel over the whole year, such as a sample of those that were learned from.
        shares: Their shares.
        spec: The definition of the features.
        subject: Name of the model.

    Returns:
        Rows of the table: `at` orders the values, `at_label` names them, `amount` is the mean contribution in units of
        the target, `share` that over the mean prediction of all rows.
    """
    day = pl.col("ds").dt
    known: dict[str, tuple[pl.Expr, pl.Expr]] = {
        YEAR: (day.month(), day.month().replace_strict(dict(enumerate(calendar.month_name)), return_dtype=pl.String)),
        AHEAD: (pl.col("horizon"), horizon_bucket(spec.weekly)),
    }
    if not spec.weekly:
        names = dict(enumerate(calendar.day_name, 1))
        known[WEEKDAY] = (day.weekday(), day.weekday().replace_strict(names, return_dtype=pl.String))
    for name in spec.numbers:
        value = pl.col(f"f_{name}")
        known[planned_group(name)] = (value, pl.when(value > 0).then(pl.lit("above 0")).otherwise(pl.lit("0")))
    for name in spec.texts:
        known[planned_group(name)] = (pl.lit(0), pl.col(f"c_{name}"))
    typical = float(np.abs(shares.predictions).mean()) or 1.0
    found = []
    for group, (order, label) in known.items():
        if group not in shares.by_group:
            continue
        frame = rows.select(at=order.cast(pl.Float64), at_label=label, amount=pl.lit(shares.by_group[group]))
        by_value = frame.group_by("at_label").agg(pl.col("at").min(), pl.col("amount").mean()).sort("at", "at_label")
        # Against the mean over all rows: what a value adds or takes away.
        centred = by_value.with_columns(pl.col("amount") - float(shares.by_group[group].mean()))
        found.append(centred.with_columns(share=pl.col("amount") / typical, group=pl.lit(group)))
    return pl.concat([table_of(pl.DataFrame()), *(table_of(frame, subject=subject, kind=EFFECT) for frame in found)])


def dependence(model: Model, rows: pl.DataFrame, shares: Shares, spec: FeatureSpec, subject: str) -> pl.DataFrame:
    """Partial dependence of the mean prediction on the most important features (Friedman 2001).

    Features move together in real sales; a partial dependence moves one of them alone.

    Args:
        model: A fitted model.
        rows: Rows of the panel.
        shares: Of these or of more such rows: the numeric features with the largest mean contribution are taken.
        spec: The definition of the features, for their words.
        subject: Name of the model.

    Returns:
        Rows of the table: at the value `at` of `feature` in every row, `amount` is the mean prediction in units of the
        target. Amounts among the features are multiples of the series' usual level.
    """
    strength = np.abs(shares.amounts).mean(axis=0)
    numeric = [p for p, name in enumerate(shares.features) if name.startswith("f_") and strength[p] > 0]
    names = {place: group for group, places in shares.groups.items() for place in places}
    found: list[dict[str, object]] = []
    moved = []
    for place in sorted(numeric, key=lambda p: (-strength[p], shares.features[p]))[:MAX_FEATURES]:
        name = shares.features[place]
        values = rows[name].cast(pl.Float64).drop_nulls().to_numpy()
        for value in np.unique(np.quantile(values, np.linspace(0.02, 0.98, GRID), method="nearest")).tolist():
            moved.append(rows.with_columns(pl.lit(value).cast(rows.schema[name]).alias(name)))
            found.append(
                {"group": names[place], "feature": name, "label": label_of(name, spec), "at": value, "amount": 0.0}
            )
    if moved:
        means = model.predict(pl.concat(moved)).reshape(len(moved), -1).mean(axis=1)
        found = [row | {"amount": mean} for row, mean in zip(found, means.tolist(), strict=True)]
    return table_of(pl.DataFrame(found), subject=subject, kind=DEPENDENCE)


def with_columns_of(rows: pl.DataFrame, donors: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Rows with some columns of as many other rows.

    Baselines' columns are in units of the target: they are taken as multiples of the donor's usual level.
    """
    level = rows["scale"] / donors["scale"]
    return rows.with_columns(
        (donors[name] * level if name.startswith(DONORS_IN_UNITS) else donors[name]).alias(name) for name in columns
    )


def _spread(columns: object) -> pl.DataFrame:
    """Mean absolute value, share of it and percentiles of each of several vectors."""
    values = list(columns)  # type: ignore[call-overload]
    means = np.array([float(np.abs(value).mean()) for value in values])
    total = float(means.sum()) or 1.0
    low, high = (np.array([float(np.quantile(value, q)) for value in values]) for q in (0.1, 0.9))
    return pl.DataFrame({"amount": means, "share": means / total, "low": low, "high": high})
