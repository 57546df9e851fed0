"""The HTTP service: stored forecasts, forecasts made on the spot, explanations, versions, health and metrics."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from importlib.abc import MetaPathFinder
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import API_KEY, Settings
from salesml_assets.forecasting.arms import ARMS, CHALLENGER, CHAMPION
from salesml_assets.forecasting.model.bundle import Bundle
from salesml_assets.lake.store import Lakehouse
from salesml_assets.serving.compute import explanations, name_of, predictions, series_keys
from salesml_assets.serving.example import example_request
from salesml_assets.serving.metrics import Metrics
from salesml_assets.serving.middleware import KEY_HEADER, Guard, TooLargeError
from salesml_assets.serving.problems import (
    MEDIA_TYPE,
    ProblemError,
    from_http,
    from_validation,
    invalid,
    problem_response,
    request_id_of,
    unavailable,
)
from salesml_assets.serving.refresh import AwayError, Refresher
from salesml_assets.serving.routing import ArmWanted, Route, RoutingKey
from salesml_assets.serving.schemas import (
    Day,
    Explanations,
    ForecastPage,
    Health,
    Models,
    PredictionRequest,
    Predictions,
    Problem,
    SeriesForecast,
)
from salesml_assets.serving.served_log import ServedLog
from salesml_assets.serving.state import Model, State, Stored

LOG = logging.getLogger("salesml.serving")
FIRST_LOOK_SECONDS = 10.0
COMPUTERS, MAX_WAITING = 1, 64  # threads that compute forecasts, and requests for them at a time
PAGE = 20
# In the description only: the guard verifies the key, and a dependency costs as much as reading the parameters.
_KEY: dict[str, Any] = {"security": [{"APIKeyHeader": []}]}
_KEY_SCHEME = {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": f"The key in {API_KEY}."}
_WORDS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    404: "There is no such series, or no forecast of it.",
    413: "The body is too large.",
    422: "A field is wrong; `errors` names it.",
    503: "No model or no lake, too many requests, or no answer in time.",
}
_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}

_ONE, _SEVERAL = "stored_forecast", "stored_forecasts"
_LINKS = {
    "series": {"operationId": _ONE, "parameters": {"series": "$response.body#/items/0/series"}},
    "next": {"operationId": _SEVERAL, "parameters": {"cursor": "$response.body#/next_cursor"}},
}

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}},
    }
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": _WORDS[status], **_PROBLEM} for status in statuses}


def create() -> FastAPI:
    """The app by the settings of this process; what uvicorn starts in each worker."""
    sys.meta_path.insert(0, _Unused())
    # A thread that computes hands over to the one that answers after 0.5 ms instead of 5.
    sys.setswitchinterval(0.0005)
    return create_app(load_settings(), os.environ.get(API_KEY) or None)


class _Unused(MetaPathFinder):
    """Keeps a process small: XGBoost and Arrow import these where they are installed, a second and 120 MiB."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Finds nothing, and says that there is none of these."""
        if fullname in ("pandas", "sklearn"):
            raise ModuleNotFoundError(f"the service does without {fullname}", name=fullname)


