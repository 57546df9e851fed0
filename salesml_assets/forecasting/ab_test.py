"""A/B tests judged on forecasts of days that were still to come: losses, verdict, promotion. No Spark, no Dagster."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.arms import ARMS
from salesml_assets.forecasting.challenger import ABANDONED, DROPPED, PROMOTED, RUNNING, ABTest, all_tests, running_test
from salesml_assets.forecasting.model.bundle import BundleError
from salesml_assets.forecasting.promotion import plain_name
from salesml_assets.forecasting.realised import PastForecasts, parts_of
from salesml_assets.forecasting.routed import arm_figures
from salesml_assets.forecasting.sequential import SequentialComparison, Verdict, compare, confidence_sequence
from salesml_assets.forecasting.versions import AB_TEST, Choice, VersionError, all_versions, promote_challenger
from salesml_assets.language import _, in_all_languages, with_point
from salesml_assets.names import AB_TEST_REPORT, CHALLENGER_FORECASTS, FORECASTS

if TYPE_CHECKING:
    from salesml_assets.forecasting.versions import ReadsFiles, Version
    from salesml_assets.lake.store import Lakehouse

# Of the origins in a week only the first one is compared, so that daily forecasts cost no more to compare than weekly
# ones, and nothing is known twice.
DAYS_BETWEEN_ORIGINS = 7
REPORT_SCHEMA = pl.Schema(
    {
        "test": pl.Int64, "outcome": pl.String, "reason": pl.String, "verdict": pl.String, "started": pl.Date,
        "last_day": pl.Date, "days": pl.Int64, "decided_on": pl.Date, "more_days": pl.Int64,
        "champion": pl.String, "champion_parameters": pl.String, "champion_version": pl.Int64,
        "champion_wape": pl.Float64, "challenger": pl.String, "challenger_parameters": pl.String,
        "challenger_version": pl.Int64, "challenger_wape": pl.Float64, "difference": pl.Float64,
        "relative_gain": pl.Float64, "low": pl.Float64, "high": pl.Float64, "alpha": pl.Float64, "margin": pl.Float64,
        "promoted_version": pl.Int64, "evaluated_at": pl.Date, "run_id": pl.String,
        **{f"{arm}_{name}": pl.Int64 for arm in ARMS for name in ("requests", "failed")},
        **{f"{arm}_{name}": pl.Float64 for arm in ARMS for name in ("p50_ms", "p99_ms", "served_wape")},
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An A/B test as it stands.

    Attributes:
        test: The test.
        found: The comparison so far; None before the first day with actuals.
        looks: Its confidence sequence, one row per day (`sequential.confidence_sequence`).
    """

    test: ABTest
    found: SequentialComparison | None
    looks: pl.DataFrame

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.found.verdict if self.found else Verdict.NOT_YET_KNOWN

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        names = {
            "challenger": plain_name(self.test.challenger.algorithm),
            "champion": plain_name(self.test.champion.algorithm),
        }
        found = self.found
        if found is None:
            return _("challenger {challenger} against champion {champion}: no day with actuals yet.", **names)
        ours, theirs, low, high = (
            "" if value is None else with_point(f"{value:.3f}") for value in (*self.wapes, found.low, found.high)
        )
        facts = _("WAPE {theirs} against {ours} over {days} days", theirs=theirs, ours=ours, days=found.days)
        if found.low is not None and found.high is not None:
            level = f"{1 - found.alpha:.0%}"
            bounds = _("{level} interval of the difference {low} to {high}", level=level, low=low, high=high)
            facts = f"{facts}, {bounds}"
        told = {**names, "facts": facts, "day": found.decided_on}
        if found.verdict == Verdict.CHALLENGER_BETTER:
            return _("challenger {challenger} is better than champion {champion}: {facts}, decided on {day}.", **told)
        if found.verdict == Verdict.CHAMPION_BETTER:
            return _("champion {champion} is better than challenger {challenger}: {facts}, decided on {day}.", **told)
        if found.verdict == Verdict.EQUIVALENT:
            told["margin"] = with_point(f"{found.margin:.1%}")
            return _(
                "challenger {challenger} and champion {champion} are equivalent within {margin}: {facts}, decided on "
                "{day}; the champion stays.",
                **told,
            )
        told["still"] = _("for how long is not known")
        if found.more_days is not None:
            told["still"] = _("some {days} more days", days=found.more_days)
        return _(
            "not yet known whether challenger {challenger} is better than champion {champion}: {facts}; {still}.",
            **told,
        )

    @property
    def wapes(self) -> tuple[float, float]:
        """WAPE of champion and challenger so far."""
        assert self.found is not None
        mean, difference = self.looks["wape"][-1], self.found.difference
        return mean + difference / 2, mean - difference / 2


