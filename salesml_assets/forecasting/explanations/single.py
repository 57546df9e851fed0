"""Why single forecasts are what they are: contributions that add up, and a local surrogate beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.explanations.columns import (
    BASE_GROUP,
    LOCAL,
    PRODUCTION,
    SURROGATE,
    table_of,
)
from salesml_assets.forecasting.explanations.overall import with_columns_of
from salesml_assets.forecasting.feature_words import RULES
from salesml_assets.forecasting.model.explain import Explained, Shares
from salesml_assets.forecasting.model.models import Model

MASKS, DONORS = 128, 16
KERNEL_WIDTH = 0.75
RIDGE = 1e-3


@dataclass(frozen=True)
class Surrogate:
    """A linear model of a model around one row.

    Attributes:
        amounts: Per group, what its own values add in place of those of other rows, in units of the target.
        fit: R² of the linear model on the perturbed rows, weighted by their nearness; None where nothing varies.
    """

    amounts: dict[str, float]
    fit: float | None


def surrogate(model: Model, row: pl.DataFrame, background: pl.DataFrame, shares: Shares) -> Surrogate:
    """A weighted ridge regression around one row, after LIME (Ribeiro, Singh & Guestrin 2016).

    Groups of features are switched off at random: a group that is off has the values of a background row, and the
    predictions with several such rows are averaged. Rows in which fewer groups are off are nearer and count more. The
    series' size stays as it is.

    Args:
        model: A fitted model.
        row: One row of the panel.
        background: Rows of the panel that the values of switched-off groups come from.
        shares: Shares of the row, for the groups.
    """
    groups = list(shares.groups)
    masks, count = pl.Series(np.arange(MASKS)), MASKS * DONORS
    draws = np.stack([uniform(masks, seed=102 + place).to_numpy() for place in range(len(groups))], axis=1)
    on = draws >= uniform(masks, seed=101).to_numpy()[:, None]
    on[0] = True
    # The same donors for each mask: what differs between two masks is the groups alone, not the draw of the rows.
    chosen = (uniform(pl.Series(np.arange(DONORS)), seed=100) * background.height).floor().cast(pl.Int64)
    donors = background[np.tile(chosen.to_numpy(), MASKS)]
    mixed = several = row[np.zeros(count, dtype=np.int64)]
    for place, group in enumerate(groups):
        columns = shares.columns_of(group)
        replaced = with_columns_of(several, donors, columns)
        kept = pl.Series(np.repeat(on[:, place], DONORS))
        mixed = mixed.with_columns(
            several[name].cast(replaced.schema[name]).zip_with(kept, replaced[name]).alias(name) for name in columns
        )
    predicted = model.predict(mixed).reshape(MASKS, DONORS).mean(axis=1)
    distance = 1 - on.mean(axis=1)
    weights = np.exp(-(distance**2) / KERNEL_WIDTH**2)
    design = np.column_stack([np.ones(MASKS), on.astype(float)])
    penalty = RIDGE * float(weights.sum()) * np.diag([0.0, *np.ones(len(groups))])
    weighted = design * weights[:, None]
    slopes = np.linalg.solve(weighted.T @ design + penalty, weighted.T @ predicted)
    mean = float(np.average(predicted, weights=weights))
    spread = float(np.sum(weights * (predicted - mean) ** 2))
    left = float(np.sum(weights * (predicted - design @ slopes) ** 2))
    fit = 1 - left / spread if spread > 1e-12 * max(mean**2, 1e-12) * MASKS else None
    return Surrogate(dict(zip(groups, slopes[1:].tolist(), strict=True)), fit)


def local_rows(found: Explained, reason: str) -> pl.DataFrame:
    """The shares of some forecasts as rows of the table.

    Args:
        found: Explained forecasts.
        reason: Why these were chosen.

    Returns:
        For each forecast a row for each feature that adds something, one for the base and one for the rules; `amount`
        adds up to the forecast, which is in `high` of the row of the base.
    """
    shares, made = found.shares, found.forecasts
    names = {place: group for group, places in shares.groups.items() for place in places}
    features = [
        made.select("unique_id", "ds").with_columns(
            group=pl.lit(names[place]),
            feature=pl.lit(shares.features[place]),
            label=pl.lit(shares.labels[place]),
            amount=pl.lit(pl.Series(shares.amounts[:, place])),
        )
        for place in range(len(shares.features))
    ]
    about = made.select("unique_id", "ds")
    base = about.with_columns(
        group=pl.lit(BASE_GROUP), amount=pl.lit(pl.Series(shares.base)), high=pl.lit(made["yhat"])
    )
    rules = about.with_columns(group=pl.lit(RULES), amount=pl.lit(pl.Series(found.rules)))
    parts = [frame.filter(pl.col("amount") != 0) for frame in (*features, rules)]
    tables = [table_of(frame, subject=PRODUCTION, kind=LOCAL, reason=reason) for frame in (base, *parts)]
    return pl.concat(tables).sort("unique_id", "ds", maintain_order=True)


def surrogate_rows(found: Surrogate, unique_id: str, ds: object, reason: str) -> pl.DataFrame:
    """A surrogate as rows of the table: `amount` per group, its R² in `share`."""
    frame = pl.DataFrame(
        {"group": list(found.amounts), "amount": list(found.amounts.values())}, schema_overrides={"amount": pl.Float64}
    ).with_columns(ds=pl.lit(ds, pl.Date), share=pl.lit(found.fit, pl.Float64))
    return table_of(frame, subject=PRODUCTION, kind=SURROGATE, unique_id=unique_id, reason=reason)