def create_app(settings: Settings, key: str | None = None) -> FastAPI:
    """Makes the app.

    Args:
        settings: The settings; `serving`, `orders`, `lake` and `s3` are used.
        key: The API key that callers have to send; None: no key is needed.
    """
    limits = settings.serving
    state = State()
    metrics = Metrics(state)
    refresher = Refresher(state, settings)
    served_log = ServedLog(Lakehouse(settings.lake.root, settings.s3), metrics.count_logged)
    share = settings.ab_test.share
    computers = ThreadPoolExecutor(COMPUTERS, "compute")
    waiting = 0

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(refresher.start, FIRST_LOOK_SECONDS)
        served_log.start()
        _drain_on_sigterm(state, limits.drain_seconds)
        yield
        refresher.stop()
        computers.shutdown()
        await asyncio.to_thread(served_log.stop)

    app = FastAPI(
        title="Sales forecasts",
        version="1",
        description="Stored forecasts, forecasts made on the spot, and what drives them.",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.serving, app.state.refresher, app.state.served_log = state, refresher, served_log
    app.add_middleware(
        Guard,
        state=state,
        metrics=metrics,
        key=key,
        max_body_bytes=limits.max_body_bytes,
        timeout=limits.timeout_seconds,
        served_log=served_log,
    )
    _handle_errors(app)

    async def compute(work: Callable[[], Any]) -> Any:
        """Runs work in a thread, so that stored forecasts are answered meanwhile."""
        nonlocal waiting
        if waiting >= MAX_WAITING:
            raise unavailable("Too many requests are waiting.")
        waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(computers, work)
        finally:
            waiting -= 1

    async def by_arms(
        answer: Callable[..., dict[str, Any]], http: Request, request: PredictionRequest, model: Model, route: Route
    ) -> dict[str, Any]:
        """Answers each series by the model of its arm, in the order of the request."""
        work = partial(answer, request=request, max_series=limits.max_series, max_rows=limits.max_rows)
        if route.challenger is None:
            return await compute(partial(work, model.bundle))
        models = {CHAMPION: model, CHALLENGER: route.challenger.model}
        versions = {arm: one.version.version for arm, one in models.items()}
        names = [name_of(model.bundle, series) for series in request.series]
        arms = [route.arm(name) for name in names]
        route.note(http.scope, arms, [{"series": name} for name in names], versions, stored=False)
        items: list[Any] = [None] * len(names)
        for arm in ARMS:
            places = [place for place, own in enumerate(arms) if own == arm]
            if places:
                made = await compute(partial(work, models[arm].bundle, places=places))
                for place, item in zip(places, made["items"], strict=True):
                    items[place] = item | {"arm": arm}
        route.note(http.scope, arms, items, versions, stored=False)
        return {"items": items}

    @app.get(
        "/forecasts/{series:path}",
        response_model=SeriesForecast,
        responses=_problems(401, 404, 422, 503),
        openapi_extra=_KEY,
        tags=["forecasts"],
        summary="Stored forecasts of one series",
        operation_id=_ONE,
    )
    async def stored_forecast(
        http: Request,
        series: str,
        horizon: Annotated[int | None, Query(ge=1, le=366, description="Steps at most; default: all.")] = None,
        as_of: Annotated[
            Day | None, Query(description="The forecasts as they were known on this day; default: the latest.")
        ] = None,
        wanted: ArmWanted = "",
        key: RoutingKey = "",
    ) -> Response:
        stored, route = _stored(state), Route(state, share, wanted, key)
        if as_of is None:
            found, arm = _forecast_by(route, stored, series, horizon)
            if found is not None:
                route.note(http.scope, [arm], [found], {}, stored=True)
        else:
            try:
                found = await compute(partial(refresher.past_forecast, series, as_of, horizon))
            except AwayError:
                raise unavailable("Earlier forecasts are in the lake, which does not answer.") from None
        if found is None:
            raise ProblemError(404, "unknown-series", "There is no forecast of this series.")
        return _json(found)

    @app.get(
        "/forecasts",
        response_model=ForecastPage,
        responses=_problems(401, 404, 422, 503) | {200: {"links": _LINKS}},
        openapi_extra=_KEY,
        tags=["forecasts"],
        summary="Stored forecasts of several series, in the order of their names",
        operation_id=_SEVERAL,
    )
    async def stored_forecasts(
        http: Request,
        series: Annotated[list[str] | None, Query(description="Names; default: all series, page by page.")] = None,
        limit: Annotated[
            int, Query(ge=1, description="Series per page; the setting `serving.max_series` at most.")
        ] = PAGE,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
        horizon: Annotated[int | None, Query(ge=1, le=366, description="Steps at most; default: all.")] = None,
        wanted: ArmWanted = "",
        key: RoutingKey = "",
    ) -> Response:
        stored, route = _stored(state), Route(state, share, wanted, key)
        book = stored.book
        if limit > limits.max_series:
            raise invalid("limit", f"{limits.max_series} series are allowed on one page")
        if series is not None:
            if len(series) > limits.max_series:
                raise invalid("series", f"{limits.max_series} series are allowed in one request")
            for number, name in enumerate(series):
                if name not in book.places:
                    raise ProblemError(
                        404, "unknown-series", "There is no forecast of a series.", [(f"series.{number}", "not known")]
                    )
        last = _series_of(cursor) if cursor is not None else None
        chosen = sorted({*series}) if series is not None else book.after(last)
        names = [name for name in chosen if last is None or name > last] if series is not None else chosen
        page: list[str] = []
        following = None
        for name in names:
            if len(page) == limit:
                following = _cursor_of(page[-1])
                break
            page.append(name)
        answers = [_forecast_by(route, stored, name, horizon) for name in page]
        items = [found for found, _ in answers if found is not None]
        route.note(http.scope, [arm for found, arm in answers if found is not None], items, {}, stored=True)
        return _json({"items": items, "next_cursor": following})

    @app.post(
        "/predict",
        response_model=Predictions,
        responses=_problems(400, 401, 413, 422, 503),
        tags=["what if"],
        openapi_extra=_BODY | _KEY,
        summary="Forecasts of series with the history and the plans in the request",
    )
    async def predict(http: Request, wanted: ArmWanted = "", key: RoutingKey = "") -> Response:
        request, model = await _prediction_request(http), _model(state)
        answer = partial(predictions, service_level=settings.orders.service_level)
        return _json(await by_arms(answer, http, request, model, Route(state, share, wanted, key)))

    @app.post(
        "/explain",
        response_model=Explanations,
        responses=_problems(400, 401, 413, 422, 503),
        tags=["what if"],
        openapi_extra=_BODY | _KEY,
        summary="What drives these forecasts: shares in words that add up",
    )
    async def explain(http: Request, wanted: ArmWanted = "", key: RoutingKey = "") -> Response:
        request, model = await _prediction_request(http), _model(state)
        return _json(await by_arms(explanations, http, request, model, Route(state, share, wanted, key)))

    @app.get(
        "/models",
        response_model=Models,
        responses=_problems(401),
        openapi_extra=_KEY,
        tags=["service"],
        summary="Versions of the production model",
    )
    async def models() -> Response:
        serving = state.model.version.version if state.model else None
        rows = [
            {
                "version": version.version,
                "algorithm": version.algorithm,
                "cutoff": version.cutoff.isoformat(),
                "trained_at": version.trained_at.isoformat() if version.trained_at else None,
                "serving": version.version == serving,
            }
            for version in reversed(state.versions)
        ]
        return _json({"items": rows})

    @app.get("/health/live", response_model=Health, tags=["service"], summary="Whether the process answers")
    async def live() -> Response:
        return _json({"status": "live"})

    @app.get(
        "/health/ready",
        response_model=Health,
        responses=_problems(503),
        tags=["service"],
        summary="Whether requests may come",
    )
    async def ready() -> Response:
        if state.draining:
            raise unavailable("The process is about to stop.")
        model = _model(state)
        body = {"status": "ready", "model_version": model.version.version, "source": model.source}
        return _json(body | {"lake": "up" if state.lake_up else "away"})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The metrics."}},
        tags=["service"],
        summary="Metrics for Prometheus",
    )
    async def all_metrics() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.openapi = partial(_description, app, state)  # type: ignore[method-assign]
    return app