def evaluate(lake: Lakehouse, settings: Settings, test: ABTest) -> Evaluation:
    """Compares champion and challenger on all days of a test with actuals.

    Args:
        lake: The lake.
        settings: The settings; `ab_test` and `forecast.frequency` are used.
        test: The test.
    """
    losses = paired_losses(lake, settings, test)
    if losses["volume"].sum() == 0:
        return Evaluation(test=test, found=None, looks=pl.DataFrame(schema={"ds": pl.Date}))
    step = 1 if settings.forecast.frequency == "D" else 7
    rules = settings.ab_test
    found = compare(losses, rules.alpha, rules.margin, step)
    return Evaluation(test=test, found=found, looks=confidence_sequence(losses, rules.alpha, step))


def paired_losses(lake: Lakehouse, settings: Settings, test: ABTest) -> pl.DataFrame:
    """Errors of both models by day, from forecasts made on the same day for the same series and step.

    Args:
        lake: The lake.
        settings: The settings.
        test: The test.

    Returns:
        `ds`, `champion` and `challenger` (Σ|y - ŷ| over all series), `volume` (Σ|y|), sorted; of a day that several
        origins forecast, means over the origins. Closed and unknown days are left out.
    """
    champions = [version.version for version in all_versions(lake) if version.recipe == test.champion]
    challengers = [version.version for version in test.challengers]
    ours = PastForecasts(lake, settings, FORECASTS, test.started)
    theirs = PastForecasts(lake, settings, CHALLENGER_FORECASTS, test.started)
    pairs = _latest(ours.pairs, champions), _latest(theirs.pairs, challengers)
    week = (pl.col("origin") - test.started).dt.total_days() // DAYS_BETWEEN_ORIGINS
    origins = pairs[0].join(pairs[1], on="origin", how="semi").select("origin")
    origins = origins.filter(pl.col("origin") == pl.col("origin").min().over(week))
    for past, found in zip((ours, theirs), pairs, strict=True):
        past.keep(found.join(origins, on="origin", how="semi"))
    parts = parts_of(ours.count + theirs.count)
    schema = {"ds": pl.Date, "origin": pl.Date, "champion": pl.Float64, "challenger": pl.Float64, "volume": pl.Float64}
    sums = [pl.DataFrame(schema=schema)]
    for part in range(parts):
        keys = ["unique_id", "origin", "ds"]
        rows = ours.rows(part, parts).select(*keys, "y", champion="yhat")
        both = rows.join(theirs.rows(part, parts).select(*keys, challenger="yhat"), on=keys, maintain_order="left")
        error = (pl.col("champion", "challenger") - pl.col("y")).abs().sum()
        sums.append(both.group_by("ds", "origin", maintain_order=True).agg(error, volume=pl.col("y").abs().sum()))
    by_origin = pl.concat(sums).group_by("ds", "origin", maintain_order=True).agg(pl.exclude("ds", "origin").sum())
    return by_origin.sort("ds", "origin").group_by("ds", maintain_order=True).agg(pl.exclude("ds", "origin").mean())


def report_table(
    lake: Lakehouse, files: ReadsFiles, settings: Settings, now: dt.datetime, run_id: str
) -> tuple[pl.DataFrame, Evaluation | None]:
    """The table of tests with the running one as it stands; a challenger that is better is put into production.

    A test that ends gets a final row, once: `promoted`; `dropped`, also where the models are equivalent; `abandoned`,
    where another recipe serves meanwhile or the challenger cannot serve any more.

    Args:
        lake: The lake.
        files: Its files.
        settings: The settings.
        now: The time, with a time zone.
        run_id: The run that judges.

    Returns:
        `REPORT_SCHEMA`, a row for each test, oldest first; and the evaluation of the test that was running, if one was.
    """
    rows = _reported(lake)
    ended = set(rows.filter(pl.col("outcome") != RUNNING)["test"])
    running = running_test(lake)
    new, last = [], None
    for test in all_tests(lake):
        if test.number in ended:
            continue
        evaluation = evaluate(lake, settings, test)
        promoted = _promoted_by(lake, test)
        if promoted is not None:  # by a run that was interrupted afterwards
            outcome, reason = PROMOTED, promoted.decision["reason"]
        elif running is None or test.number != running.number:
            outcome, reason = ABANDONED, "Another recipe was put into production."
        else:
            outcome, reason, promoted = _settle(lake, files, settings, evaluation, now)
        new.append(_row(lake, settings, evaluation, outcome, reason, promoted, run_id))
        last = evaluation
    kept = rows.filter(~pl.col("test").is_in([row["test"] for row in new]))
    return pl.concat([kept, pl.DataFrame(new, schema=REPORT_SCHEMA)]).sort("test"), last


