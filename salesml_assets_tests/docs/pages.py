"""Code blocks of the pages in `docs/`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page: its language, the title that names its file, and its text."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*match.groups(default="")) for match in _BLOCK.finditer((DOCS / page).read_text())]


def titled(page: str, title: str) -> str:
    """The text of the block with a title."""
    (text,) = [block.text for block in blocks(page) if block.title == title]
    return text
