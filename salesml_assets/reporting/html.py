"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from salesml_assets.language import LOCALES, _, language, stored
from salesml_assets.reporting import formats, readings, tables
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.encode import figure_svg
from salesml_assets.reporting.figures import Picture
from salesml_assets.text import clean


def render_report(data: ReportData, pictures: Mapping[str, Picture]) -> str:
    """The report: a self-contained page, the same bytes for the same data.

    Styles and figures stand inside the page; it loads nothing, runs nothing, and prints well.

    Args:
        data: What it shows.
        pictures: Its figures, as `figures.pictures` draws them from the data.
    """
    with language(data.language):
        drawn = {
            name: {"title": picture.title, "svg": Markup(figure_svg(picture.figure, name, picture.alt))}
            for name, picture in pictures.items()
        }
        return template("report.html.j2").render(
            data=data,
            figures=drawn,
            tables=_tables(data),
            readings=readings,
            facts=_facts(data),
            lang=LOCALES[data.language].replace("_", "-"),
        )


@cache
def template(name: str) -> Template:
    """A page's template: what is written into it is escaped, and a name that it lacks is an error."""
    environment = Environment(
        loader=PackageLoader("salesml_assets.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"label": formats.algorithm_label, "clean": clean, "stored": stored}
    environment.globals |= {"_": _}
    return environment.get_template(name)


def _tables(data: ReportData) -> dict[str, tables.Table | None]:
    return {
        "algorithms": tables.algorithms_table(data),
        "parameters": tables.parameters_table(data),
        "challengers": tables.challengers_table(data),
        "coverage": tables.coverage_table(data),
        "costs": tables.costs_table(data),
        "orders": tables.orders_table(data),
        "realised": tables.realised_table(data),
        "ab_test": tables.ab_test_table(data),
        "volume_class": tables.segments_table(data, "volume_class"),
        "category": tables.segments_table(data, "category"),
        "levels": tables.levels_table(data),
        "totals": tables.totals_table(data),
        "drivers": tables.drivers_table(data),
        "reasons": tables.reasons_table(data),
        "checks": tables.checks_table(data),
    }


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """Name and value of each setting behind the report."""
    frequency = _("weekly ({weekday})", weekday=data.frequency) if data.weekly else _("daily")
    facts = [
        (_("Source"), clean(data.source)),
        (_("Target"), formats.word(data.target)),
        (_("Series"), " × ".join(formats.word(key) for key in data.series_keys)),
        (_("Frequency"), frequency),
        (_("Horizon"), readings.period(data)),
    ]
    return facts + [(formats.sentence(name), _setting(value)) for name, value in data.settings.items()]


def _setting(value: object) -> str:
    return formats.word(value) if isinstance(value, str) else formats.amount(value)
