"""The HTTP root of a service: health, metrics, the inbox endpoint, ops, and the routers that the service adds."""

import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel

from shared.runtime import problems
from shared.runtime.bookkeeping import ParkedState
from shared.runtime.commands import answer_of
from shared.runtime.inbox import outside
from shared.runtime.messages import Command, Refused, Status
from shared.runtime.parking import MendParked, Reason, SkipParked
from shared.runtime.postgres import UNAVAILABLE
from shared.runtime.store import Unavailable
from shared.runtime.telemetry import traceparent
from shared.values import Actor, ActorKind, Role

if TYPE_CHECKING:
    from shared.runtime.running import Runtime

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_bearer = HTTPBearer(auto_error=False, description="A token made by `handover token create`.")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and under which idempotency key. `trace` is a W3C traceparent, made here when none came."""

    runtime: "Runtime"
    actor: Actor
    key: str | None
    trace: str
    response: Response

    async def do(self, command: Command) -> Any:
        """Take a command through a turn; its answer, or a problem. A repeated answer says so in a header."""
        outcome = await self.runtime.commands.tell(command, self.actor, key=self.key, trace=self.trace)
        if outcome.status is Status.DUPLICATE:
            self.response.headers["Idempotent-Replay"] = "true"
        return answer_of(outcome)


def allow(
    role: Role = Role.ORDINARY, *, kinds: set[ActorKind] | None = None
) -> Callable[..., Awaitable[Asked]]:
    """A dependency that lets in whoever holds the role or a higher one; 401 without a token, 403 with too little."""

    async def asked(request: Request, response: Response, _: Annotated[Any, Depends(_bearer)]) -> Asked:
        runtime: Runtime = request.app.state.runtime
        actor = runtime.tokens.actor_of_headers(request.headers)
        if not actor.role.includes(role):
            raise Refused(
                "role_too_low", f"this needs the role {role.value}; yours is {actor.role.value}", status=403
            )
        if kinds and actor.kind not in kinds:
            who = " or ".join(sorted(k.value for k in kinds))
            raise Refused(
                "wrong_kind", f"this is for {who} tokens; yours is of a {actor.kind.value}", status=403
            )
        key = request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            detail = "an Idempotency-Key has 1 to 200 visible ASCII characters"
            raise Refused("invalid", detail, field="idempotency-key", status=422)
        return Asked(runtime, actor, key, traceparent(request.headers.get("traceparent")), response)

    return asked


Anyone = Annotated[Asked, Depends(allow())]
BackOffice = Annotated[Asked, Depends(allow(Role.BACK_OFFICE))]
Administrator = Annotated[Asked, Depends(allow(Role.ADMINISTRATOR))]


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None


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

_EVENT = {
    "parameters": [
        {"in": "header", "name": f"ce-{name}", "required": False, "schema": {"type": "string"},
         "description": f"CloudEvents {name}; needed in binary mode"} for name in ("specversion", "id", "source", "type")
    ],
    "requestBody": {"required": True, "content": {
        "application/json": {"schema": {"type": "object", "description": "Binary mode: the data of the event"}},
        "application/cloudevents+json": {"schema": {
            "type": "object", "required": ["specversion", "id", "source", "type", "data"],
            "properties": {name: {"type": "string"} for name in ("specversion", "id", "source", "type")}
            | {"data": {"type": "object"}}}},
    }},
}  # fmt: skip
"""What FastAPI cannot see: the endpoint reads the raw request."""


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
        schemas = document().setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("ProblemDocument", ProblemDocument.model_json_schema())
        return document()

    app.openapi = openapi  # type: ignore[method-assign]
    app.state.runtime = runtime
    problems.install(app)
    app.include_router(_health(runtime))
    if runtime.service.inboxes:
        app.include_router(_inbox(runtime))
    app.include_router(_ops(runtime))
    for router in routers:
        app.include_router(router)
    return app


def _health(runtime: "Runtime") -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @router.get("/health/ready")
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
    headers = {f"ce-{name}": value for name, value in event.items() if isinstance(value, str)}
    try:
        return headers, orjson.dumps(event["data"])
    except TypeError:
        raise Refused("invalid", "the data is nested too deeply", field="data", status=422) from None


def _writable(body: dict[str, Any]) -> dict[str, Any]:
    """What was read as JSON may still hold what cannot be written as JSON. Raises ValueError."""
    try:
        json.dumps(body, allow_nan=False)
        orjson.dumps(body)
    except (ValueError, TypeError, RecursionError):
        detail = "it holds NaN, a number beyond 64 bits or half a letter, or is nested too deeply"
        raise ValueError(detail) from None
    return body


class Why(BaseModel):
    """Why ops do it; kept."""

    reason: Reason


class Mending(Why):
    """The corrected body of a parked message."""

    body: Annotated[dict[str, Any], AfterValidator(_writable)]


async def _database() -> AsyncIterator[None]:
    """Ops look when things are wrong: a database that is away is said, and is no bug of ours."""
    try:
        yield
    except UNAVAILABLE as away:
        raise Unavailable(type(away).__name__) from away


def _ops(runtime: "Runtime") -> APIRouter:
    router = APIRouter(prefix="/ops", tags=["ops"], dependencies=[Depends(_database)])

    @router.get("/progress")
    async def progress(asked: Anyone) -> dict[str, Any]:
        """How far the service is: clock, offsets applied, outbox, timers, parked."""
        return await runtime.progress()

    @router.get("/lag")
    async def lag(asked: Anyone) -> dict[str, int]:
        """By topic, the records not applied yet by any replica of this service. 503 when Kafka does not answer."""
        return await runtime.lag()

    @router.get("/parked")
    async def parked(
        asked: Administrator,
        state: ParkedState | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """Messages set aside, oldest first, without their bodies."""
        rows = await runtime.parking.list_(state, limit)
        names = ("lane", "state", "parked_at", "type", "stream", "sequence", "reason", "tries", "note")
        return [{"key": _key_text(r.parked_key)} | {n: getattr(r, n) for n in names} for r in rows]

    @router.get("/parked/{key}")
    async def show(key: str, asked: Administrator) -> dict[str, Any]:
        """One parked message whole: headers, body, traceback. Holds personal data where the message does."""
        row = await runtime.parking.show(_key_of(key))
        if row is None:
            raise Refused("not_parked", "no message is parked under this key; list them again", status=404)
        readable = asdict(row) | {
            "body": base64.b64decode(row.body).decode(errors="replace"),
            "headers": {k: base64.b64decode(v).decode(errors="replace") for k, v in row.headers
                        if k.lower() != "authorization"},
        }  # fmt: skip
        return {"key_text": key} | readable

    @router.post("/parked/{key}/retry")
    async def retry(key: str, asked: Administrator) -> dict[str, Any]:
        """Try the lane of this message again, in order, until one fails."""
        row = await runtime.parking.show(_key_of(key))
        if row is None:
            raise Refused("not_parked", "no message is parked under this key; list them again", status=404)
        outcomes = await runtime.parking.retry(row.lane)
        left = [o for o in outcomes if o.status in (Status.PARKED, Status.QUEUED)]
        return {"done": len(outcomes) - len(left), "still_parked": len(left)}

    @router.post("/parked/{key}/skip")
    async def skip(key: str, body: Why, asked: Administrator) -> Any:
        """Give the message up; those behind it go on."""
        answer = await asked.do(SkipParked(parked_key=_key_of(key), reason=body.reason))
        runtime.parking.wake()
        return answer

    @router.post("/parked/{key}/mend")
    async def mend(key: str, body: Mending, asked: Administrator) -> Any:
        """Replace the body of the message; retry it then."""
        return await asked.do(MendParked(parked_key=_key_of(key), body=body.body, reason=body.reason))

    return router


def _key_text(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def _key_of(text: str) -> str:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        key = ""
    if not key.isprintable() or not key:
        raise Refused("not_parked", "this is not the key of a parked message; list them again", status=404)
    return key
