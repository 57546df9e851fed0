"""Updates the catalogues of the report's languages from the source: `python tools/messages.py`.

New messages are added untranslated, those that are gone are removed; translations stay. Messages of the context
`stored`, which translate text that runs have stored, are kept by hand.
"""

from __future__ import annotations

import io
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from salesml_assets.language import LANGUAGES, LOCALES, STORED

PACKAGE = Path(__file__).parent.parent / "salesml_assets"
FUNCTIONS = {"_": None, "N_": None, "_n": (1, 2), "Nn_": (1, 2), "counted": (1, 2)}
# Babel's own header has the time of the day in it.
HEADER = r"""msgid ""
msgstr ""
"Language: {language}\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: {plural_forms}\n"

"""
METHODS = [
    ("reporting/templates/report.html.j2", "jinja2.ext:babel_extract"),
    ("reporting/**.py", "python"),
    ("forecasting/**.py", "python"),
]


def extracted() -> set[str | tuple[str, ...]]:
    """The messages of the source: text, or the two forms of a plural."""
    found = extract_from_dir(str(PACKAGE), METHODS, keywords=FUNCTIONS, strip_comment_tags=True)
    return {message for _file, _line, message, _comments, _context in found}


def updated(name: str, messages: set[str | tuple[str, ...]]) -> bytes:
    """The catalogue of a language with these messages, sorted."""
    path = catalogue_path(name)
    with path.open("rb") as file:
        old = read_po(file, locale=LOCALES[name])  # type: ignore[index]
    new = Catalog(locale=LOCALES[name], fuzzy=False, charset="utf-8")  # type: ignore[index]
    new.mime_headers = [("Plural-Forms", old.plural_forms)]
    for message in messages:
        key = message if isinstance(message, str) else message[0]
        known = old.get(key)
        new.add(message, known.string if known else "")
    for entry in old:
        if entry.context == STORED:
            new.add(entry.id, entry.string, context=STORED)
    buffer = io.BytesIO()
    write_po(buffer, new, width=100, sort_output=True, omit_header=True)
    header = HEADER.format(language=LOCALES[name], plural_forms=old.plural_forms)  # type: ignore[index]
    return header.encode() + buffer.getvalue()


def catalogue_path(name: str) -> Path:
    """The file of a language."""
    return PACKAGE / "locale" / name / "messages.po"


if __name__ == "__main__":
    for language in LANGUAGES:
        if language != "en":
            catalogue_path(language).write_bytes(updated(language, extracted()))
