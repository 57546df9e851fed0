"""Drift and the realised error of past forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salesml_assets.exporter.families import Families
from salesml_assets.exporter.tables import CachedTable, business_now, unix_seconds
from salesml_assets.names import DRIFT_REPORT, FORECAST_ACCURACY

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

DRIFT_COLUMNS = ("evaluated_at", "kind", "effect", "min_effect", "drifted", "model_version")
ACCURACY_COLUMNS = ("week", "horizon_bucket", "wape", "bias", "volume", "baseline_wape", "change")


class DriftReader:
    """Reads the latest evaluation of drift.

    Args:
        lake: The lake.
        settings: The settings; `clock` is used.
    """

    def __init__(self, lake: Lakehouse, settings: Settings) -> None:
        self._table = CachedTable(lake, DRIFT_REPORT, DRIFT_COLUMNS)
        self._settings = settings

    def read(self, families: Families) -> None:
        """Number of tests, drifted tests and the largest effect, by kind."""
        tests = self._table.present_rows(families)
        if tests is None:
            return
        day = tests["evaluated_at"].max()
        latest = tests[tests["evaluated_at"] == day]
        latest = latest[latest["model_version"] == latest["model_version"].max()]
        families.add("salesml_drift_evaluation_age_seconds", business_now(self._settings) - unix_seconds(day))
        for kind, group in latest.groupby("kind"):
            effects = group[group["min_effect"] > 0]
            families.add("salesml_drift_tests", len(group), kind=str(kind))
            families.add("salesml_drift_tests_drifted", float(group["drifted"].sum()), kind=str(kind))
            largest = (effects["effect"] / effects["min_effect"]).max()
            families.add("salesml_drift_effect_ratio", float(largest), kind=str(kind))


class AccuracyReader:
    """Reads the realised error of the latest week that has one.

    Args:
        lake: The lake.
    """

    def __init__(self, lake: Lakehouse) -> None:
        self._table = CachedTable(lake, FORECAST_ACCURACY, ACCURACY_COLUMNS)

    def read(self, families: Families) -> None:
        """Errors by horizon bucket, each in its latest week."""
        weeks = self._table.present_rows(families)
        if weeks is None:
            return
        for bucket, group in weeks.groupby("horizon_bucket"):
            latest = group[group["week"] == group["week"].max()]
            labels = {"horizon_bucket": str(bucket)}
            families.add("salesml_forecast_week_timestamp_seconds", unix_seconds(latest["week"].iloc[0]), **labels)
            families.add("salesml_forecast_wape_ratio", _by_volume(latest, "wape"), **labels)
            families.add("salesml_forecast_volume", float(latest["volume"].sum()), **labels)
            families.add("salesml_forecast_bias_ratio", _by_volume(latest, "bias"), **labels)
            families.add("salesml_forecast_error_reduction_ratio", _error_reduction(latest), **labels)
            families.add("salesml_forecast_change_ratio", _by_volume(latest, "change"), **labels)


def _by_volume(rows: pd.DataFrame, column: str) -> float | None:
    """Mean of a column weighted by volume; None without volume or without known values."""
    known = rows.dropna(subset=[column, "volume"])
    volume = float(known["volume"].sum())
    return float((known[column] * known["volume"]).sum()) / volume if volume > 0 else None


def _error_reduction(rows: pd.DataFrame) -> float | None:
    """1 - WAPE / baseline WAPE, on rows with both; None without a baseline."""
    compared = rows.dropna(subset=["wape", "baseline_wape"])
    own, baseline = _by_volume(compared, "wape"), _by_volume(compared, "baseline_wape")
    return 1 - own / baseline if own is not None and baseline else None
