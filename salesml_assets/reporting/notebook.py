"""The validation notebook: what its cells call, and its execution in a kernel of its own, without Spark and Dagster."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files as package_files
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from salesml_assets.config.settings import Language, Settings
from salesml_assets.lake.export import lake_of
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.language import _, language, stored
from salesml_assets.reporting import readings, tables
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.encode import figure_png
from salesml_assets.reporting.figures import Picture, picture
from salesml_assets.reporting.results import current_results, latest_comparison
from salesml_assets.text import masked

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from salesml_assets.forecasting.comparison import Comparison

NOTEBOOK = "model_validation.ipynb"
KERNEL_SECONDS = 300
PARAMETERS = "parameters"  # tag of the cell that reads the settings


@dataclass(frozen=True)
class Shown:
    """A figure, or nothing, as the last value of a cell."""

    picture: Picture | None

    def _repr_png_(self) -> bytes | None:
        return None if self.picture is None else figure_png(self.picture.figure, 100)

    def __repr__(self) -> str:
        return _("There are no data for this figure.") if self.picture is None else self.picture.alt


@dataclass(frozen=True)
class Words:
    """Sentences as Markdown."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Validation:
    """The current results, as the cells of the notebook ask for them.

    Attributes:
        settings: The settings.
    """

    settings: Settings

    @property
    def lake(self) -> Lakehouse:
        """The tables of the lake."""
        return lake_of(self.settings)

    @cached_property
    def data(self) -> ReportData:
        """Everything that the report shows, but the checks."""
        return current_results(self.lake, self._files, self.settings)

    @cached_property
    def comparison(self) -> Comparison:
        """The comparison behind it: metrics, folds, losses, residuals."""
        return latest_comparison(self.lake, self._files)

    @property
    def _files(self) -> Files:
        return Files(self.settings.lake.root, self.settings.s3)

    def figure(self, name: str) -> Shown:
        """A figure of the report; names are those of `reporting.figures`."""
        return Shown(picture(self.data, name))

    def table(self, name: str) -> pd.DataFrame:
        """A table of the report: algorithms, challengers, coverage, parameters, drivers, realised, reasons."""
        with self._language:
            return _frame(getattr(tables, f"{name}_table")(self.data))

    def segments(self, dimension: str) -> pd.DataFrame:
        """Error by `category` or `volume_class`."""
        with self._language:
            return _frame(tables.segments_table(self.data, dimension))

    def words(self, *names: str) -> Words:
        """What the numbers say; names are those of the functions of `reporting.readings`."""
        with self._language:
            sentences = [getattr(readings, name)(self.data) for name in names]
            return Words("\n\n".join(sentence for sentence in sentences if sentence) or _("There is nothing to say."))

    def summary(self) -> pd.DataFrame:
        """The headline numbers."""
        with self._language:
            cards = readings.headline_cards(self.data)
            content = {_("Value"): [card.value for card in cards], _("Note"): [card.note for card in cards]}
            return pd.DataFrame(content, index=[card.label for card in cards])

    def decision(self) -> Words:
        """The promotion decision and its reason."""
        with self._language:
            return Words(readings.decided(self.data) or _("There is no decision."))

    @property
    def _language(self) -> AbstractContextManager[None]:
        return language(self.settings.report.language)

    def series(self, worst: bool = True) -> pd.DataFrame:
        """The series with the highest (or the lowest) error: `wape`, `bias`, `volume`."""
        return self.comparison.worst_series if worst else self.comparison.best_series

    def metric(self, metric: str, dimension: str) -> pd.DataFrame:
        """One metric of all algorithms by segment: algorithms in rows, segments in columns."""
        return self.data.by_segment(metric, dimension)


@dataclass(frozen=True)
class Executed:
    """An executed notebook.

    Attributes:
        notebook: As JSON.
        html: The same as a page that loads nothing.
        figures: Number of its figures.
    """

    notebook: str
    html: str
    figures: int


def execute_notebook(settings: Settings) -> Executed:
    """Runs the validation notebook on the current results of the lake.

    Args:
        settings: The settings; they are written into the notebook, masked, so that it can be run again.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed; the message has its code and error.
    """
    import nbformat
    from nbconvert import HTMLExporter

    source = package_files("salesml_assets.reporting").joinpath("notebooks", NOTEBOOK).read_text(encoding="utf-8")
    notebook = nbformat.reads(source, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if PARAMETERS in cell.metadata.get("tags", []):
            cell.source = _settings_cell(settings)
        elif cell.cell_type == "markdown":
            cell.source = translated_cell(cell.source, settings.report.language)
    _execute(notebook)
    # No page of somebody else's server: neither formulas nor widgets are in the notebook.
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        mathjax_url="", require_js_url="", jquery_url="", exclude_input_prompt=True, exclude_output_prompt=True
    )
    page, _resources = exporter.from_notebook_node(notebook, resources={"metadata": {"name": "Model validation"}})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = sum("image/png" in output.get("data", {}) for output in outputs)
    return Executed(nbformat.writes(notebook), page, figures)  # type: ignore[no-untyped-call]


def translated_cell(source: str, name: Language) -> str:
    """The text of a cell in a language, paragraph by paragraph; headings keep their marks."""
    with language(name):
        return "\n\n".join(_paragraph(paragraph) for paragraph in source.split("\n\n"))


def _paragraph(text: str) -> str:
    words = text.lstrip("# ")
    return text.removesuffix(words) + stored(words)


def _execute(notebook: NotebookNode) -> None:
    """Runs the cells in a kernel whose files are in a folder of its own.

    By default its sockets would be in the working directory, which may be read-only, as in a container.
    """
    from nbclient import NotebookClient
    from traitlets.config import Config

    with TemporaryDirectory(prefix="salesml-") as folder:
        # Sockets in files, where there are such: nobody else on the machine can talk to the kernel.
        transport = "ipc" if os.name == "posix" else "tcp"
        config = Config({"KernelManager": {"transport": transport, "connection_file": f"{folder}/kernel.json"}})
        client = NotebookClient(notebook, kernel_name="python3", timeout=KERNEL_SECONDS, config=config)
        client.execute(env=os.environ | {"IPYTHONDIR": folder})


def _settings_cell(settings: Settings) -> str:
    values = json.dumps(settings.model_dump(mode="json", exclude_defaults=True), indent=1)
    return (
        "import json\n\nfrom salesml_assets.config.settings import Settings\n"
        "from salesml_assets.reporting.notebook import Validation\n\n"
        f"settings = Settings(**json.loads({masked(values)!r}))\nvalidation = Validation(settings)"
    )


def _frame(table: tables.Table | None) -> pd.DataFrame:
    if table is None:
        return pd.DataFrame()
    rows: list[list[Any]] = [list(row) for row in table.rows]
    return pd.DataFrame(rows, columns=table.header).set_index(table.header[0])
