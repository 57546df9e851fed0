"""Which of two models answers during an A/B test, and what is noted of the answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from fastapi import Header

from salesml_assets.forecasting.arms import CHALLENGER, CHAMPION, arm_of
from salesml_assets.serving.problems import invalid

if TYPE_CHECKING:
    from starlette.types import Scope

    from salesml_assets.serving.state import Challenger, State

ARM_HEADER, KEY_HEADER = "X-Arm", "X-Routing-Key"
# Without a value they are empty: headers that may be null are described in a way that few clients understand.
ArmWanted = Annotated[
    Literal["", "champion", "challenger"],
    Header(alias=ARM_HEADER, description="The model that shall answer, for tests; default: by the test's shares."),
]
RoutingKey = Annotated[
    str,
    Header(
        alias=KEY_HEADER,
        max_length=200,
        description="A name of the caller: during an A/B test all answers to it come from one model. Default: each "
        "series has its model.",
    ),
]


class Served(NamedTuple):
    """One series of an answer.

    Attributes:
        arm: `champion` or `challenger`.
        series: Name of the series.
        place: Its place among the series of this arm in the answer.
        model_version: Version of the model; of a challenger in the table of challengers.
        cutoff: Last step that was known to the forecast; None in an answer that failed.
        stored: Whether it is a stored forecast.
    """

    arm: str
    series: str
    place: int
    model_version: int
    cutoff: dt.date | None
    stored: bool


class Route:
    """The arms of one request.

    Args:
        state: What the process answers with.
        share: Share of the keys that get the challenger.
        wanted: The arm that the caller asks for; empty: none.
        key: The caller's key; empty: none.

    Raises:
        ProblemError: The caller asks for a challenger, and there is none.
    """

    def __init__(self, state: State, share: float, wanted: str, key: str) -> None:
        self.challenger: Challenger | None = state.challenger
        if wanted == CHALLENGER and self.challenger is None:
            raise invalid(ARM_HEADER, "no challenger is being tested")
        self._share, self._wanted, self._key = share, wanted, key

    def arm(self, series: str) -> str:
        """The arm of a series in this request."""
        if self.challenger is None:
            return CHAMPION
        return self._wanted or arm_of(self._key or series, self.challenger.salt, self._share)

    def note(
        self, scope: Scope, arms: Sequence[str], items: Sequence[dict[str, Any]], versions: dict[str, int], stored: bool
    ) -> None:
        """Leaves with the request what is to be logged of it; nothing while nothing is tested.

        Args:
            scope: The request.
            arms: Arm of each series.
            items: Series of the answer, or those that it was to have: `series`, and where it was made `cutoff`.
            versions: Version of the model of each arm, where the item does not name it.
            stored: Whether these are stored forecasts.
        """
        if self.challenger is None:
            return
        counts = {CHAMPION: 0, CHALLENGER: 0}
        served = []
        for arm, item in zip(arms, items, strict=True):
            day = item.get("cutoff")
            cutoff = dt.date.fromisoformat(day) if day else None
            version = item.get("model_version", versions.get(arm, 0))
            served.append(Served(arm, item["series"], counts[arm], version, cutoff, stored))
            counts[arm] += 1
        scope["served"] = self.challenger.test, served
