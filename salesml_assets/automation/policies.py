"""Automation conditions and freshness policies: refresh after new sales, and maximum age of tables and model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import dagster as dg

from salesml_assets.automation.jobs import run_tags
from salesml_assets.config.settings import Settings
from salesml_assets.names import (
    AB_TEST_REPORT,
    CHALLENGER_FORECASTS,
    CHALLENGER_MODEL,
    DRIFT_REPORT,
    EXPLANATIONS,
    FEATURES,
    FORECAST_ACCURACY,
    FORECASTS,
    HIERARCHY_FORECASTS,
    MODEL_REGISTRY,
    PANEL,
    POOLED_CALENDAR,
    PRODUCTION_MODEL,
    QUARANTINED_SALES,
    REPORT,
    SALES_SERIES,
)

# Assets refreshed after new sales; models, comparison and promotion belong to the retrain.
BY_SALES = (SALES_SERIES, FEATURES, POOLED_CALENDAR, PANEL)
BY_MODEL = (FORECASTS, HIERARCHY_FORECASTS, FORECAST_ACCURACY, DRIFT_REPORT, EXPLANATIONS, REPORT)
BY_AB_TEST = (CHALLENGER_FORECASTS, AB_TEST_REPORT, MODEL_REGISTRY)  # where challengers are tested
MADE_BY_MODEL = (PRODUCTION_MODEL, CHALLENGER_MODEL, FORECASTS, CHALLENGER_FORECASTS)
INTERVAL_SECONDS = 30


def refresh_condition(by_model: bool) -> dg.AutomationCondition:
    """An upstream asset was updated, none is in progress, and none has a failed blocking check.

    `AutomationCondition.eager` would wait for all months: the current one is missing until its first sale is loaded.

    Args:
        by_model: Whether the asset needs the production model, which does not exist before the first retrain.
    """
    # New rows in quarantine alone change none of these assets.
    updated = dg.AutomationCondition.any_deps_updated().ignore(dg.AssetSelection.assets(QUARANTINED_SALES))
    condition = (
        updated.since_last_handled()
        & dg.AutomationCondition.all_deps_blocking_checks_passed()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
    if by_model:
        missing = dg.AutomationCondition.missing() & ~dg.AutomationCondition.will_be_requested()
        made_by_model = dg.AssetSelection.assets(*MADE_BY_MODEL)
        condition = condition & ~dg.AutomationCondition.any_deps_match(missing).allow(made_by_model)
    return condition.with_label("refresh after new sales")


def refreshed_by_model(settings: Settings) -> tuple[str, ...]:
    """The assets that are made again after new sales and need a production model."""
    always = tuple(name for name in BY_MODEL if settings.has_totals or name != HIERARCHY_FORECASTS)
    if not settings.tests_challengers:
        return always
    return (*always, *(name for name in BY_AB_TEST if settings.registry.enabled or name != MODEL_REGISTRY))


def with_policies(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets with freshness policies, and with automation conditions where new sales refresh them."""
    freshness, by_model = settings.freshness, refreshed_by_model(settings)

    def policies(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.to_user_string()
        stale = freshness.model_days if name in (PRODUCTION_MODEL, CHALLENGER_MODEL) else freshness.table_days
        changed = spec.replace_attributes(
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(days=stale))
        )
        if name in BY_SALES or name in by_model:
            changed = changed.replace_attributes(automation_condition=refresh_condition(name in by_model))
        return changed

    return list(dg.map_asset_specs(policies, assets))


def refresh_sensor(settings: Settings) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the conditions; running by default."""
    return dg.AutomationConditionSensorDefinition(
        "refresh",
        target=dg.AssetSelection.assets(*BY_SALES, *refreshed_by_model(settings)),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        run_tags=run_tags(settings),
        description="Refreshes series, features, forecasts and monitoring after new sales.",
    )
