"""The table `explanations` from the lake: bounded samples of the panel, the bundles, and chosen series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.compute as pc

from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.explanations.columns import PRODUCTION, table_of
from salesml_assets.forecasting.explanations.overall import (
    dependence,
    effects,
    mean_contributions,
    permutation_importance,
)
from salesml_assets.forecasting.explanations.single import local_rows, surrogate, surrogate_rows
from salesml_assets.forecasting.model.explain import Explained, explained, shares_of
from salesml_assets.forecasting.panel import FUTURE, SCORE, TRAIN
from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets.names import FORECASTS, PANEL

if TYPE_CHECKING:
    from salesml_assets.forecasting.comparison import Comparison
    from salesml_assets.forecasting.model.bundle import Bundle

SAMPLE_ROWS = 1_000
MOVED_ROWS = 300  # of a sample, for partial dependences: each is predicted some fifty times
CHOSEN = 3  # series for each reason
LARGEST, WORST, BEST = "largest", "highest error", "lowest error"


def explanations(
    lake: Lakehouse, production: Bundle, algorithms: Mapping[str, Bundle], comparison: Comparison
) -> pl.DataFrame:
    """The table: every algorithm as a whole on the latest backtest, the production model, and chosen forecasts.

    Args:
        lake: The lake; its panel is read in batches, at most `SAMPLE_ROWS` rows of each kind are kept.
        production: The production model.
        algorithms: The models of the latest backtest origin, which have not seen the rows that follow it.
        comparison: The comparison, for the series with the highest and the lowest error.

    Returns:
        `columns.SCHEMA`, in a fixed order.

    Raises:
        LakeError: The panel has no rows of the latest origin.
    """
    learned = sample(lake, TRAIN)
    tested = sample(lake, SCORE)
    parts = []
    for name, bundle in algorithms.items():
        shares = shares_of(bundle.model, bundle.features, tested)
        parts += [
            mean_contributions(shares, name),
            permutation_importance(bundle.model, tested, shares, name, non_negative=bundle.non_negative),
            dependence(bundle.model, tested.head(MOVED_ROWS), shares, bundle.features, name),
        ]
    overall = shares_of(production.model, production.features, learned)
    parts += [
        mean_contributions(overall, PRODUCTION),
        effects(learned, overall, production.features, PRODUCTION),
        dependence(production.model, learned.head(MOVED_ROWS), overall, production.features, PRODUCTION),
    ]
    chosen = chosen_series(lake, comparison)
    future = future_rows(lake, list(chosen))
    for name, reason in chosen.items():
        rows = future.filter(pl.col("unique_id") == name)
        found = explained(production, rows)
        parts.append(local_rows(found, reason))
        peak = int(found.forecasts["yhat"].arg_max() or 0)
        row = rows[peak : peak + 1]
        shares = shares_of(production.model, production.features, row)
        parts.append(surrogate_rows(surrogate(production.model, row, learned, shares), name, row["ds"][0], reason))
    return pl.concat([table_of(pl.DataFrame()), *parts])


def explain_series(lake: Lakehouse, production: Bundle, unique_id: str) -> Explained:
    """The forecasts of one series, explained.

    Args:
        lake: The lake.
        production: The production model.
        unique_id: Name of the series.

    Raises:
        LakeError: There is no such series.
    """
    rows = future_rows(lake, [unique_id])
    if rows.is_empty():
        raise LakeError(
            f"There is no forecast of a series {unique_id!r}: names are those of the column unique_id of `forecasts`."
        )
    return explained(production, rows)


def future_rows(lake: Lakehouse, names: Sequence[str]) -> pl.DataFrame:
    """The rows of the panel to forecast of some series, sorted by series and step."""
    wanted = (pc.field("kind") == FUTURE) & pc.field("unique_id").isin(list(names))
    return lake.read_polars(PANEL, None, wanted).sort("unique_id", "ds")


def chosen_series(lake: Lakehouse, comparison: Comparison) -> dict[str, str]:
    """The series whose forecasts are explained, and why: the largest, those with the highest and the lowest error."""
    totals: dict[str, float] = {}
    for batch in lake.batches(FORECASTS, ["unique_id", "yhat"]):
        for name, total in batch.group_by("unique_id", maintain_order=True).agg(pl.col("yhat").sum()).iter_rows():
            totals[name] = totals.get(name, 0.0) + total
    largest = sorted(totals, key=lambda name: (-totals[name], name))[:CHOSEN]
    chosen = dict.fromkeys(largest, LARGEST)
    for frame, reason, count in ((comparison.worst_series, WORST, CHOSEN), (comparison.best_series, BEST, 1)):
        for name in [name for name in frame["unique_id"] if name in totals][:count]:
            chosen.setdefault(name, reason)
    return chosen


def sample(lake: Lakehouse, kind: str) -> pl.DataFrame:
    """At most `SAMPLE_ROWS` rows of the panel, drawn by a hash; of rows to score, those of the latest origin.

    Raises:
        LakeError: There are none.
    """
    drawn: list[pl.DataFrame] = []
    for batch in _rows(lake, kind):
        draw = uniform(batch["unique_id"], batch["ds"], batch["origin"], seed=7)
        both = pl.concat([*drawn, batch.with_columns(draw.alias("_draw"))])
        newest = both["origin"].max() if kind == SCORE else None
        kept = both if newest is None else both.filter(pl.col("origin") == newest)
        drawn = [kept.sort("_draw", "unique_id", "ds").head(SAMPLE_ROWS)]
    if not drawn:
        raise LakeError(f"The panel has no rows of the kind {kind!r}: materialize `{PANEL}` again.")
    return drawn[0].drop("_draw")


def _rows(lake: Lakehouse, kind: str) -> Iterator[pl.DataFrame]:
    wanted = (pc.field("kind") == kind) & ~pc.field("closed")
    return lake.batches(PANEL, None, wanted)
