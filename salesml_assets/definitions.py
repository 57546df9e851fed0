"""Dagster's entry point: assets, checks, jobs, schedules, sensors and resources, by settings."""

import dagster as dg

from salesml_assets.assets.ab_test import ab_test_assets
from salesml_assets.assets.evaluation import evaluation_assets
from salesml_assets.assets.explanations import explanation_assets
from salesml_assets.assets.features import feature_assets
from salesml_assets.assets.hierarchy import hierarchy_assets
from salesml_assets.assets.ingestion import ingestion_assets
from salesml_assets.assets.models import model_assets
from salesml_assets.assets.monitoring import monitoring_assets
from salesml_assets.assets.production import production_assets
from salesml_assets.assets.registry import registry_assets
from salesml_assets.assets.report import report_assets
from salesml_assets.assets.validation_notebook import notebook_assets
from salesml_assets.automation.clean_up import clean_up_job, weekly_clean_up
from salesml_assets.automation.drift_retrain import drift_sensor
from salesml_assets.automation.jobs import load_job, retrain_job, weekly_schedule
from salesml_assets.automation.new_sales import new_sales_sensor
from salesml_assets.automation.policies import refresh_sensor, with_policies
from salesml_assets.automation.tune import tune_job
from salesml_assets.checks import all_checks
from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import Settings
from salesml_assets.guide.apply import with_guide
from salesml_assets.notifications.sensors import notification_sensors
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import DeltaIOManager, Lake
from salesml_assets.resources.spark import SparkResource
from salesml_assets.resources.training import Training


def definitions(settings: Settings) -> dg.Definitions:
    """Assembles the definitions for these settings."""
    # Configured at launch, because Dagster then shares the one session with the resources that need it.
    spark = SparkResource.for_settings(settings)
    tables = Lake.from_settings(settings, spark)
    assets = [
        *ingestion_assets(settings),
        *feature_assets(settings),
        *model_assets(settings),
        *evaluation_assets(settings),
        *production_assets(settings),
        *hierarchy_assets(settings),
        *ab_test_assets(settings),
        *registry_assets(settings),
        *explanation_assets(settings),
        *report_assets(settings),
        *notebook_assets(settings),
        *monitoring_assets(settings),
    ]
    return dg.Definitions(
        assets=with_guide(with_policies(assets, settings), settings),
        asset_checks=all_checks(settings),
        jobs=[retrain_job(settings), load_job(settings), clean_up_job(assets, settings), tune_job(settings)],
        schedules=[weekly_schedule(settings), weekly_clean_up(settings)],
        sensors=[
            new_sales_sensor(settings),
            refresh_sensor(settings),
            drift_sensor(settings),
            *notification_sensors(settings),
        ],
        resources={
            "spark": spark,
            "tables": tables,
            "lake": DeltaIOManager(lake=tables),
            "training": Training(tables=tables, spark=spark),
            "files": FileStore.from_settings(settings),
        },
        executor=dg.in_process_executor,
    )


defs = definitions(load_settings())
