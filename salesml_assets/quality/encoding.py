"""Whether the bytes of a text file are in the encoding that the settings name; without Spark.

Spark replaces what it cannot decode, so two products whose names differ in an accent alone become one.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from salesml_assets.config.settings import S3Settings

SAMPLE_BYTES = 2**20
REPLACEMENT = "\ufffd"
_BOMS = ((codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
         (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))  # fmt: skip
_LETTERS = "äöüßéèêëáàâãåçñíìîïóòôõúùûøæœýÿ"
_USUAL = frozenset(_LETTERS + _LETTERS.upper() + "€’‘–—“”„°§ºª£½²³´·¿¡«»®©\u00a0")
_JAVA = {"utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "utf-32-le": "UTF-32LE", "utf-32-be": "UTF-32BE",
         "utf-8-sig": "UTF-8", "ascii": "US-ASCII", "mac-roman": "x-MacRoman"}  # fmt: skip
_CODECS = {"gz": "gzip", "bz2": "bz2", "zst": "zstd", "lz4": "lz4"}


@dataclass(frozen=True)
class EncodingProblem:
    """Bytes that are not in the encoding they should be in.

    Attributes:
        line: Number of the first line with such bytes, from 1.
        text: That line, as the guessed encoding has it.
        guess: The encoding that the file seems to be in, by its Java name.
    """

    line: int
    text: str
    guess: str


def encoding_problem(content: bytes, declared: str, complete: bool = True) -> EncodingProblem | None:
    """The first place where a file contradicts the encoding that it should have; None where there is none.

    Args:
        content: The file's bytes, or their beginning.
        declared: Name of the encoding, as Java has it.
        complete: Whether these are all bytes: the last character of a beginning may be incomplete.
    """
    try:
        expected = codecs.lookup(declared).name
    except LookupError:
        return None  # Java knows more encodings than Python
    mark = next((name for bom, name in _BOMS if content.startswith(bom)), None)
    wide = expected.startswith(("utf-16", "utf-32"))
    if mark is None and not wide and (found := _wide_without_mark(content)):
        mark = found
    if mark and not expected.startswith(mark.lower()):
        return _problem(content, 0, mark)
    if wide:
        return None if mark or b"\x00" in content else _problem(content, 0, "UTF-8")
    place = _undecodable(content, expected, complete)
    if expected in ("utf-8", "utf-8-sig", "ascii"):
        return None if place is None else _problem(content, place, _single_byte(content))
    foreign = next((place for place, byte in enumerate(content) if byte > 127), None)
    if foreign is None:
        return None
    if _undecodable(content, "utf-8", complete) is None:
        return _problem(content, foreign, "UTF-8")
    if place is None and expected == "iso8859-1" and (guess := _single_byte(content)) != "ISO-8859-1":
        return _problem(content, next(n for n, byte in enumerate(content) if 0x80 <= byte <= 0x9F), guess)
    return None if place is None else _problem(content, place, _single_byte(content))


def java_encoding(name: str) -> str:
    """An encoding under a name that Java knows; names that Python does not know are taken for Java's.

    >>> java_encoding("latin-1"), java_encoding("UTF-8"), java_encoding("utf_16_le")
    ('iso8859-1', 'UTF-8', 'UTF-16LE')
    """
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        return name
    if name.lower() in (codec, codec.replace("iso8859", "iso-8859")):
        return name
    return _JAVA.get(codec, codec)


def arrow_path(path: str, s3: S3Settings | None) -> tuple[FileSystem, str] | None:
    """A file as Arrow opens it; None where only Spark can.

    Args:
        path: Address of the file, as Hadoop writes it.
        s3: The object store behind s3a:// addresses.
    """
    from salesml_assets.lake.s3 import arrow_files

    scheme, _, rest = path.partition(":")
    if path.startswith("/") or scheme == "file":
        return arrow_files(None), path if path.startswith("/") else "/" + rest.lstrip("/")
    if scheme == "s3a" and s3 is not None:
        return arrow_files(s3), rest.lstrip("/")
    return None


def read_bytes(path: str, s3: S3Settings | None = None, limit: int | None = SAMPLE_BYTES) -> tuple[bytes, bool] | None:
    """The beginning of a file, decompressed, and whether it is all of it; None where only Spark can read it.

    Args:
        path: Address of the file, as Hadoop writes it.
        s3: The object store behind s3a:// addresses.
        limit: Most bytes; None: all.
    """
    import pyarrow as pa

    where = arrow_path(path, s3)
    if where is None:
        return None
    files, name = where
    codec = _CODECS.get(name.rpartition(".")[2].lower())
    try:
        with files.open_input_stream(name, compression=codec) as stream:
            content = stream.read() if limit is None else stream.read(limit)
    except (OSError, pa.ArrowException):
        return None  # a compressed file that is broken, say: Spark says what is wrong with it
    return content, limit is None or len(content) < limit


def _undecodable(content: bytes, encoding: str, complete: bool) -> int | None:
    try:
        codecs.getincrementaldecoder(encoding)().decode(content, complete)
    except UnicodeDecodeError as error:
        return error.start
    return None


def _wide_without_mark(content: bytes) -> str | None:
    """UTF-16 by its zero bytes: every other one of a text in Latin letters is zero."""
    pairs = content[: len(content) // 2 * 2][:4096]
    if not pairs or content.startswith(b"PAR1"):
        return None
    for first, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if pairs[first::2].count(0) > 0.4 * len(pairs) / 2 and pairs[1 - first :: 2].count(0) < 0.1 * len(pairs) / 2:
            return name
    return None


def _single_byte(content: bytes) -> str:
    """The likeliest encoding of one byte per character: the one in which most foreign bytes are usual letters."""
    foreign = bytes(byte for byte in content if byte > 127)
    scores = [sum(sign in _USUAL for sign in foreign.decode(codec, "replace")) for codec in ("cp1252", "cp850")]
    if scores[1] > scores[0]:
        return "IBM850"
    return "windows-1252" if any(byte <= 0x9F for byte in foreign) else "ISO-8859-1"


def _problem(content: bytes, place: int, guess: str) -> EncodingProblem:
    if guess.startswith(("UTF-16", "UTF-32")):
        text = content.decode(guess, "replace").splitlines() or [""]
        return EncodingProblem(1, text[0].lstrip("\ufeff")[:200], guess)
    start = content.rfind(b"\n", 0, place) + 1
    end = content.find(b"\n", place)
    line = content[start : end if end >= 0 else len(content)].rstrip(b"\r").removeprefix(codecs.BOM_UTF8)
    return EncodingProblem(content.count(b"\n", 0, place) + 1, line.decode(guess, "replace")[:200], guess)
