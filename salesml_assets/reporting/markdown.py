"""The report in short, as Markdown for Dagster's metadata."""

from __future__ import annotations

import re

from salesml_assets.language import _, language
from salesml_assets.reporting import readings
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.tables import Table, algorithms_table, challengers_table
from salesml_assets.text import clean


def summary_markdown(data: ReportData) -> str:
    """The headline numbers, the decision, what is new, what to do, and the table of algorithms."""
    with language(data.language):
        cards = [
            f"- **{_text(card.label)}:** {_text(card.value)} ({_text(card.note)})"
            for card in readings.headline_cards(data)
        ]
        sentences = [*readings.news(data), readings.compared(data), readings.total_error_text(data)]
        blocks = [f"### {_text(data.title)}", "\n".join(cards)]
        if reason := readings.decided(data):
            blocks.append(f"**{_text(readings.outcome(data))}** {_text(reason)}")
        blocks += [_text(sentence) for sentence in sentences if sentence]
        blocks.append(
            "\n".join([f"**{_('What to do next')}**", "", *(f"- {_text(step)}" for step in readings.next_steps(data))])
        )
        blocks += [markdown_table(table) for table in (algorithms_table(data), challengers_table(data)) if table]
    return "\n\n".join(blocks) + "\n"


def markdown_table(table: Table) -> str:
    """The table in Markdown, the highlighted row in bold."""
    lines = [
        _row([_text(cell) for cell in table.header]),
        _row(["---" if i in table.text_columns else "---:" for i in range(len(table.header))]),
    ]
    for index, cells in enumerate(table.rows):
        texts = [_text(cell) for cell in cells]
        lines.append(_row([f"**{text}**" for text in texts] if index == table.highlighted else texts))
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(value: str) -> str:
    """Text in which nothing is Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", clean(value, 1000)).replace("&", "&amp;")
