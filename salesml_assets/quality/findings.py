"""What the rows of a source mean for a run: errors, doubts, and the history that there is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from salesml_assets.config.settings import Settings
from salesml_assets.quality.encoding import REPLACEMENT, encoding_problem, read_bytes
from salesml_assets.quality.files import list_files, short
from salesml_assets.quality.mapping import first_day
from salesml_assets.quality.notes import Note
from salesml_assets.quality.profile import Profile, amount_problems
from salesml_assets.quality.rhythm import Isolated, contradiction, daily_from, isolated_start, rhythm_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class SourceSummary:
    """What a source holds.

    Attributes:
        columns: Its columns as delivered.
        canonical: The canonical columns that it has, each with its Spark SQL expression.
        first_date: First day between `sales.first_month` and today; None where a part of the source has no rows.
        last_date: Last day up to today; None as above.
        weekdays: Weekdays (Monday is 0) on which something was ever sold.
        rows: Rows that meet `sales.filter`.
        left_out: Rows that do not.
        notes: What else was found: assumed, suspicious.
    """

    columns: list[str]
    canonical: dict[str, str]
    first_date: dt.date | None
    last_date: dt.date | None
    weekdays: frozenset[int]
    rows: int
    left_out: int
    notes: tuple[Note, ...] = ()

    @property
    def first_month(self) -> str:
        """The first month with a sale, 'yyyy-MM'.

        Raises:
            ValueError: Only a part of the source was looked at, and it has no rows.
        """
        if self.first_date is None:
            raise ValueError("there are no dated rows")
        return f"{self.first_date:%Y-%m}"


def judge_profile(
    profile: Profile,
    delivered: DataFrame,
    settings: Settings,
    mapped: dict[str, str],
    names: list[str],
    whole: bool = True,
) -> tuple[list[Note], SourceSummary | None]:
    """What a profile says about the source.

    Args:
        profile: The counted rows.
        delivered: Rows as delivered, for samples.
        settings: The settings.
        mapped: The canonical columns that the source has, each with its SQL expression.
        names: Its columns.
        whole: Whether the profile is of the whole source, so that its history can be judged.

    Returns:
        The notes, the worst first within each part, and the summary; None where there are no usable rows.
    """
    cells = profile.cells
    kept = cells[cells["met"]]
    readable = kept[kept["readable"]]
    today, first = pd.Timestamp(settings.today), pd.Timestamp(first_day(settings))
    usable = readable[(readable["date"] >= first) & (readable["date"] <= today)]
    rows, left_out = int(kept["rows"].sum()), int(cells.loc[~cells["met"], "rows"].sum())
    notes = [*_encoding_notes(delivered, settings, readable), *_amount_notes(profile, delivered, settings)]
    notes += _code_notes(readable, settings)
    if not len(usable):
        if whole:
            notes.insert(0, _nothing_usable(readable, left_out, settings))
            return notes, None
        return notes, SourceSummary(names, mapped, None, None, frozenset(), rows, left_out, tuple(notes))
    days = usable.groupby("date", as_index=False)[["rows", "series"]].sum()
    if whole:
        notes += _history_notes(days, settings)
    notes += _zone_notes(profile, usable, settings)
    undated = int(readable.loc[readable["date"].isna(), "rows"].sum())
    if undated:
        text = f"{undated:,} of {int(readable['rows'].sum()):,} rows have no date that can be read; they are rejected"
        notes.append(Note("suspicious", "sales.columns.date", text))
    dates = pd.DatetimeIndex(days["date"])
    return notes, SourceSummary(
        names, mapped, dates[0].date(), dates[-1].date(), frozenset(dates.day_of_week.unique().tolist()),
        rows, left_out, tuple(notes),
    )  # fmt: skip


def _nothing_usable(readable: pd.DataFrame, left_out: int, settings: Settings) -> Note:
    total = int(readable["rows"].sum())
    if total == 0 and left_out:
        return Note("wrong", "sales.filter", f"none of the {left_out:,} rows meets {settings.sales.filter!r}")
    if total == 0:
        return Note("wrong", "sales.path", f"{settings.sales.path!r} holds no rows that can be read")
    date = readable["date"]
    undated, future, early = (
        int(readable.loc[which, "rows"].sum())
        for which in (date.isna(), date > pd.Timestamp(settings.today), date < pd.Timestamp(first_day(settings)))
    )
    return Note(
        "wrong",
        "sales.columns.date",
        f"none of the {total:,} rows has a usable date: {undated:,} have none that can be read, {future:,} lie after "
        f"today ({settings.today}, clock.today), {early:,} before sales.first_month ({settings.sales.first_month}). "
        f"Dates in another form than 2011-12-09 take an expression: to_date(day, 'dd.MM.yyyy')",
    )


def _encoding_notes(delivered: DataFrame, settings: Settings, readable: pd.DataFrame) -> Iterator[Note]:
    bad = int(readable.loc[readable["bad"], "rows"].sum())
    if not bad:
        return
    sales = settings.sales
    if sales.format in ("csv", "json"):
        encoding = sales.options.get("encoding") or sales.options.get("charset") or "UTF-8"
        for file in list_files(delivered.sparkSession, sales.path).paths:
            content = read_bytes(file, settings.s3, limit=None)
            if content and (problem := encoding_problem(content[0], encoding)):
                yield Note(
                    "wrong",
                    "sales.options.encoding",
                    f"line {problem.line} of {short(file)!r} is not {encoding}: {problem.text!r} if the file is "
                    f"{problem.guess}; set sales.options.encoding: {problem.guess}",
                    f"sales:\n  options: {{encoding: {problem.guess}}}",
                )
                return
    text = f"{bad:,} rows have names with the character {REPLACEMENT!r}: whoever wrote the source could not decode them"
    yield Note("suspicious", "sales.path", text)


def _amount_notes(profile: Profile, delivered: DataFrame, settings: Settings) -> Iterator[Note]:
    for key, problem in amount_problems(profile, delivered, settings).items():
        name = key.rpartition(".")[2]
        if problem.wrong:
            ways = [f"{expression} ({what})" for what, expression in problem.expressions.items()]
            text = f"{problem.text}. Write what they mean as an expression in {key}: {' or '.join(ways)}"
        else:
            text = f"{problem.text}; these rows are rejected"
        expression = next(iter(problem.expressions.values()))
        yaml = f'sales:\n  columns:\n    {name}: "{expression}"'
        yield Note("wrong" if problem.wrong else "suspicious", key, text, yaml)


def _code_notes(readable: pd.DataFrame, settings: Settings) -> Iterator[Note]:
    shortened = int(readable.loc[readable["short"], "rows"].sum())
    if shortened:
        yield Note(
            "wrong" if shortened > 0.01 * readable["rows"].sum() else "suspicious",
            "sales.columns",
            f"{shortened:,} rows have codes such as 7.89E+12 ({', '.join(settings.forecast.series)}): Excel has saved "
            f"them as it shows them, and different products have become one. Export the codes as text",
        )


def _history_notes(days: pd.DataFrame, settings: Settings) -> Iterator[Note]:
    isolated, frequency = isolated_start(days), settings.forecast.frequency
    history = days if isolated is None else days[days["date"] > pd.Timestamp(isolated.last)]
    first, last = history["date"].min().date(), history["date"].max().date()
    short_history = horizon_problem(first, last, settings)
    if isolated is not None:
        yield _isolated_note(isolated, short_history)
    begins = daily_from(history)
    if begins is not None:
        text = f"up to {begins} the source has one date a month, then single days: it begins with monthly totals"
        yield Note("wrong", "sales.first_month", f"{text}; set sales.first_month: {begins:%Y-%m}",
                   f"sales:\n  first_month: {begins:%Y-%m}")  # fmt: skip
    rhythm = rhythm_of(history)
    reason = contradiction(rhythm, frequency)
    if reason is not None:
        yaml = "forecast:\n  frequency: W" if rhythm.name == "weekly" else ""
        yield Note("wrong", "forecast.frequency", reason, yaml)
    if short_history:
        yield Note("wrong", "forecast.horizon", short_history)
    yield Note("found", "forecast.frequency", f"{rhythm.name} rows on {rhythm.dates:,} dates, {first} to {last}")


def _isolated_note(isolated: Isolated, short_history: str | None) -> Note:
    when = f"{isolated.first}" if isolated.first == isolated.last else f"{isolated.first} to {isolated.last}"
    rows = "1 row" if isolated.rows == 1 else f"{isolated.rows:,} rows"
    text = (
        f"{rows} of {when} {'is' if isolated.rows == 1 else 'are'} {(isolated.then - isolated.last).days:,} days away "
        f"from all others, which begin on {isolated.then}; set sales.first_month: {isolated.then:%Y-%m}"
    )
    if short_history:
        text += f". Then forecast.horizon: {short_history}"
    return Note("wrong", "sales.first_month", text, f"sales:\n  first_month: {isolated.then:%Y-%m}")


def _zone_notes(profile: Profile, usable: pd.DataFrame, settings: Settings) -> Iterator[Note]:
    if not profile.counts_instants:
        return
    timed = usable[usable["quarter"].notna()]
    total = int(timed["rows"].sum())
    if not total:
        return
    night, evening = (int(timed.loc[timed["quarter"] == quarter, "rows"].sum()) for quarter in (0, 3))
    yield Note(
        "suspicious",
        "sales.timezone",
        f"{total:,} rows have instants without the shop's time zone, so days are those of UTC: {night:,} rows before "
        f"06:00 UTC belong to the day before in the Americas, {evening:,} after 18:00 UTC to the day after in Asia",
        "sales:\n  timezone: America/Sao_Paulo  # the shop's",
    )


def needed_steps(settings: Settings) -> int:
    """Days (or weeks) of history that backtests with this horizon take.

    One horizon for tuning and one for each fold that scores, before them as much to learn from, at least two
    weeks of days or eight weeks.
    """
    return _needed(settings, settings.forecast.horizon)


def horizon_problem(first: dt.date, last: dt.date, settings: Settings) -> str | None:
    """Why a history of these days is too short for the horizon and the backtest; None if it is not."""
    weekly = settings.forecast.frequency.startswith("W")
    unit = "weeks" if weekly else "days"
    steps = (last - first).days // (7 if weekly else 1) + 1
    needed = needed_steps(settings)
    if steps >= needed:
        return None
    fitting = next((h for h in range(settings.forecast.horizon, 0, -1) if _needed(settings, h) <= steps), None)
    advice = (
        f"the longest horizon that fits is {fitting}"
        if fitting
        else f"even a horizon of 1 needs {_needed(settings, 1)} {unit}"
    )
    return (
        f"{settings.forecast.horizon} {unit} ahead with training.folds = {settings.training.folds} "
        f"need {needed} {unit} of sales, there are {steps} ({first} to {last}); {advice}"
    )


def _needed(settings: Settings, horizon: int) -> int:
    least = 8 if settings.forecast.frequency.startswith("W") else 14
    return (settings.training.folds + 1) * horizon + max(least, horizon)
