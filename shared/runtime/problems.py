"""Whatever is refused over HTTP is answered with problem details (RFC 9457) that name the rule and the field."""

from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.runtime.commands import Busy, CommandFailed
from shared.runtime.messages import Refused
from shared.runtime.store import Unavailable
from shared.runtime.telemetry import places
from shared.runtime.wording import place_of, rule_of, told

log = structlog.get_logger(__name__)

AGAIN = "Idempotent-Replay"
"""The header that says that this was answered before, and changed nothing."""
LARGEST_BODY = 1024 * 1024
"""Bytes; far above an order of 1,000 lines."""
LARGEST_READ = 32 * LARGEST_BODY
"""Bytes that are read, and forgotten, before a body is answered: most clients look for an answer only when all is sent."""


def problem(status: int, code: str, detail: str, *, field: str | None = None, **more: Any) -> JSONResponse:
    """A problem document."""
    body = {
        "type": f"/problems/{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if field is not None:
        body["field"] = field
    headers = (
        {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "2"} if status == 503 else None
    )
    return JSONResponse(body | more, status, headers, media_type="application/problem+json")


def _not_json() -> JSONResponse:
    return problem(400, "not_json", "the body is not valid JSON, or nested too deeply", field="body")


def _field(error: Any, body: Any) -> str:
    """Where it is wrong. What is one of several kinds of thing is placed under its kind, which is no name in the body."""
    where, *place = error["loc"]
    if error["type"].startswith("union_tag_"):
        place.append(error["ctx"]["discriminator"].strip("'"))
    elif where == "body" and len(place) > 1 and isinstance(body, dict) and place[0] not in body:
        del place[0]
    return place_of(place) or "body"


def _ours(request: Request, error: Exception) -> JSONResponse:
    """A bug of ours: the answer and the log carry one number, and neither says whom it was about (X4)."""
    number = uuid4().hex[:12]
    cause = error.__cause__ or error
    log.error(
        "request failed",
        incident=number,
        path=_route(request),
        error=type(cause).__name__,
        where=places(cause),
    )
    detail = f"this is our fault; nothing was changed. Quote incident {number}"
    return problem(500, "internal", detail, incident=number)


def _route(request: Request) -> str:
    """The path as declared: the one asked for may hold what must not be logged."""
    return str(getattr(request.scope.get("route"), "path", "unknown"))


def install(app: FastAPI) -> None:
    """Answer every failure of the app with a problem document."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        response = problem(error.status, error.code, error.detail, field=error.field)
        if error.again:
            response.headers[AGAIN] = "true"
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if any(e["type"] == "json_invalid" for e in error.errors()):
            return _not_json()
        if isinstance(error.body, bytes):  # FastAPI reads as JSON what is called so
            detail = "body: send it as JSON, with the header `content-type: application/json`"
            return problem(422, "invalid", detail, field="body")
        found = [{"field": _field(e, error.body), "rule": rule_of(e)} for e in told(error.errors())]
        detail = "; ".join(f"{e['field']}: {e['rule']}" for e in found[:5])
        return problem(422, "invalid", detail, field=found[0]["field"], errors=found[:50])

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        # FastAPI's word for what its parser gave up on: too deep, a number too long
        if error.status_code == 400:
            return _not_json()
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        response = problem(error.status_code, code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Busy)
    async def busy(request: Request, error: Busy) -> JSONResponse:
        return problem(503, "busy", f"{error}; try again shortly")

    @app.exception_handler(Unavailable)
    async def unavailable(request: Request, error: Unavailable) -> JSONResponse:
        return problem(503, "unavailable", "the service cannot reach its database; try again shortly")

    @app.exception_handler(CommandFailed)
    async def command_failed(request: Request, error: CommandFailed) -> JSONResponse:
        return _ours(request, error)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return _ours(request, error)

    app.add_middleware(BodyLimit)


class BodyLimit:
    """Refuses a body above the limit, also when its length was not announced."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read at most the limit before the app sees anything."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        chunks, size, more = [], 0, True
        while more and size <= LARGEST_READ:
            message = await receive()
            if message["type"] != "http.request":
                return
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > LARGEST_BODY:
                chunks.clear()
            more = message.get("more_body", False)
        if size > LARGEST_BODY:
            detail = f"the body is larger than {LARGEST_BODY} bytes"
            await problem(413, "too_large", detail, field="body")(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": b"".join(chunks), "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replay, send)
