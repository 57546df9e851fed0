"""The check of what is planned: whether it covers the days that are forecast; with Spark, as its reader."""

from collections.abc import Iterator

import dagster as dg

from salesml_assets.checks.base import ERROR, WARN, Finding, results
from salesml_assets.config.settings import Settings
from salesml_assets.guide.next_steps import check_advice
from salesml_assets.names import SALES_SERIES
from salesml_assets.resources.lake import Lake

PLAN_CHECK = "plan_coverage"


def plan_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The check of the planned values, if there are any; it reads them with Spark, as `sales_series` does."""
    if settings.forecast.known_future.path is None:
        return []
    text = f"The planned values cover the days that are forecast. {check_advice(PLAN_CHECK)}"
    spec = dg.AssetCheckSpec(PLAN_CHECK, asset=SALES_SERIES, description=text, blocking=True)

    @dg.multi_asset_check(name=f"check_{SALES_SERIES}_plan", specs=[spec])
    def check(context: dg.AssetCheckExecutionContext, tables: Lake) -> Iterator[dg.AssetCheckResult]:
        yield from results(measure_plan(tables, settings), SALES_SERIES)

    return [check]


def measure_plan(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Which share of series and steps ahead the planned values cover."""
    from salesml_assets.forecasting.training.planned import plan_coverage, read_planned
    from salesml_assets.forecasting.training.series import calendar_of_series

    series = tables.read(SALES_SERIES)
    calendar = calendar_of_series(series, settings)
    planned = read_planned(series.sparkSession, settings, calendar)
    if planned is None:
        return
    found = plan_coverage(series, settings, calendar, planned)
    path, unseen = settings.forecast.known_future.path, found.unseen
    levels = "; ".join(f"{name}: {', '.join(values)}" for name, values in unseen.items())
    parts = []
    if found.covered < found.cells:
        parts.append(f"{path!r} covers {found.share:.1%} of the {found.cells:,} series and steps ahead")
    if found.covered == 0:
        parts.append("keys or dates of the plan are not those of the sales: compare them (forecast.known_future.path)")
    if levels:
        parts.append(f"values that are planned ahead and never occurred before: {levels}")
    if found.strangers:
        parts.append(f"{found.strangers:,} keys of the plan are not among the series")
    yield Finding(
        PLAN_CHECK,
        not parts,
        {"share": found.share, "series and steps ahead": found.cells, "covered": found.covered,
         "unseen values": levels or "none", "unknown keys": found.strangers},
        ERROR if found.covered == 0 and found.cells else WARN,
        ". ".join(parts),
    )  # fmt: skip
