"""The executed validation notebook."""

import dagster as dg

from salesml_assets.assets.evaluation import GROUP
from salesml_assets.assets.report import shown
from salesml_assets.config.settings import Settings
from salesml_assets.names import NOTEBOOK_FILES, VALIDATION_NOTEBOOK
from salesml_assets.resources.files import FileStore


def notebook_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The notebook, by settings."""

    @dg.asset(
        name=VALIDATION_NOTEBOOK,
        group_name=GROUP,
        kinds={"jupyter", "html"},
        deps=shown(settings),
        description="The validation notebook, run on the results of this run, as a notebook and as a page.",
    )
    def validation_notebook(context: dg.AssetExecutionContext, files: FileStore) -> dg.MaterializeResult:
        from salesml_assets.reporting.notebook import execute_notebook

        made = execute_notebook(settings)
        page, notebook = (
            files.write(content, VALIDATION_NOTEBOOK, context.run.run_id, name)
            for content, name in zip((made.html, made.notebook), NOTEBOOK_FILES, strict=True)
        )
        return dg.MaterializeResult(
            metadata={
                "page": dg.PathMetadataValue(page),
                "notebook": dg.NotebookMetadataValue(notebook),
                "figures": made.figures,
            }
        )

    return [validation_notebook]
