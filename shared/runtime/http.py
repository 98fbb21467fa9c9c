"""The HTTP root of a service: health, metrics, the inbox endpoint, ops, and the routers that the service adds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from shared.runtime import problems
from shared.runtime.access import Anyone
from shared.runtime.commands import answer_of
from shared.runtime.inbox import outside
from shared.runtime.messages import Refused
from shared.runtime.ops import ops

if TYPE_CHECKING:
    from shared.runtime.running import Runtime


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    errors: list[dict[str, str]] | None = None
    """Each field that is wrong and its rule, where several may be."""
    incident: str | None = None
    """With a 500: the number that the log has."""


_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
_REFUSALS = {
    400: "Not JSON",
    401: "No valid token",
    403: "Role too low",
    404: "Unknown",
    409: "Refused by a rule",
    413: "Body too large",
    422: "Not as described here",
    500: "Our fault; carries the number that the log has",
    503: "Try again shortly",
}

_KEY = {
    "in": "header", "name": "Idempotency-Key", "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "A request with the same key is done once: a retry gets the first answer, and Idempotent-Replay: true",
}  # fmt: skip
"""What commands may be asked with."""
_WITHOUT_KEY = ("/v1/events", "/ops/parked/{key}/retry")
"""An event has its id, and trying again is no command of its own."""
_ATTRIBUTES = {"specversion": "1.0, also where it is left out"} | dict.fromkeys(
    ("id", "source", "type"), "needed in binary mode"
)
"""What a CloudEvent is told apart by, and when it is needed as a header."""
_EVENT = {
    "parameters": [
        {"in": "header", "name": f"ce-{name}", "required": False, "schema": {"type": "string"},
         "description": f"CloudEvents {name}; {when}"} for name, when in _ATTRIBUTES.items()
    ],
    "requestBody": {"required": True, "content": {
        "application/json": {"schema": {"type": "object", "description": "Binary mode: the data of the event"}},
        "application/cloudevents+json": {"schema": {
            "type": "object", "required": ["id", "source", "type", "data"],
            "properties": {name: {"type": "string"} for name in _ATTRIBUTES}
            | {"data": {"type": "object"}}}},
    }},
}  # fmt: skip
"""What FastAPI cannot see: the endpoint reads the raw request."""


class Readiness(BaseModel):
    """Whether the service can work: `ok`, or what is wrong, for each of its parts."""

    ready: bool
    checks: dict[str, str]


class Accepted(BaseModel):
    """What became of an inbox event, and what its sender should know."""

    status: str
    answer: Any = None


def create_app(
    runtime: "Runtime", routers: Sequence[APIRouter], *, title: str, lifespan: Any = None
) -> FastAPI:
    """The FastAPI app of a service."""
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {"application/problem+json": {"schema": _PROBLEM}}}
        for status, text in _REFUSALS.items()
    }
    app = FastAPI(
        title=title, version="1", lifespan=lifespan, docs_url=None, redoc_url=None, responses=refusals
    )
    document = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = document()
            schemas = described.setdefault("components", {}).setdefault("schemas", {})
            schemas.setdefault("ProblemDocument", ProblemDocument.model_json_schema())
            for path, methods in described["paths"].items():
                for command in () if path in _WITHOUT_KEY else methods.keys() & {"post", "put"}:
                    methods[command].setdefault("parameters", []).append(_KEY)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
    app.state.runtime = runtime
    problems.install(app)
    app.include_router(_health(runtime))
    if runtime.service.inboxes:
        app.include_router(_inbox(runtime))
    app.include_router(ops(runtime))
    for router in routers:
        app.include_router(router)
    return app


def _health(runtime: "Runtime") -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/", include_in_schema=False)
    async def signpost() -> dict[str, str]:
        return {"service": runtime.service.name, "described_in": "/openapi.json", "well": "/health/ready"}

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @router.get(
        "/health/ready",
        response_model=Readiness,
        responses={503: {"description": "Not ready", "model": Readiness}},
    )
    async def ready() -> JSONResponse:
        """Database reachable, Kafka read, relay alive, timers looked at; a sentence for each that is not."""
        checks = await runtime.readiness()
        well = all(reason is None for reason in checks.values())
        return JSONResponse(
            {"ready": well, "checks": {k: v or "ok" for k, v in checks.items()}}, 200 if well else 503
        )

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(runtime.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _inbox(runtime: "Runtime") -> APIRouter:
    router = APIRouter(tags=["inbox"])
    inboxes = runtime.service.inboxes

    @router.post("/v1/events", response_model=Accepted, openapi_extra=_EVENT)
    async def put_event(request: Request, asked: Anyone) -> Any:
        """Hand in one CloudEvent of this service's inboxes, the same as over Kafka: binary mode (`ce-…` headers, JSON
        data) or structured mode (`application/cloudevents+json`). A retry with the same id gets the first answer."""
        body = await request.body()
        if request.headers.get("content-type", "").lower().startswith("application/cloudevents+json"):
            headers, body = _structured(body)
        else:  # percent-encoded over HTTP, plain UTF-8 over Kafka: decoded, so that one id is one id
            headers = {
                name: unquote(value) for name, value in request.headers.items() if name.startswith("ce-")
            }
        if asked.trace is not None:
            headers["traceparent"] = asked.trace
        incoming = outside(headers, body, asked.actor, inboxes=inboxes)
        outcome = await runtime.commands.put(incoming)
        return Accepted(status=outcome.status.value, answer=answer_of(outcome))

    return router


def _structured(body: bytes) -> tuple[dict[str, str], bytes]:
    try:
        event = orjson.loads(body)
    except ValueError:
        raise Refused("not_json", "the body is not valid JSON", field="body", status=400) from None
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        raise Refused(
            "malformed",
            "a structured CloudEvent is an object with `data` an object",
            field="data",
            status=422,
        )
    for name in _ATTRIBUTES:
        if not isinstance(event.get(name, ""), str):
            raise Refused("malformed", f"the CloudEvents attribute {name} is text", field=name, status=422)
    headers = {f"ce-{name}": value for name, value in event.items() if isinstance(value, str)}
    try:
        return headers, orjson.dumps(event["data"])
    except TypeError:
        raise Refused("invalid", "the data is nested too deeply", field="data", status=422) from None
