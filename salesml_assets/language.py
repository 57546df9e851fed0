"""The language of what people read: messages from a gettext catalogue, separators and dates from CLDR.

English is the language of the source. The other languages are catalogues, `locale/<language>/messages.po`.
`_` translates a message where it is written. `stored` translates text that another run has stored in English.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import NamedTuple, ParamSpec, TypeVar, get_args

from babel import Locale
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol, get_group_symbol
from babel.support import NullTranslations, Translations

from salesml_assets.config.settings import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
LOCALES: dict[Language, str] = {"en": "en_US", "pt": "pt_BR"}
STORED = "stored"  # context of messages that are stored in English
_PLACEHOLDER = re.compile(r"\\{(\w+)\\}")
P = ParamSpec("P")
R = TypeVar("R")
_language: ContextVar[Language] = ContextVar("language", default="en")


class Separators(NamedTuple):
    """Separators of a number."""

    group: str
    decimal: str


@contextmanager
def language(name: Language) -> Iterator[None]:
    """Sets the language within a block."""
    token = _language.set(name)
    try:
        yield
    finally:
        _language.reset(token)


def current() -> Language:
    """The language in force."""
    return _language.get()


def in_all_languages(text: Callable[[], str]) -> dict[Language, str]:
    """A text in each language, to be stored."""
    texts = {}
    for name in LANGUAGES:
        with language(name):
            texts[name] = text()
    return texts


def bound(function: Callable[P, R]) -> Callable[P, R]:
    """The function in the language now in force, whenever it is called: axes are labelled when they are drawn."""
    name = current()

    def call(*args: P.args, **values: P.kwargs) -> R:
        with language(name):
            return function(*args, **values)

    return call


def _(message: str, /, **values: object) -> str:
    """The message in the language in force, with `{name}` replaced by the values.

    >>> _("{rows} of {all}", rows=1, all=2)
    '1 of 2'
    """
    text = _translations(current()).gettext(message)
    return text.format(**values) if values else text


def _n(one: str, many: str, count: float, /, **values: object) -> str:
    """The message for a count, in the plural form of the language in force.

    >>> _n("{count} row", "{count} rows", 2, count="2")
    '2 rows'
    """
    text = _translations(current()).ngettext(one, many, int(abs(count)))
    return text.format(**values) if values else text


def N_(message: str) -> str:
    """Marks a message that is translated later, by `_`."""
    return message


def Nn_(one: str, many: str) -> tuple[str, str]:
    """Marks a message with two forms that is translated later, by `_n`."""
    return one, many


def stored(text: str) -> str:
    """Text that a run stored in English, in the language in force; what the catalogue does not know stays.

    Messages of the catalogue's context `stored` may have placeholders: what stands in their place is kept, or
    translated where it is itself known.

    >>> with language("pt"):
    ...     stored("Mean of the last 28 days")
    'Média dos últimos 28 dias'
    """
    exact, templates = _stored(current())
    if text in exact:
        return exact[text]
    for pattern, translation in templates:
        if match := pattern.fullmatch(text):
            return translation.format(**{name: _parts(value) for name, value in match.groupdict().items()})
    return text


def _parts(value: str) -> str:
    exact, _templates = _stored(current())
    return ", ".join(exact.get(part, part) for part in value.split(", "))


def separators() -> Separators:
    """Separators of numbers in the language in force.

    >>> with language("pt"):
    ...     separators()
    Separators(group='.', decimal=',')
    """
    return _separators(current())


def with_point(text: str) -> str:
    """A number as Python writes it, without thousands separators, with the decimal separator of the language in force.

    >>> with language("pt"):
    ...     with_point("0.125")
    '0,125'
    """
    return text.replace(".", separators().decimal)


def locale() -> Locale:
    """The CLDR locale of the language in force."""
    return Locale.parse(LOCALES[current()])


@cache
def catalogue(name: Language) -> Catalog:
    """The catalogue of a language other than English."""
    source = files("salesml_assets").joinpath("locale", name, "messages.po")
    with source.open("rb") as file:
        return read_po(file, locale=LOCALES[name], abort_invalid=True)


@cache
def _translations(name: Language) -> NullTranslations:
    if name == "en":
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(name))
    compiled.seek(0)
    return Translations(compiled)


@cache
def _separators(name: Language) -> Separators:
    return Separators(get_group_symbol(LOCALES[name]), get_decimal_symbol(LOCALES[name]))


@cache
def _stored(name: Language) -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Translations of stored text: whole messages, and patterns of those with placeholders, the longest first."""
    exact: dict[str, str] = {}
    templates: list[tuple[re.Pattern[str], str]] = []
    for message in catalogue(name) if name != "en" else ():
        if message.context != STORED:
            continue
        source, translation = str(message.id), str(message.string)
        pattern = _PLACEHOLDER.sub(r"(?P<\1>.+)", re.escape(source))
        if pattern == re.escape(source):
            exact[source] = translation
        else:
            templates.append((re.compile(pattern), translation))
    templates.sort(key=lambda template: -len(template[0].pattern))
    return exact, templates
