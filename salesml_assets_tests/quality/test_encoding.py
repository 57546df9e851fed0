"""Files in another encoding than the settings name: the line, and the encoding that they are in."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.quality.encoding import encoding_problem, read_bytes

TEXT = "produto,valor\nCAFE,1\nBISCOITO VOVÓ,2\npão francês,3\n"


@pytest.mark.parametrize(
    ("written", "declared", "line", "guess"),
    [
        ("iso-8859-1", "UTF-8", 3, "ISO-8859-1"),
        ("cp850", "UTF-8", 3, "IBM850"),
        ("utf-16", "UTF-8", 1, "UTF-16"),
        ("utf-16-le", "UTF-8", 1, "UTF-16LE"),
        ("utf-16-be", "ISO-8859-1", 1, "UTF-16BE"),
        ("utf-8", "ISO-8859-1", 3, "UTF-8"),
        ("utf-8", "windows-1252", 3, "UTF-8"),
        ("utf-8-sig", "ISO-8859-1", 1, "UTF-8"),
        ("utf-8", "UTF-16", 1, "UTF-8"),
        ("cp850", "ISO-8859-1", 4, "IBM850"),
    ],
)
def test_another_encoding_than_named(written: str, declared: str, line: int, guess: str) -> None:
    found = encoding_problem(TEXT.encode(written), declared)
    assert found is not None
    assert (found.line, found.guess) == (line, guess)
    assert found.text == TEXT.splitlines()[line - 1]


def test_the_euro_sign_is_windows() -> None:
    found = encoding_problem("preis\n12 €\nMüller’s\n".encode("cp1252"), "UTF-8")
    assert found is not None
    assert (found.line, found.guess, found.text) == (2, "windows-1252", "12 €")


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "windows-1252", "IBM850", "UTF-16"])
def test_the_encoding_that_is_named(encoding: str) -> None:
    assert encoding_problem(TEXT.encode(encoding), encoding) is None
    assert encoding_problem(b"day,item\n2024-01-01,a\n".decode().encode(encoding), encoding) is None


@given(st.text(), st.integers(0, 40))
def test_text_in_utf8_has_no_problem_wherever_it_is_cut(text: str, cut: int) -> None:
    content = ("day,item\n" + text).encode()
    assert encoding_problem(content, "UTF-8") is None or b"\x00" in content
    if b"\x00" not in content:
        assert encoding_problem(content[: max(len(content) - cut, 9)], "UTF-8", complete=False) is None


def test_compressed_files_are_looked_into(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TEXT.encode("iso-8859-1")))
    (tmp_path / "b c.csv").write_bytes(TEXT.encode())
    assert read_bytes(f"file:{tmp_path}/a.csv.gz") == (TEXT.encode("iso-8859-1"), True)
    assert read_bytes(f"{tmp_path}/b c.csv", limit=10) == (TEXT.encode()[:10], False)
    assert read_bytes("hdfs://host/sales.csv") is None
