"""The job that searches for a better recipe."""

# No postponed annotations here: Dagster reads the types of an op's parameters.
import dagster as dg

from salesml_assets.automation.jobs import run_tags
from salesml_assets.config.settings import Settings
from salesml_assets.resources.lake import Lake
from salesml_assets.spark.session import cores_here

TUNE_JOB = "tune"


def tune_job(settings: Settings) -> dg.JobDefinition:
    """The job: `search.minutes` of search on the present panel; the algorithm `tuned` takes what it finds.

    Args:
        settings: The settings.
    """

    @dg.op(description="Tries recipes on origins before the scored ones, until the budget of time is used.")
    def search_recipes(context: dg.OpExecutionContext, tables: Lake) -> None:
        from salesml_assets.forecasting.search.found import as_settings, found_trial
        from salesml_assets.forecasting.search.lake import search_lake
        from salesml_assets.forecasting.search.study import Limits, Trial, line_of
        from salesml_assets.registry.search_log import log_trials

        def report(trial: Trial, best: Trial | None, left: float) -> None:
            context.log.info(line_of(trial, best, left))

        limits = Limits(settings.search.minutes)
        outcome = search_lake(
            tables.tables, settings, limits, cores_here(settings.spark.master), report, context.run_id
        )
        problem = log_trials(outcome, settings.registry) if settings.registry.enabled else None
        if problem:
            context.log.warning(f"trials are not logged: {problem}")
        found = found_trial(outcome, settings)
        context.add_output_metadata(
            {
                "trials": len(outcome.trials),
                "ended": outcome.reason,
                "found": dg.MarkdownMetadataValue(f"```yaml\n{as_settings(found.recipe)}```" if found else "none"),
                **({"error of the default's": found.value} if found and found.value is not None else {}),
            }
        )

    @dg.job(
        name=TUNE_JOB,
        description="Search for a better recipe; the next retrain compares it where `tuned` is among the algorithms.",
        tags=run_tags(settings),
        executor_def=dg.in_process_executor,
    )
    def tune() -> None:
        search_recipes()

    return tune
