"""What the service takes and gives."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

MAX_AMOUNT = 1e12  # beyond it, sums of squares lose their digits
# Pydantic's own dates take numbers in quotes for seconds.
_DAY = r"^(19|20|21)\d{2}-\d{2}-\d{2}$"

if TYPE_CHECKING:
    Day = dt.date
else:
    Day = Annotated[
        str,
        Field(strict=True, pattern=_DAY),
        AfterValidator(dt.date.fromisoformat),
        WithJsonSchema({"type": "string", "format": "date", "pattern": _DAY}),
    ]
Amount = Annotated[float, Field(strict=True, ge=-MAX_AMOUNT, le=MAX_AMOUNT, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, max_length=500)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FutureStep(_Request):
    """What is planned for a step to forecast."""

    ds: Day = Field(description="The day, or the last day of the week.")
    closed: Flag | None = Field(None, description="Whether the business is closed; default: by its weekdays.")
    planned: dict[Text, Flag | Amount | Text | None] = Field(
        default_factory=dict, description="Values known in advance by name: promotions, prices, opening days."
    )


class PastStep(FutureStep):
    """What happened in a step of the past."""

    y: Amount | None = Field(description="What was sold, in the unit of the forecast; null: unknown.")
    closed: Flag | None = Field(None, description="Default: a closed weekday on which nothing was sold.")
    stock_out: Flag | None = Field(None, description="Out of stock: what was sold is no demand, and y is not used.")


class SeriesInput(_Request):
    """A series to forecast: its names, its history, and what is planned."""

    keys: dict[Text, Text] = Field(description="Value of each key that makes a series, such as {product: 85123A}.")
    history: list[PastStep] = Field(
        min_length=1,
        description="Steps in any order, the last one is the origin. Missing ones: see the setting `sales.gaps`.",
    )
    future: list[FutureStep] = Field(default_factory=list, description="Plans for steps within the horizon.")


class PredictionRequest(_Request):
    """Series to forecast now."""

    series: list[SeriesInput] = Field(min_length=1, description="One or many series.")
    horizon: Annotated[int, Field(strict=True, ge=1, le=366)] | None = Field(
        None, description="Steps ahead; default and maximum: the model's horizon."
    )


class Step(BaseModel):
    """The forecast of one step, in the unit of the target."""

    ds: dt.date = Field(description="The day, or the last day of the week.")
    yhat: float = Field(description="The forecast.")
    lo80: float = Field(description="Lower bound of the 80 % interval.")
    hi80: float = Field(description="Upper bound of the 80 % interval.")
    lo95: float = Field(description="Lower bound of the 95 % interval.")
    hi95: float = Field(description="Upper bound of the 95 % interval.")
    order_quantity: float | None = Field(
        None, description="What to have for this step, by the costs in the section `orders`; not there without costs."
    )


_ARM = "Which model answered: champion or challenger, whose versions are numbered apart. Only during an A/B test."


class SeriesForecast(BaseModel):
    """The forecasts of one series."""

    series: str = Field(description="Name of the series: its keys joined by `/`.")
    arm: str | None = Field(None, description=_ARM)
    model: str = Field(description="Algorithm, or what forecasts a series that is too short or that stopped selling.")
    model_version: int = Field(description="Version of the production model, or of the challenger.")
    cutoff: dt.date = Field(description="Last step that was known.")
    steps: list[Step] = Field(description="One entry per step, ascending.")


class ForecastPage(BaseModel):
    """Stored forecasts of several series, by name."""

    items: list[SeriesForecast]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


class Predictions(BaseModel):
    """Forecasts made now, in the order of the request."""

    items: list[SeriesForecast]


class Part(BaseModel):
    """The share of one feature."""

    feature: str = Field(description="The feature in words.")
    amount: float = Field(description="Its share, in the unit of the target.")


class Contribution(BaseModel):
    """The share of a group of features."""

    group: str = Field(description="The group in words.")
    amount: float = Field(description="Sum of its parts.")
    parts: list[Part] = Field(description="The features of the group, the largest share first.")


class ExplainedStep(BaseModel):
    """Why a forecast is what it is: `base` and the amounts of all groups add up to `yhat`."""

    ds: dt.date
    yhat: float = Field(description="The forecast, as in /predict.")
    base: float = Field(description="What the model forecasts of an average row of its training, at this series' size.")
    contributions: list[Contribution] = Field(description="Groups in a fixed order.")


class ExplainedSeries(BaseModel):
    """The explanation of one series' forecasts."""

    series: str
    arm: str | None = Field(None, description=_ARM)
    model: str
    model_version: int
    cutoff: dt.date
    steps: list[ExplainedStep]


class Explanations(BaseModel):
    """Explanations in the order of the request."""

    items: list[ExplainedSeries]


class ModelVersion(BaseModel):
    """A version of the production model."""

    version: int
    algorithm: str
    cutoff: dt.date = Field(description="Last step that it learned from.")
    trained_at: dt.datetime
    serving: bool = Field(description="Whether this process answers with it.")


class Models(BaseModel):
    """Versions of the production model, newest first."""

    items: list[ModelVersion]


class Health(BaseModel):
    """State of this process."""

    status: str
    model_version: int | None = Field(None, description="Version that answers.")
    source: str | None = Field(None, description="Where the model came from: the lake, or the local copy.")
    lake: str | None = Field(None, description="Whether the lake answered the last look: up or away.")


class FieldError(BaseModel):
    """What is wrong with one field of a request."""

    field: str = Field(description="Path of the field, such as series.0.history.3.y.")
    reason: str


class Problem(BaseModel):
    """An error as RFC 9457 describes it (application/problem+json)."""

    type: str = Field(description="Kind of the error, a URN.")
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] = Field(default_factory=list)