def looks_json(evaluation: Evaluation) -> str:
    """The confidence sequence of a test as JSON, for figures, and its result by language."""
    looks = evaluation.looks
    if "low" in looks.columns:
        bounds = pl.when(pl.col("low", "high").is_finite()).then(pl.col("low", "high")).name.keep()
        looks = looks.select("ds", "difference", "wape", bounds)
    sentences = in_all_languages(evaluation.sentence)
    return json.dumps(
        {
            "test": evaluation.test.number,
            "sentences": sentences,
            "looks": looks.with_columns(pl.col("ds").cast(str)).to_dicts(),
        }
    )


def _latest(pairs: pl.DataFrame, models: list[int]) -> pl.DataFrame:
    """Of each origin the latest of some models."""
    known = pairs.filter(pl.col("model_version").is_in(models))
    return known.filter(pl.col("model_version") == pl.col("model_version").max().over("origin")).sort("origin")


def _reported(lake: Lakehouse) -> pl.DataFrame:
    if not lake.exists(AB_TEST_REPORT):
        return pl.DataFrame(schema=REPORT_SCHEMA)
    return lake.read_polars(AB_TEST_REPORT).select(REPORT_SCHEMA.names()).cast(REPORT_SCHEMA)


def _promoted_by(lake: Lakehouse, test: ABTest) -> Version | None:
    return next(
        (
            version
            for version in all_versions(lake)
            if version.decision.get("action") == AB_TEST and version.decision["evidence"]["test"] == test.number
        ),
        None,
    )


def _settle(
    lake: Lakehouse, files: ReadsFiles, settings: Settings, evaluation: Evaluation, now: dt.datetime
) -> tuple[str, str, Version | None]:
    """Outcome, reason, and the new production model, if the challenger became that."""
    reason, test, found = evaluation.sentence(), evaluation.test, evaluation.found
    if found is None or found.verdict == Verdict.NOT_YET_KNOWN:
        return RUNNING, reason, None
    if found.verdict != Verdict.CHALLENGER_BETTER:
        return DROPPED, reason, None
    evidence = {"test": test.number, **found.model_dump(mode="json")}
    choice = Choice(AB_TEST, f"A/B test {test.number}", reason, now, evidence)
    try:
        return PROMOTED, reason, promote_challenger(lake, files, settings, test.challenger, choice)
    except (VersionError, BundleError) as error:
        return ABANDONED, f"{reason} But the challenger cannot serve: {error}", None


def _row(
    lake: Lakehouse,
    settings: Settings,
    evaluation: Evaluation,
    outcome: str,
    reason: str,
    promoted: Version | None,
    run_id: str,
) -> dict[str, Any]:
    test, found = evaluation.test, evaluation.found
    champions = [version for version in all_versions(lake) if version.recipe == test.champion and not version.repeats]
    row: dict[str, Any] = dict.fromkeys(REPORT_SCHEMA.names())
    row |= {
        "test": test.number,
        "outcome": outcome,
        "reason": reason,
        "verdict": evaluation.verdict.value,
        "started": test.started,
        "champion": test.champion.algorithm,
        "champion_parameters": json.dumps(test.champion.parameters, sort_keys=True),
        "champion_version": champions[-1].version if champions else None,
        "challenger": test.challenger.algorithm,
        "challenger_parameters": json.dumps(test.challenger.parameters, sort_keys=True),
        "challenger_version": test.challenger.version,
        "alpha": settings.ab_test.alpha,
        "margin": settings.ab_test.margin,
        "promoted_version": promoted.version if promoted else None,
        "evaluated_at": settings.today,
        "run_id": run_id,
        **arm_figures(lake, settings, test),
    }
    if found is not None:
        ours, theirs = evaluation.wapes
        row |= {"champion_wape": ours, "challenger_wape": theirs, "last_day": evaluation.looks["ds"][-1]}
        row |= {
            name: getattr(found, name)
            for name in ("days", "decided_on", "more_days", "difference", "relative_gain", "low", "high")
        }
    return row
