"""The report in short."""

from __future__ import annotations

from salesml_assets.reporting.markdown import markdown_table, summary_markdown
from salesml_assets.reporting.tables import Table

from .sample import bare_report, full_report


def test_the_summary_holds_headline_decision_and_tables():
    text = summary_markdown(full_report())
    assert "- **Forecast accuracy:** 70.0%" in text
    assert "**Promoted.** XGBoost replaces the linear regression: 11.8% less error." in text
    assert "| **XGBoost** | **30.0%** |" in text
    assert "| Seasonal naive | 40.0% |" in text


def test_a_bare_report_has_a_summary_too():
    assert "| **XGBoost** |" in summary_markdown(bare_report())


def test_cells_cannot_break_out_of_their_table():
    table = Table("", ["a|b"], [["x | y <b>*z*</b>\n| new"]])
    assert markdown_table(table).splitlines() == [r"| a\|b |", "| --- |", r"| x \| y \<b\>\*z\*\</b\> \| new |"]


def test_the_title_is_plain_text():
    assert r"### \<img\> \[x\](y)" in summary_markdown(full_report(title="<img> [x](y)"))
