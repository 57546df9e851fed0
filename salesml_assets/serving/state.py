"""What a process answers with. Each attribute is replaced as a whole, between requests."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from salesml_assets.forecasting.model.bundle import Bundle
from salesml_assets.forecasting.versions import Version
from salesml_assets.serving.book import Book


@dataclass(frozen=True)
class Model:
    """A model that has been tried out.

    Attributes:
        version: Its row in the table of production models.
        bundle: The model.
        source: Where it came from: `lake` or `local copy`.
    """

    version: Version
    bundle: Bundle
    source: str


@dataclass(frozen=True)
class Stored:
    """The stored forecasts.

    Attributes:
        book: The forecasts.
        table: The table's id and version.
        written_at: When they were written, UTC.
    """

    book: Book
    table: tuple[str, int]
    written_at: dt.datetime


@dataclass(frozen=True)
class Challenger:
    """The model that an A/B test compares with the one in production.

    Attributes:
        test: Number of the test.
        model: The model, which has been tried out.
        stored: Its stored forecasts; None before the first ones.
        salt: What draws its series: the same on each replica, another one for the next test.
    """

    test: int
    model: Model
    stored: Stored | None
    salt: str


@dataclass
class State:
    """The state of a process.

    Attributes:
        model: The model that answers; None before the first one.
        stored: The stored forecasts; None before the first ones.
        versions: All versions of the production model, oldest first.
        drift: Largest effect over its minimum by kind, as last measured.
        lake_up: Whether the lake answered the last look.
        challenger: The model that is tested; None while nothing is tested, or it cannot be used.
        challenger_broken: Why the challenger is refused; empty while it is not.
        broken: Why the newest version is refused; empty while it is not.
        swaps: Models loaded since the start.
        draining: Whether the process has been told to stop.
    """

    model: Model | None = None
    stored: Stored | None = None
    versions: list[Version] = field(default_factory=list)
    drift: dict[str, float] = field(default_factory=dict)
    challenger: Challenger | None = None
    challenger_broken: str = ""
    lake_up: bool = False
    broken: str = ""
    swaps: int = 0
    draining: bool = False
