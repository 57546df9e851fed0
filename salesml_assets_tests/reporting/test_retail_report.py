"""The report on the shipped sales: real shapes, real names, real size."""

from __future__ import annotations

import pytest

from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.encode import MAX_MARKDOWN_BYTES, figure_markdown
from salesml_assets.reporting.figures import pictures
from salesml_assets.reporting.html import render_report
from salesml_assets.reporting.markdown import summary_markdown

from .retail import retail_report


@pytest.fixture(scope="module")
def data() -> ReportData:
    """The report's data."""
    return retail_report()


def test_all_figures_are_made_and_fit_into_metadata(data):
    made = pictures(data)
    assert len(made) == 10
    for picture in made.values():
        assert len(figure_markdown(picture.figure, picture.alt).encode()) <= MAX_MARKDOWN_BYTES


def test_the_page_is_small_and_alone(data):
    page = render_report(data, pictures(data))
    assert len(page.encode()) < 1_000_000
    assert "http" not in page
    assert page == render_report(data, pictures(data))


def test_the_summary_is_short(data):
    assert len(summary_markdown(data)) < 4_000
