"""Makes text safe to show: secrets masked, one line, printable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

MASK = "***"
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"([?&][^=&\s]*(?:sig|signature|token|secret|password|key)[^=&\s]*=)[^&\s]+", re.IGNORECASE)
_NAME = re.compile(r"secret|password|passwd|token|credential|access[._-]?key|private[._-]?key", re.IGNORECASE)


def masked(text: str) -> str:
    """The text with user, password and secret parameters of every address masked.

    >>> masked("s3a://key:secret@bucket/lake and http://host/a?token=abc&page=2")
    's3a://***@bucket/lake and http://host/a?token=***&page=2'
    """
    return _QUERY.sub(rf"\1{MASK}", _USERINFO.sub(MASK, text))


def masked_tree(value: Any, name: str = "") -> Any:
    """Dictionaries and lists with secrets masked: in addresses, and values whose key names a secret.

    >>> masked_tree({"fs.s3a.secret.key": "abc", "path": "data"})
    {'fs.s3a.secret.key': '***', 'path': 'data'}
    """
    if isinstance(value, dict):
        return {key: masked_tree(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked_tree(inner, name) for inner in value]
    if value is not None and _NAME.search(name):
        return MASK
    return masked(value) if isinstance(value, str) else value


def clean(text: object, width: int = 200) -> str:
    r"""One line of printable text of at most `width` characters.

    Names come from source data: control characters and lone surrogates would make an HTML page invalid.

    >>> clean("a\tb\x00c"), clean("abcdef", 4)
    ('a bc', 'abc…')
    """
    joined = " ".join(str(text).encode("utf-8", "replace").decode("utf-8").split())
    printable = "".join(char for char in joined if unicodedata.category(char) not in {"Cc", "Cs", "Cn", "Co"})
    return printable if len(printable) <= width else printable[: width - 1].rstrip() + "…"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    r"""Rows of cells as lines with columns of equal width.

    >>> aligned([("version", "path"), ("12", "a/b")])
    'version  path\n12       a/b'
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
