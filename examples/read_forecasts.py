"""Total of the forecasts by day, and the ten series that will sell most."""

import polars as pl

from salesml_assets.config.loading import load_settings
from salesml_assets.lake.export import lake_of

lake = lake_of(load_settings())
forecasts = lake.read_polars("forecasts", ["unique_id", "ds", "yhat", "lo80", "hi80"])
print(forecasts.group_by("ds").agg(pl.col("yhat").sum()).sort("ds"))
print(
    forecasts.group_by("unique_id")
    .agg(pl.col("yhat").sum())
    .sort("yhat", "unique_id", descending=[True, False])
    .head(10)
)
