"""The table `explanations` as people read it: who is influenced by what, and single forecasts taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from salesml_assets.forecasting.explanations.columns import (
    BASE_GROUP,
    CONTRIBUTION,
    DEPENDENCE,
    EFFECT,
    LOCAL,
    PERMUTATION,
    PRODUCTION,
    SURROGATE,
)
from salesml_assets.forecasting.feature_words import RULES
from salesml_assets.lake.store import LakeError
from salesml_assets.reporting.formats import amount, percent
from salesml_assets.text import clean

if TYPE_CHECKING:
    import polars as pl

    from salesml_assets.forecasting.model.explain import Explained

SMALL_PARTS = 0.01  # of a forecast: parts below it are drawn together


@dataclass(frozen=True)
class Waterfall:
    """One forecast taken apart: base, parts and what is left add up to it.

    Attributes:
        unique_id: The series.
        reason: Why it was chosen.
        ds: The step.
        base: What the model forecasts of an average row at this series' size.
        parts: Groups and their amounts, the largest first; small ones together as the last.
        yhat: The forecast.
        surrogate: Amounts of the local surrogate by group; empty without one.
        fit: Its R²; None without one.
    """

    unique_id: str
    reason: str
    ds: pd.Timestamp
    base: float
    parts: list[tuple[str, float]]
    yhat: float
    surrogate: dict[str, float]
    fit: float | None


def influence(table: pd.DataFrame, subject: str = PRODUCTION) -> pd.DataFrame:
    """Groups of a model by mean absolute contribution: `group, amount, share, low, high`, the strongest first."""
    rows = table[(table["kind"] == CONTRIBUTION) & (table["subject"] == subject) & table["feature"].isna()]
    return rows.sort_values(["amount", "group"], ascending=[False, True])[["group", "amount", "share", "low", "high"]]


def shuffled(table: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """Growth of the error where a group is shuffled: `group, amount, share, low, high`."""
    rows = table[(table["kind"] == PERMUTATION) & (table["subject"] == algorithm)]
    return rows[["group", "amount", "share", "low", "high"]]


def effects(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per group `at, at_label, amount, share`, in the order of the values; groups with one value are left out."""
    rows = table[(table["kind"] == EFFECT) & (table["subject"] == PRODUCTION)]
    parts = {str(group): part.sort_values(["at", "at_label"]) for group, part in rows.groupby("group", sort=True)}
    return {group: part[["at", "at_label", "amount", "share"]] for group, part in parts.items() if len(part) > 1}


def dependences(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per label of a feature `at, amount`, the most important feature first."""
    rows = table[(table["kind"] == DEPENDENCE) & (table["subject"] == PRODUCTION)]
    return {str(label): part[["at", "amount"]] for label, part in rows.groupby("label", sort=False) if len(part) > 1}


def waterfalls(table: pd.DataFrame) -> list[Waterfall]:
    """For each explained series the step with the highest forecast, in the order of the table."""
    local = table[table["kind"] == LOCAL]
    near = table[table["kind"] == SURROGATE]
    found = []
    for name in local["unique_id"].drop_duplicates():
        own = local[local["unique_id"] == name]
        totals = own[own["group"] == BASE_GROUP].set_index("ds")["high"]
        day = totals.idxmax()
        found.append(_waterfall(own[own["ds"] == day], near[near["unique_id"] == name], float(totals[day])))
    return found


def _waterfall(rows: pd.DataFrame, near: pd.DataFrame, yhat: float) -> Waterfall:
    groups = rows[rows["group"] != BASE_GROUP].groupby("group")["amount"].sum()
    order = sorted(groups.index, key=lambda group: (-abs(groups[group]), group))
    least = SMALL_PARTS * max(abs(yhat), float(groups.abs().max()) if len(groups) else 0.0)
    parts = [(str(group), float(groups[group])) for group in order if abs(groups[group]) >= least]
    rest = [float(groups[group]) for group in order if abs(groups[group]) < least]
    if rest:
        parts.append(("All others", sum(rest)))
    first = rows.iloc[0]
    fit = None if near.empty or pd.isna(near["share"].iloc[0]) else float(near["share"].iloc[0])
    return Waterfall(
        unique_id=str(first["unique_id"]),
        reason=str(first["reason"]),
        ds=pd.Timestamp(first["ds"]),
        base=float(rows.loc[rows["group"] == BASE_GROUP, "amount"].sum()),
        parts=parts,
        yhat=yhat,
        surrogate=dict(zip(near["group"], near["amount"].astype(float), strict=True)),
        fit=fit,
    )


def strongest_groups(table: pl.DataFrame) -> str:
    """The groups of the production model with their shares, as a list in Markdown."""
    rows = influence(table.to_pandas())
    return "\n".join(
        f"- {clean(group, 60)}: {percent(share, 0)} (±{amount(size)} per forecast)"
        for group, size, share in zip(rows["group"], rows["amount"], rows["share"], strict=True)
    )


def waterfall_text(found: Explained, day: str | None = None) -> str:
    """One forecast taken apart, as lines of text.

    Args:
        found: The explained forecasts of one series.
        day: The step, as YYYY-MM-DD; default: the one with the highest forecast.

    Raises:
        LakeError: There is no forecast for that step.
    """
    made, shares = found.forecasts, found.shares
    days = [str(value) for value in made["ds"]]
    if day is not None and day not in days:
        raise LakeError(f"There is no forecast for {clean(day, 20)}: there are steps from {days[0]} to {days[-1]}.")
    place = days.index(day) if day is not None else int(made["yhat"].arg_max() or 0)
    parts = sorted(((float(by[place]), group) for group, by in shares.by_group.items()), key=lambda part: -abs(part[0]))
    if not found.is_model[place]:
        parts.append((float(found.rules[place]), RULES))
    lines = [("Base: an average row at this size", amount(float(shares.base[place])))]
    for size, group in parts:
        strongest = max(shares.groups.get(group, []), key=lambda p: abs(shares.amounts[place, p]), default=None)
        about = "" if strongest is None else f"  most: {shares.labels[strongest]}"
        lines.append((clean(group, 60), f"{'+' if size >= 0 else ''}{amount(size)}{about}"))
    lines.append(("Forecast", amount(float(made["yhat"][place]))))
    width = max(len(name) for name, _ in lines)
    name, model, version = (made[column][place] for column in ("unique_id", "model", "model_version"))
    head = f"{clean(name, 60)}, {days[place]} ({model}, version {version})"
    return "\n".join([head, *[f"  {name.ljust(width)}  {text}" for name, text in lines]])
