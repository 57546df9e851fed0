"""Why the largest forecast of the largest series is what it is."""

import polars as pl

from salesml_assets.config.loading import load_settings
from salesml_assets.forecasting.explanations.gather import explain_series
from salesml_assets.forecasting.versions import latest_version, read_version
from salesml_assets.lake.export import lake_of
from salesml_assets.lake.files import Files
from salesml_assets.reporting.explained import waterfall_text

settings = load_settings()
lake = lake_of(settings)
version = latest_version(lake)
assert version is not None, "run `salesml run` first"
totals = lake.read_polars("forecasts", ["unique_id", "yhat"]).group_by("unique_id").agg(pl.col("yhat").sum())
series = totals.sort("yhat", "unique_id", descending=[True, False])["unique_id"][0]
bundle = read_version(Files(settings.lake.root, settings.s3), version)
print(waterfall_text(explain_series(lake, bundle, series)))
