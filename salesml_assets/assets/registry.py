"""The registry in step with the production models; that it is away stops nothing."""

from typing import Any

import dagster as dg

from salesml_assets.assets.production import GROUP
from salesml_assets.config.settings import Settings
from salesml_assets.names import AB_TEST_REPORT, CHALLENGER_MODEL, MODEL_REGISTRY, PRODUCTION_MODEL
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake

IN_STEP = "in_step"


def registry_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The mirror in MLflow; nothing where it is switched off."""
    if not settings.registry.enabled:
        return []

    @dg.asset(
        name=MODEL_REGISTRY,
        group_name=GROUP,
        kinds={"mlflow"},
        deps=[PRODUCTION_MODEL, *([CHALLENGER_MODEL, AB_TEST_REPORT] if settings.tests_challengers else [])],
        check_specs=[
            dg.AssetCheckSpec(
                IN_STEP,
                asset=MODEL_REGISTRY,
                description="The registry has every production model, and its alias `champion` is the one that serves.",
            )
        ],
        description="Trainings tracked in MLflow, production models registered, aliases champion and challenger.",
    )
    def model_registry(context: dg.AssetExecutionContext, tables: Lake, files: FileStore) -> dg.MaterializeResult:
        from salesml_assets.forecasting.challenger import running_test
        from salesml_assets.registry.connection import tracking_uri
        from salesml_assets.registry.mirror import mirror
        from salesml_assets.text import masked

        test = running_test(tables.tables) if settings.tests_challengers else None
        found = mirror(
            tables.tables,
            files,
            settings.registry,
            test.challenger if test else None,
            rollback_days=settings.lake.rollback_days,
        )
        if found.problem:
            context.log.warning(found.problem)
        metadata: dict[str, Any] = {
            "registry": masked(tracking_uri(settings.registry)),
            "model": settings.registry.model_name,
            "registered now": ", ".join(found.added) or "none",
            "not registered": ", ".join(found.missing) or "none",
        }
        if found.champion:
            metadata["champion"] = found.champion
        if found.run_id:
            metadata["MLflow run"] = dg.MetadataValue.url(found.link) if found.link else found.run_id
        check = dg.AssetCheckResult(
            check_name=IN_STEP,
            passed=found.problem is None,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"not registered": len(found.missing)},
            description=found.problem and found.caught_up_later,
        )
        return dg.MaterializeResult(metadata=metadata, check_results=[check])

    return [model_registry]
