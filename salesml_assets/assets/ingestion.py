"""From the source to one gap-free calendar per series."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from salesml_assets.assets.errors import input_errors_are_final
from salesml_assets.config.settings import Settings
from salesml_assets.names import FULL_LOAD_TAG, LOAD_JOB, MONTHS_TAGS, PANEL, RAW_SALES, SALES, SOURCE_FILE
from salesml_assets.quality.store_access import check_store
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Table
from salesml_assets.resources.spark import SparkResource

GROUP = "ingestion"
KINDS = {"spark", "deltalake"}


def monthly_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition | None:
    """One partition per month from `sales.first_month` to the current one; None for full loads."""
    if settings.sales.load == "full":
        return None
    today = settings.clock.today
    end = None if today is None else (today.replace(day=1) + dt.timedelta(32)).replace(day=1).isoformat()
    return dg.MonthlyPartitionsDefinition(
        start_date=f"{settings.sales.first_month}-01", end_date=end, end_offset=0 if end else 1
    )


def months_of(context: dg.AssetExecutionContext) -> list[str] | None:
    """The months ('yyyy-MM') that this run loads; None for all."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    asked = [key[:7] for key in context.partition_keys]
    every = [key[:7] for key in context.assets_def.partitions_def.get_partition_keys()]
    return None if asked == every else asked


def trains_models(context: dg.AssetExecutionContext) -> bool:
    """Whether the run goes on to what models learn from."""
    selected = context.run.asset_selection
    return context.run.job_name != LOAD_JOB if selected is None else dg.AssetKey(PANEL) in selected


def ingestion_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""
    months = monthly_partitions(settings)
    backfill = dg.BackfillPolicy.single_run() if months else None

    @dg.asset(
        group_name=GROUP,
        kinds=KINDS,
        partitions_def=months,
        backfill_policy=backfill,
        io_manager_key="lake",
        metadata={"month_column": "_month"},
        description="Sales as delivered, every source column, after `sales.filter`.",
    )
    def raw_sales(context: dg.AssetExecutionContext, spark: SparkResource, files: FileStore) -> dg.Output[Table]:
        from salesml_assets.quality.mapping import MONTH, UNDATED, with_month
        from salesml_assets.quality.names import delivered_names, for_lake
        from salesml_assets.quality.source import preflight, read_source
        from salesml_assets.quality.split import applicable_rules

        loaded = months_of(context)
        with input_errors_are_final():
            check_store(settings, settings.lake.root, "lake.root")
            check_store(settings, settings.sales.path, "sales.path")
            # All months of the source are the whole source: the command line has looked at it already.
            part = None if FULL_LOAD_TAG in context.run.tags else loaded
            summary = preflight(spark.session, settings, part, trains=trains_models(context))
            delivered = with_month(read_source(spark.session, settings), settings, settings.today)
        rules = {rule.name: rule.description for rule in applicable_rules(delivered, settings)}
        facts = {"rows": summary.rows, "left_out": summary.left_out, "rules": rules}
        files.write(json.dumps(facts, indent=2), RAW_SALES, context.run.run_id, SOURCE_FILE)
        context.log.info(f"{summary.rows:,} rows from {summary.first_date} to {summary.last_date}")
        for note in summary.notes:
            if note.kind == "suspicious":
                context.log.warning(f"{note.key}: {note.text}")
        if loaded is not None:
            delivered = delivered.where(delivered[MONTH].isin([*loaded, UNDATED]))
        metadata: dict[str, Any] = {
            "source": settings.sales.path,
            "rows read" if loaded else "rows in the source": summary.rows,
            "rows left out by sales.filter": summary.left_out,
            "first day": str(summary.first_date),
            "last day": str(summary.last_date),
        }
        tags = context.run.tags
        metadata |= {f"{kind} months": tags[tag] for kind, tag in MONTHS_TAGS.items() if tag in tags}
        stored = for_lake(delivered)
        if renamed := delivered_names(stored):
            metadata["delivered names"] = renamed
        if doubts := [f"{note.key}: {note.text}" for note in summary.notes if note.kind == "suspicious"]:
            metadata["suspicious"] = doubts
        return dg.Output(stored, metadata=metadata)

    @dg.multi_asset(
        name="sort_rows",
        group_name=GROUP,
        partitions_def=months,
        backfill_policy=backfill,
        outs={
            "sales": dg.AssetOut(
                io_manager_key="lake",
                kinds=KINDS,
                metadata={"month_column": "month"},
                description="Accepted rows in canonical columns.",
            ),
            "quarantined_sales": dg.AssetOut(
                io_manager_key="lake",
                kinds=KINDS,
                metadata={"month_column": "_month"},
                description="Rejected rows with their original values and every rule that they broke.",
            ),
        },
    )
    def sort_rows(raw_sales: Table) -> Iterator[dg.Output[Table]]:
        from salesml_assets.quality.names import as_delivered, for_lake
        from salesml_assets.quality.split import accepted_rows, judge, quarantined_rows

        with input_errors_are_final():
            judged = judge(as_delivered(raw_sales), settings, settings.today).persist()
        yield dg.Output(accepted_rows(judged), "sales")
        yield dg.Output(for_lake(quarantined_rows(judged)), "quarantined_sales")
        judged.unpersist()

    @dg.asset(
        group_name=GROUP,
        kinds=KINDS,
        io_manager_key="lake",
        description="One gap-free calendar per series, closed days marked.",
    )
    def sales_series(context: dg.AssetExecutionContext, sales: Table) -> dg.Output[Table]:
        from salesml_assets.forecasting.calendar import WEEKDAYS, business_calendar
        from salesml_assets.forecasting.training.planned import read_planned
        from salesml_assets.forecasting.training.series import daily_rows
        from salesml_assets.forecasting.training.series import sales_series as series_of

        calendar = business_calendar(daily_rows(sales, settings.forecast.target), settings.forecast.frequency)
        with input_errors_are_final():
            planned = read_planned(sales.sparkSession, settings, calendar)
            series = series_of(sales, settings, calendar, planned)
        metadata: dict[str, Any] = {
            "first day": str(calendar.first),
            "last step": str(calendar.last),
            "step ends on": "day" if calendar.week_end is None else WEEKDAYS[calendar.week_end],
            "closed weekdays": [WEEKDAYS[day] for day in calendar.closed_weekdays],
            "closed days": [str(day) for day in calendar.closed_days],
            "dagster/column_lineage": _series_lineage(settings),
        }
        return dg.Output(series, metadata=metadata)

    return [raw_sales, sort_rows, sales_series]


def _series_lineage(settings: Settings) -> dg.TableColumnLineage:
    """Columns of the series and the columns of the accepted sales that they are made of."""
    keys: list[str] = list(settings.forecast.series)
    parts = {"ds": ["date"], "y": [str(settings.forecast.target)], "quantity": ["quantity"], "revenue": ["revenue"]}
    parts |= {"unique_id": keys} | {key: [key] for key in keys}
    sales = dg.AssetKey(SALES)
    return dg.TableColumnLineage(
        {name: [dg.TableColumnDep(sales, column) for column in columns] for name, columns in parts.items()}
    )
