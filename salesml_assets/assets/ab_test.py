"""The challenger of an A/B test, what it forecasts, and the test itself."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from salesml_assets.assets import monitoring, production
from salesml_assets.checks.production import measure_production_model
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import (
    AB_TEST_FILE,
    AB_TEST_REPORT,
    CHALLENGER_FORECASTS,
    CHALLENGER_MODEL,
    FORECASTS,
    MODEL_COMPARISON,
    PANEL,
    PRODUCTION_MODEL,
    SALES_SERIES,
)
from salesml_assets.reporting.results import latest_comparison
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table
from salesml_assets.resources.training import Training


def ab_test_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the test; nothing where the backtest alone decides."""
    if not settings.tests_challengers:
        return []

    @dg.asset(
        name=CHALLENGER_MODEL,
        group_name=production.GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[PANEL, MODEL_COMPARISON, PRODUCTION_MODEL],
        description="The recipe that is tested against the production model, refitted on all data; one row per model.",
    )
    def challenger_model(
        context: dg.AssetExecutionContext, tables: Lake, training: Training, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.challenger import (
            challengers_table,
            next_number,
            plan_challenger,
            with_challenger,
        )
        from salesml_assets.forecasting.production import version_row

        lake, comparison = tables.tables, latest_comparison(tables.tables, files)
        plan = plan_challenger(
            lake, comparison.decision, comparison.recipes, training.panel(settings, context.run.run_id).last
        )
        context.log.info(plan.reason)
        if plan.recipe is None:
            return dg.Output(challengers_table(lake), metadata={"challenger": "none", "reason": plan.reason})
        number = next_number(lake)
        trained = production.train(
            context,
            tables,
            training,
            files,
            settings,
            recipe=plan.recipe,
            backtest=plan.name if plan.name in settings.training.algorithms else None,
            version=number,
            folder=f"challenger-{number}-{context.run.run_id}",
            decision={"test": plan.test, "reason": plan.reason},
        )
        metadata = {**trained.metadata, "challenger": number, "A/B test": plan.test, "reason": plan.reason}
        return dg.Output(with_challenger(lake, version_row(trained.bundle, trained.path), plan), metadata=metadata)

    @dg.asset(
        name=CHALLENGER_FORECASTS,
        group_name=production.GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[PANEL, CHALLENGER_MODEL],
        description="The same as `forecasts`, by the challenger; no rows while nothing is tested.",
    )
    def challenger_forecasts(
        context: dg.AssetExecutionContext, tables: Lake, training: Training, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.challenger import running_test
        from salesml_assets.forecasting.model.predict import no_forecasts

        test = running_test(tables.tables)
        if test is None:
            return dg.Output(no_forecasts(settings.forecast.series), metadata={"challenger": "none"})
        challenger = test.challenger
        rows = production.forecast_by(challenger, training, files, settings, context.run.run_id)
        return dg.Output(rows, metadata={"model": challenger.algorithm, "challenger": challenger.version})

    @dg.asset(
        name=AB_TEST_REPORT,
        group_name=monitoring.GROUP,
        kinds={"polars", "scipy", "deltalake"},
        io_manager_key="lake",
        deps=[SALES_SERIES, PRODUCTION_MODEL, FORECASTS, CHALLENGER_FORECASTS],
        description="Which of two models forecasts better, as actuals come; the better challenger is promoted.",
    )
    def ab_test_report(context: dg.AssetExecutionContext, tables: Lake, files: FileStore) -> dg.Output[Table]:
        import pandas as pd

        from salesml_assets.forecasting.ab_test import looks_json, report_table
        from salesml_assets.forecasting.challenger import PROMOTED
        from salesml_assets.reporting.encode import figure_markdown
        from salesml_assets.reporting.figures.ab_test import confidence_sequence

        lake, run_id = tables.tables, context.run.run_id
        table, evaluation = report_table(lake, files, settings, dt.datetime.now(dt.UTC), run_id)
        if evaluation is None:
            return dg.Output(table, metadata={"A/B test": "none is running"})
        looks = looks_json(evaluation)
        files.write(looks, AB_TEST_REPORT, run_id, AB_TEST_FILE)
        (row,) = table.filter(test=evaluation.test.number).to_dicts()
        context.log.info(row["reason"])
        metadata: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
        metadata = {name: value if isinstance(value, int | float) else str(value) for name, value in metadata.items()}
        figure = confidence_sequence(pd.DataFrame(json.loads(looks)["looks"]), row["margin"])
        if figure is not None:
            metadata["figure"] = dg.MarkdownMetadataValue(figure_markdown(figure, row["reason"]))
        if row["outcome"] == PROMOTED:
            announce_promotion(context.instance, lake, settings, row)
        return dg.Output(table, metadata=metadata)

    return [challenger_model, challenger_forecasts, ab_test_report]


def announce_promotion(
    instance: dg.DagsterInstance, lake: Lakehouse, settings: Settings, row: Mapping[str, Any]
) -> None:
    """Tells Dagster that the table of production models has a new row, so that what is made from it is made again.

    Its checks follow: assets wait until those that block have passed on the latest materialization. Both events are
    without a run: Dagster would write those of this run after the step, the check's before the materialization's.

    Args:
        instance: Dagster's instance.
        lake: The lake.
        settings: The settings.
        row: The promoted test in the table `ab_test_report`.
    """
    metadata = {"algorithm": row["challenger"], "model version": row["promoted_version"], "decision": row["reason"]}
    instance.report_runless_asset_event(dg.AssetMaterialization(PRODUCTION_MODEL, metadata=metadata))
    for found in measure_production_model(lake, settings):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(PRODUCTION_MODEL),
                check_name=found.check,
                passed=found.passed,
                metadata=found.measured,
                severity=found.severity,
                description=None if found.passed else found.description,
            )
        )
