"""What a look at the source has found, in lines of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["found", "assumed", "suspicious", "wrong"]


@dataclass(frozen=True)
class Note:
    """One finding.

    Attributes:
        kind: A fact, a default that was taken, something to look at, or something that cannot work.
        key: The key of the settings that it is about.
        text: What it is, with counts and samples.
        yaml: Lines to add to the settings; empty where nothing has to be done.
    """

    kind: Kind
    key: str
    text: str
    yaml: str = ""
