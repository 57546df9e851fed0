"""Asset checks, one file per group of the graph."""

import dagster as dg

from salesml_assets.checks.ab_test import ab_test_checks
from salesml_assets.checks.evaluation import evaluation_checks
from salesml_assets.checks.features import feature_checks
from salesml_assets.checks.ingestion import ingestion_checks
from salesml_assets.checks.models import model_checks
from salesml_assets.checks.monitoring import monitoring_checks
from salesml_assets.checks.plan import plan_checks
from salesml_assets.checks.production import production_checks
from salesml_assets.config.settings import Settings


def all_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of all groups, by settings."""
    return [
        *ingestion_checks(settings),
        *plan_checks(settings),
        *feature_checks(settings),
        *model_checks(settings),
        *evaluation_checks(settings),
        *production_checks(settings),
        *monitoring_checks(settings),
        *ab_test_checks(settings),
    ]
