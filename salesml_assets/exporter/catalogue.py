"""Every metric of the exporter: name, type, labels and meaning. Only metrics listed here can be exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from salesml_assets.names import DRIFT_REPORT, FORECAST_ACCURACY, MODEL_COMPARISON, PRODUCTION_MODEL

Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily
SCRAPE = "scrape"  # metrics of the exporter itself
TABLES = (PRODUCTION_MODEL, MODEL_COMPARISON, DRIFT_REPORT, FORECAST_ACCURACY)  # each a source of its own
ANY_TABLE = "tables"
# Prometheus sets the label `job` to its own scrape job, so Dagster's job has another label.
JOB_LABEL = "dagster_job"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        source: Source that it is read from.
        kind: Prometheus' type.
        name: Full name, with unit and `_total`.
        help: Meaning of the value.
        labels: Names of its labels. Each takes few values: names in the code, never ids or data.
    """

    source: str
    kind: Literal["gauge", "counter", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()

    def family(self) -> Family:
        """An empty family of samples."""
        kinds: dict[str, type[Family]] = {
            "gauge": GaugeMetricFamily,
            "counter": CounterMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        return kinds[self.kind](self.name, self.help, labels=self.labels)


METRICS = (
    Metric("runs", "gauge", "salesml_runs", "Runs in Dagster's storage by their status now.", (JOB_LABEL, "status")),
    Metric(
        "runs", "counter", "salesml_runs_finished_total", "Runs that ended (success, failure, canceled).",
        (JOB_LABEL, "status"),
    ),
    Metric(
        "runs", "histogram", "salesml_run_duration_seconds", "Start to end of finished runs.", (JOB_LABEL, "status"),
    ),
    Metric(
        "runs", "gauge", "salesml_run_last_duration_seconds", "Start to end of the finished run that started last.",
        (JOB_LABEL, "status"),
    ),
    Metric(
        "runs", "gauge", "salesml_run_last_end_timestamp_seconds", "When a run last ended with this status, Unix time.",
        (JOB_LABEL, "status"),
    ),
    Metric("runs", "gauge", "salesml_runs_in_progress", "Runs that are starting, started or canceling."),
    Metric(
        "runs", "gauge", "salesml_run_in_progress_oldest_age_seconds",
        "Time since the oldest run in progress started (until it starts: was created); 0 without one.",
    ),
    Metric("runs", "gauge", "salesml_run_queue_length", "Runs in the queue."),
    Metric(
        "runs", "gauge", "salesml_run_queue_oldest_age_seconds",
        "Time since the oldest run in the queue was created; 0 without one.",
    ),
    Metric(
        "steps", "gauge", "salesml_run_last_steps",
        "Steps that the job's latest started run has reached (success, failure, skipped, in_progress).",
        (JOB_LABEL, "status"),
    ),
    Metric(
        "steps", "gauge", "salesml_step_last_duration_seconds",
        "Duration of the step in the job's latest started run, up to now while in progress.",
        (JOB_LABEL, "step", "status"),
    ),
    Metric(
        "assets", "gauge", "salesml_asset_last_materialization_timestamp_seconds",
        "When the asset was last materialized, Unix time.", ("asset",),
    ),
    Metric("assets", "gauge", "salesml_asset_age_seconds", "Time since the last materialization.", ("asset",)),
    Metric(
        "assets", "gauge", "salesml_asset_last_observation_timestamp_seconds",
        "When the asset was last observed, Unix time.", ("asset",),
    ),
    Metric(
        "assets", "gauge", "salesml_asset_last_run_failed",
        "1 if the latest run that was to materialize the asset failed before it did, else 0.", ("asset",),
    ),
    Metric(
        "assets", "gauge", "salesml_asset_freshness",
        "1 for the asset's state by its freshness policy (pass, warn, fail, unknown).", ("asset", "status"),
    ),
    Metric("assets", "gauge", "salesml_asset_rows", "Rows of the asset's table.", ("asset",)),
    Metric("assets", "gauge", "salesml_asset_table_bytes", "Size of the table's data files.", ("asset",)),
    Metric(
        "assets", "gauge", "salesml_sales_rows", "Rows of the sales (delivered, accepted, quarantined).", ("status",)
    ),
    Metric("assets", "gauge", "salesml_run_peak_memory_bytes", "Peak memory of the latest run with a report."),
    Metric("assets", "gauge", "salesml_run_cpu_seconds", "CPU time of the latest run with a report."),
    Metric(
        "checks", "gauge", "salesml_asset_check_passed",
        "Latest finished result of the check: 1 passed, 0 failed. The severity (warn, error) is that of a failure.",
        ("asset", "check", "severity"),
    ),
    Metric(
        "checks", "gauge", "salesml_asset_check_timestamp_seconds", "When that result was recorded, Unix time.",
        ("asset", "check"),
    ),
    Metric(
        "daemons", "gauge", "salesml_daemon_healthy",
        "1 if the daemon that the instance needs has a heartbeat by Dagster's rule, else 0.", ("daemon",),
    ),
    Metric(
        "daemons", "gauge", "salesml_daemon_heartbeat_age_seconds",
        "Time since its last heartbeat; absent before the first.", ("daemon",),
    ),
    Metric(
        "daemons", "gauge", "salesml_daemon_errors", "Errors in its last heartbeat (Dagster keeps five).", ("daemon",)
    ),
    Metric(
        "code_locations", "gauge", "salesml_code_location_up",
        "1 if the definitions load: asked of the code server, or for a module tried every five minutes.",
        ("location",),
    ),
    Metric(
        "automation", "gauge", "salesml_automation_enabled", "1 if the sensor or schedule is switched on, else 0.",
        ("kind", "automation"),
    ),
    Metric(
        "automation", "gauge", "salesml_automation_last_tick_timestamp_seconds",
        "When it was last evaluated, Unix time.", ("kind", "automation"),
    ),
    Metric(
        "automation", "gauge", "salesml_automation_last_tick",
        "1 for the result of the last evaluation (started, skipped, success, failure).",
        ("kind", "automation", "status"),
    ),
    Metric("pools", "gauge", "salesml_pool_slots", "Concurrency slots of the pool.", ("pool",)),
    Metric("pools", "gauge", "salesml_pool_slots_claimed", "Slots that steps hold.", ("pool",)),
    Metric("pools", "gauge", "salesml_pool_steps_waiting", "Steps that wait for a slot.", ("pool",)),
    Metric(
        ANY_TABLE, "gauge", "salesml_table_present", "1 if the lake has this monitoring table, else 0.", ("asset",)
    ),
    Metric(PRODUCTION_MODEL, "gauge", "salesml_production_model_version", "Version of the production model."),
    Metric(PRODUCTION_MODEL, "gauge", "salesml_production_model_info", "1 for its algorithm.", ("algorithm",)),
    Metric(PRODUCTION_MODEL, "gauge", "salesml_production_model_age_seconds", "Time since it was trained."),
    Metric(
        PRODUCTION_MODEL, "gauge", "salesml_production_model_cutoff_age_seconds",
        "Time since the last day of its training data, by the setting clock.today if there is one.",
    ),
    Metric(
        MODEL_COMPARISON, "gauge", "salesml_production_model_backtest_wape_ratio",
        "Its WAPE in the latest comparison by horizon.", ("horizon_bucket",),
    ),
    Metric(
        MODEL_COMPARISON, "gauge", "salesml_production_model_coverage_ratio",
        "Share of the backtest's actual values inside its intervals, by their level in percent; order: at or below "
        "order_quantity, where costs are set.", ("level",),
    ),
    Metric(
        MODEL_COMPARISON, "gauge", "salesml_backtest_wape_ratio", "WAPE of the algorithm in the latest comparison.",
        ("algorithm",),
    ),
    Metric(
        MODEL_COMPARISON, "gauge", "salesml_backtest_change_ratio",
        "Change of the algorithm's forecasts for the same day from one weekly origin to the next.", ("algorithm",),
    ),
    Metric(
        MODEL_COMPARISON, "gauge", "salesml_backtest_error_cost",
        "Cost of the algorithm's errors in one horizon, by the settings orders.cost_under and orders.cost_over.",
        ("algorithm",),
    ),
    Metric(
        MODEL_COMPARISON, "gauge", "salesml_replay_fill_ratio",
        "Share of the demand that the replay of orders served; of the winner, the seasonal naive and the model before.",
        ("algorithm",),
    ),
    Metric(
        MODEL_COMPARISON, "gauge", "salesml_replay_stock_steps",
        "Mean stock in the replay of orders, in days or weeks of demand.", ("algorithm",),
    ),
    Metric(
        DRIFT_REPORT, "gauge", "salesml_drift_tests", "Tests in the latest evaluation of drift.", ("kind",)
    ),
    Metric(DRIFT_REPORT, "gauge", "salesml_drift_tests_drifted", "Those of them that found drift.", ("kind",)),
    Metric(
        DRIFT_REPORT, "gauge", "salesml_drift_effect_ratio",
        "Largest effect size over the minimum effect size: at 1 or more it counts as drift if significant.", ("kind",),
    ),
    Metric(
        DRIFT_REPORT, "gauge", "salesml_drift_evaluation_age_seconds",
        "Time since the latest evaluation's day, by the setting clock.today if there is one.",
    ),
    Metric(
        FORECAST_ACCURACY, "gauge", "salesml_forecast_week_timestamp_seconds",
        "The latest week whose forecasts were compared with actuals, Unix time.", ("horizon_bucket",),
    ),
    Metric(
        FORECAST_ACCURACY, "gauge", "salesml_forecast_wape_ratio", "WAPE of that week's forecasts.",
        ("horizon_bucket",),
    ),
    Metric(
        FORECAST_ACCURACY, "gauge", "salesml_forecast_volume",
        "Sales of that week, in units of the target: times the WAPE, the size of the error.", ("horizon_bucket",),
    ),
    Metric(
        FORECAST_ACCURACY, "gauge", "salesml_forecast_bias_ratio",
        "Their bias: forecast minus actual, over the volume.", ("horizon_bucket",),
    ),
    Metric(
        FORECAST_ACCURACY, "gauge", "salesml_forecast_error_reduction_ratio",
        "1 - WAPE / the baseline's WAPE; below 0 the baseline was better.", ("horizon_bucket",),
    ),
    Metric(
        FORECAST_ACCURACY, "gauge", "salesml_forecast_change_ratio",
        "Change from the forecasts before them for the same days; absent where there were none.", ("horizon_bucket",),
    ),
    Metric(
        SCRAPE, "gauge", "salesml_source_up", "1 if the source could be read in this scrape, else 0.", ("source",)
    ),
    Metric(SCRAPE, "counter", "salesml_scrape_errors_total", "Scrapes in which the source failed.", ("source",)),
    Metric(
        SCRAPE, "gauge", "salesml_scrape_duration_seconds", "Time that reading the source took.", ("source",)
    ),
)  # fmt: skip


def metrics_of(source: str) -> tuple[Metric, ...]:
    """The metrics that a source may fill."""
    return tuple(
        metric for metric in METRICS if metric.source == source or (metric.source == ANY_TABLE and source in TABLES)
    )
