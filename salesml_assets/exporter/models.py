"""The production model and the backtest errors of the algorithms."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from salesml_assets.exporter.families import Families
from salesml_assets.exporter.tables import CachedTable, business_now, unix_seconds
from salesml_assets.forecasting.metrics import COST
from salesml_assets.forecasting.stability import CHANGE
from salesml_assets.names import MODEL_COMPARISON, PRODUCTION_MODEL

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

MODEL_COLUMNS = ("version", "algorithm", "cutoff", "trained_at", "decision")
METRIC_COLUMNS = ("algorithm", "dimension", "segment", "metric", "value")
COVERAGES = ("coverage80", "coverage95", "coverage_order")
# Totals of each algorithm that are passed on as they are.
TOTALS = {
    CHANGE: "salesml_backtest_change_ratio",
    COST: "salesml_backtest_error_cost",
    "fill_rate": "salesml_replay_fill_ratio",
    "stock_cover": "salesml_replay_stock_steps",
}


class ModelReader:
    """Reads the production model.

    Args:
        lake: The lake.
        settings: The settings; `clock` is used.
    """

    def __init__(self, lake: Lakehouse, settings: Settings) -> None:
        self._table = CachedTable(lake, PRODUCTION_MODEL, MODEL_COLUMNS)
        self._settings = settings

    def read(self, families: Families) -> None:
        """Version, algorithm and ages."""
        versions = self._table.present_rows(families)
        if versions is None:
            return
        newest = _newest(versions)
        families.add("salesml_production_model_version", newest["version"])
        families.add("salesml_production_model_info", 1, algorithm=newest["algorithm"])
        families.add("salesml_production_model_age_seconds", time.time() - unix_seconds(newest["trained_at"]))
        families.add(
            "salesml_production_model_cutoff_age_seconds",
            business_now(self._settings) - unix_seconds(newest["cutoff"]),
        )


class ComparisonReader:
    """Reads error, its cost and stability of the algorithms in the latest comparison, and the winner's coverage.

    Args:
        lake: The lake.
    """

    def __init__(self, lake: Lakehouse) -> None:
        kinds = ["wape", *TOTALS, *COVERAGES]
        self._table = CachedTable(lake, MODEL_COMPARISON, METRIC_COLUMNS, [("metric", "in", kinds)])
        self._models = CachedTable(lake, PRODUCTION_MODEL, MODEL_COLUMNS)

    def read(self, families: Families) -> None:
        """Totals of each algorithm; WAPE by horizon and coverage of the production model."""
        rows = self._table.present_rows(families)
        if rows is None:
            return
        totals = rows[rows["metric"].isin(TOTALS) & (rows["dimension"] == "total")].dropna(subset="value")
        for row in totals.to_dict("records"):
            families.add(TOTALS[row["metric"]], row["value"], algorithm=row["algorithm"])
        wapes = rows[rows["metric"] == "wape"]
        for row in wapes[wapes["dimension"] == "total"].to_dict("records"):
            families.add("salesml_backtest_wape_ratio", row["value"], algorithm=row["algorithm"])
        versions = self._models.rows()
        if versions is None or versions.empty:
            return
        # The comparison may list the champion's recipe under a separate name, which the decision contains.
        newest = _newest(versions)
        name = json.loads(newest["decision"]).get("winner", newest["algorithm"])
        own = wapes[(wapes["dimension"] == "horizon") & (wapes["algorithm"] == name)]
        for row in own.to_dict("records"):
            families.add("salesml_production_model_backtest_wape_ratio", row["value"], horizon_bucket=row["segment"])
        covered = rows[(rows["dimension"] == "total") & (rows["algorithm"] == name) & rows["metric"].isin(COVERAGES)]
        for row in covered.to_dict("records"):
            level = row["metric"].removeprefix("coverage").removeprefix("_")
            families.add("salesml_production_model_coverage_ratio", row["value"], level=level)


def _newest(versions: pd.DataFrame) -> pd.Series:
    return versions.sort_values("version").iloc[-1]
