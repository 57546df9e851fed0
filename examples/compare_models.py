"""WAPE of every algorithm by horizon, and the decision."""

from salesml_assets.config.loading import load_settings
from salesml_assets.forecasting.versions import latest_version
from salesml_assets.lake.export import lake_of

lake = lake_of(load_settings())
metrics = lake.read_pandas("model_comparison", filters=[("metric", "=", "wape"), ("dimension", "=", "horizon")])
print(metrics.pivot(index="algorithm", columns="segment", values="value").round(3))
version = latest_version(lake)
assert version is not None, "run `salesml run` first"
print(f"Version {version.version}: {version.decision.get('reason', version.origin)}")