def _model(state: State) -> Model:
    if state.model is None:
        raise unavailable("There is no production model yet.")
    return state.model


def _stored(state: State) -> Stored:
    if state.stored is None:
        raise unavailable("There are no stored forecasts yet.")
    return state.stored


def _forecast_by(route: Route, stored: Stored, series: str, horizon: int | None) -> tuple[dict[str, Any] | None, str]:
    """The stored forecasts of a series and their arm; the challenger may have none yet."""
    if route.challenger is None:
        return stored.book.forecast(series, horizon), CHAMPION
    if route.arm(series) == CHALLENGER and route.challenger.stored is not None:
        found = route.challenger.stored.book.forecast(series, horizon)
        if found is not None:
            return found | {"arm": CHALLENGER}, CHALLENGER
    found = stored.book.forecast(series, horizon)
    return (found | {"arm": CHAMPION} if found is not None else None), CHAMPION


async def _prediction_request(request: Request) -> PredictionRequest:
    """The body of a request, read by pydantic itself: FastAPI's way takes several times as long.

    Raises:
        ProblemError: It is not what the service takes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise invalid("content-type", "application/json is needed")
    try:
        return PredictionRequest.model_validate_json(await request.body())
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False, include_input=False)) from None


def _json(body: Any) -> Response:
    # Three times as quick as `json`; there are no numbers in it that JSON lacks.
    return Response(to_json(body, inf_nan_mode="constants"), media_type="application/json")


def _cursor_of(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _series_of(cursor: str) -> str:
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise invalid("cursor", "not a cursor of a page") from None


def _handle_errors(app: FastAPI) -> None:
    """All errors in one form."""

    def answer(request: Request, error: ProblemError) -> Response:
        request.scope["problem"] = error.kind
        return problem_response(error, request_id_of(request))

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, from_validation([{**entry, "loc": entry["loc"][1:]} for entry in error.errors()]))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return answer(request, error.problem if isinstance(error, TooLargeError) else from_http(error))

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> Response:
        LOG.error("unexpected error", exc_info=error, extra={"fields": {"request_id": request_id_of(request)}})
        return answer(request, ProblemError(500, "internal", "The service failed; its log has the request id."))


def _description(app: FastAPI, state: State) -> dict[str, Any]:
    """The OpenAPI page, with examples that the present model and forecasts can answer."""
    page = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = page["components"]["schemas"]
    page["components"]["securitySchemes"] = {"APIKeyHeader": _KEY_SCHEME}
    for model in (Problem, PredictionRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if state.model is not None:
        bundle = state.model.bundle
        _describe_model(schemas, bundle)
        body = example_request(bundle)
        for path in ("/predict", "/explain"):
            page["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"] = body
    if state.stored is not None and state.stored.book.names:
        (series, *_) = page["paths"]["/forecasts/{series}"]["get"]["parameters"]
        series["example"] = state.stored.book.names[0]
    return page


def _describe_model(schemas: dict[str, Any], bundle: Bundle) -> None:
    """Keys, planned values and horizon of a model in the schemas of requests."""

    def named(kinds: dict[str, list[str]], required: tuple[str, ...] = ()) -> dict[str, Any]:
        parts = {name: {"type": kind} for name, kind in kinds.items()}
        return {"type": "object", "properties": parts, "required": list(required), "additionalProperties": False}

    required, further = series_keys(bundle)
    keys = schemas["SeriesInput"]["properties"]["keys"]
    keys |= named({key: ["string"] for key in (*required, *further)}, required)
    kinds = {key: ["number", "boolean", "null"] for key in bundle.features.numbers}
    kinds |= {key: ["string", "null"] for key in bundle.features.texts}
    for step in ("PastStep", "FutureStep"):
        schemas[step]["properties"]["planned"] |= named(kinds)
    horizon = {"type": ["integer", "null"], "minimum": 1, "maximum": bundle.horizon}
    properties = schemas["PredictionRequest"]["properties"]
    properties["horizon"] = {"description": properties["horizon"]["description"], **horizon}


def _drain_on_sigterm(state: State, seconds: float) -> None:
    """Keeps answering for some seconds after SIGTERM, not ready and without keeping connections, then stops.

    A load balancer and callers with open connections thus go elsewhere before the port is closed.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # inside a test, which stops by itself
    stop, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()
    if not callable(stop):
        return

    def drain(number: int, frame: Any) -> None:
        if state.draining:
            stop(number, frame)
            return
        state.draining = True
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, frame)

    signal.signal(signal.SIGTERM, drain)
