"""Checks of the challenger's forecasts and of the A/B test."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from salesml_assets.checks.base import ERROR, WARN, Finding, table_checks
from salesml_assets.checks.production import BLOCKING, OF_FORECASTS, measure_forecasts
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.challenger import PROMOTED, running_test
from salesml_assets.forecasting.versions import AB_TEST, all_versions
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import AB_TEST_REPORT, CHALLENGER_FORECASTS, FORECASTS

MAX_BEHIND = 0.25  # of the champion's WAPE: no test of a challenger that bad is worth its days


def ab_test_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the test; none where the backtest alone decides."""
    if not settings.tests_challengers:
        return []
    return [
        table_checks(CHALLENGER_FORECASTS, OF_FORECASTS, measure_challenger, settings, BLOCKING),
        table_checks(
            AB_TEST_REPORT,
            {
                "paired": "Both models of the running test have forecast from the same day.",
                "promotions": "Each challenger that won is in the table of production models, with its evidence.",
                "no_harm": "The challenger that is tested is not far worse than the champion.",
            },
            measure_ab_test,
            settings,
        ),
    ]


def measure_challenger(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """As for the production model's forecasts; all is well while nothing is tested."""
    if running_test(lake) is None and lake.size(CHALLENGER_FORECASTS).rows == 0:
        yield from (Finding(name, True, {"challenger": "none"}) for name in OF_FORECASTS)
        return
    yield from measure_forecasts(lake, settings, table=CHALLENGER_FORECASTS)


def measure_ab_test(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Origins of both models, promotions, and how far the challenger is behind."""
    test, report = running_test(lake), lake.read_polars(AB_TEST_REPORT)
    if test is None:
        yield Finding("paired", True, {"A/B test": "none is running"})
    else:
        ours, theirs = (_origin(lake, name) for name in (FORECASTS, CHALLENGER_FORECASTS))
        yield Finding(
            "paired",
            ours == theirs,
            {"A/B test": test.number, "origin of the champion": ours, "origin of the challenger": theirs},
            WARN,
            f"the champion forecast from {ours}, the challenger from {theirs}: "
            f"materialize {FORECASTS} and {CHALLENGER_FORECASTS} together",
        )
    won = set(report.filter(pl.col("outcome") == PROMOTED)["test"])
    decisions = [version.decision for version in all_versions(lake)]
    there = {found["evidence"]["test"] for found in decisions if found.get("action") == AB_TEST}
    missing = sorted(won - there)
    yield Finding(
        "promotions",
        not missing,
        {"promoted by A/B tests": len(won)},
        ERROR,
        f"no production model names the tests {missing}: its table was changed by something else",
    )
    gain = report.filter(pl.col("test") == test.number)["relative_gain"] if test else pl.Series([], dtype=pl.Float64)
    behind = -gain[0] if len(gain) and gain[0] is not None else 0.0
    yield Finding(
        "no_harm",
        behind <= MAX_BEHIND,
        {"WAPE above the champion's": max(0.0, behind)},
        WARN,
        f"the challenger's WAPE is {behind:.0%} above the champion's; `salesml models promote` ends the test",
    )


def _origin(lake: Lakehouse, name: str) -> str:
    found = pl.concat([pl.Series("cutoff", [], pl.Date), *(b["cutoff"] for b in lake.batches(name, ["cutoff"]))])
    return str(found.max())
