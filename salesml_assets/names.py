"""Names that several rooms share: assets (each has one table of its name), files, and tags of runs."""

from __future__ import annotations

RAW_SALES, SALES, QUARANTINED_SALES, SALES_SERIES = "raw_sales", "sales", "quarantined_sales", "sales_series"
FEATURES, POOLED_CALENDAR, PANEL = "features", "pooled_calendar", "panel"
MODEL_COMPARISON, EXPLANATIONS = "model_comparison", "explanations"
REPORT, VALIDATION_NOTEBOOK = "report", "validation_notebook"
PRODUCTION_MODEL, MODEL_REGISTRY, FORECASTS = "production_model", "model_registry", "forecasts"
HIERARCHY_FORECASTS = "hierarchy_forecasts"
MODEL_SEARCH = "model_search"  # the trials of the latest search, written by the job `tune`, not by an asset
FORECAST_ACCURACY, DRIFT_REPORT = "forecast_accuracy", "drift_report"
CHALLENGER_MODEL, CHALLENGER_FORECASTS, AB_TEST_REPORT = "challenger_model", "challenger_forecasts", "ab_test_report"
SERVED_PREDICTIONS = "served_predictions"  # written by the prediction service during an A/B test, not by an asset

# What forecasts a series instead of the production model, in the column `model` of the forecasts: how new series of its
# category or of the shop sell, its own mean where nothing is known of either, and zero for a series that has ended.
CATEGORY_PROFILE = "category_profile (short series)"
SHOP_PROFILE = "shop_profile (short series)"
FALLBACK = "moving_average (short series)"
ENDED = "zero (stopped selling)"
SHORT_SERIES = (CATEGORY_PROFILE, SHOP_PROFILE, FALLBACK)

STOCK_OUT = "stock_out"  # column of sales and series: the product was out of stock, what was sold is no demand

# Folders of the file store, and the files in them.
SOURCE_FILE = "source.json"  # of a load of raw sales: rows left out by the filter, and what each rule means
MODELS_FOLDER = "models"
SPARK_MODEL_FOLDER = "spark_model"  # of a production model: MLlib's own form, where a setting asks for it
TRAINING_FILE = "training.json"  # what an algorithm's asset found out: parameters, rows, seconds, importance
COMPARISON_FILE, EVERYTHING_FILE, REPORT_FILE = "model_comparison.json", "comparison.json", "report.html"
AB_TEST_FILE = "ab_test.json"  # the confidence sequence of the latest A/B test, day by day
NOTEBOOK_FILES = ("model_validation.html", "model_validation.ipynb")

LOAD_JOB = "load_sales"  # loads months, and nothing that follows from them
FULL_LOAD_TAG = "salesml/full_load"  # a run whose months are all that the source has
STARTED_BY_TAG = "salesml/started_by"  # the command line, or a drift in words
DRIFT_WEEK_TAG = "salesml/drift_week"  # a retrain that a drift started: the first day of the drift's week
DRIFT_TABLE_TAG = "salesml/drift_table"  # a retrain that a drift started: the id of the table of the drift's lake
# A run that loads months: which of them are new, came late, were corrected, or cannot be told.
MONTHS_TAGS = {kind: f"salesml/{kind}_months" for kind in ("new", "late", "corrected", "unknown")}
# Dagster's own tags of a run over a range of partitions.
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of a run that loads the partitions from the first to the last key."""
    return dict(zip(RANGE_TAGS, (first, last), strict=True))
