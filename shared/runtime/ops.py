"""What ops ask of a service over HTTP: how far it is, and what is parked (X2, X6)."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator

from shared.runtime.access import Administrator, Anyone, Because
from shared.runtime.bookkeeping import Parked, ParkedState
from shared.runtime.messages import Refused, Status
from shared.runtime.parking import STAYS, MendParked, SkipParked
from shared.runtime.postgres import UNAVAILABLE
from shared.runtime.store import Unavailable

if TYPE_CHECKING:
    from shared.runtime.running import Runtime


def _writable(body: dict[str, Any]) -> dict[str, Any]:
    """What was read as JSON may still hold what cannot be written as JSON. Raises ValueError."""
    try:
        json.dumps(body, allow_nan=False)
        orjson.dumps(body)
    except (ValueError, TypeError, RecursionError):
        detail = "it holds NaN, a number beyond 64 bits or half a letter, or is nested too deeply"
        raise ValueError(detail) from None
    return body


class Mending(Because):
    """The corrected body of a parked message."""

    body: Annotated[dict[str, Any], AfterValidator(_writable)]


async def _database() -> AsyncIterator[None]:
    """Ops look when things are wrong: a database that is away is said, and is no bug of ours."""
    try:
        yield
    except UNAVAILABLE as away:
        raise Unavailable(type(away).__name__) from away


def ops(runtime: "Runtime") -> APIRouter:
    """The endpoints below `/ops`."""
    router = APIRouter(prefix="/ops", tags=["ops"], dependencies=[Depends(_database)])

    async def known(key: str) -> Parked:
        row = await runtime.parking.show(_key_of(key))
        if row is None:
            raise Refused("not_parked", "no message is parked under this key; list them again", status=404)
        return row

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
        """Messages set aside, those first that others wait for, without their bodies."""
        rows = await runtime.parking.list_(state, limit)
        names = ("lane", "state", "parked_at", "type", "stream", "sequence", "reason", "tries", "note")
        return [{"key": _key_text(r.parked_key)} | {n: getattr(r, n) for n in names} for r in rows]

    @router.get("/parked/{key}")
    async def show(key: str, asked: Administrator) -> dict[str, Any]:
        """One parked message whole: headers, body, traceback. Holds personal data where the message does."""
        row = await known(key)
        readable = asdict(row) | {
            "body": base64.b64decode(row.body).decode(errors="replace"),
            "original": base64.b64decode(row.original).decode(errors="replace"),
            "headers": {k: base64.b64decode(v).decode(errors="replace") for k, v in row.headers
                        if k.lower() != "authorization"},
        }  # fmt: skip
        return {"key_text": key} | readable

    @router.post("/parked/{key}/retry")
    async def retry(key: str, asked: Administrator) -> dict[str, Any]:
        """Try the lane of this message again, in order, until one fails. A message that a rule forbids is refused, as it would
        have been when it came: its sender is told."""
        row = await known(key)
        if not row.queue:
            raise Refused(
                "not_parked", f"this message is not parked any more: it was {row.state}", status=404
            )
        outcomes = await runtime.parking.retry(row.lane)
        left = sum(o.status in STAYS for o in outcomes)
        first = next(iter(await runtime.parking.waiting(row.lane, 1)), None) if left else None
        refused = [o.refusal for o in outcomes if o.status is Status.REFUSED and o.refusal is not None]
        return {
            "done": len(outcomes) - left - len(refused),
            "refused": [{"code": r.code, "detail": r.detail} for r in refused],
            "still_parked": left,
            "waits_for": first and {"type": first.type, "reason": first.reason},
        }

    @router.post("/parked/{key}/skip")
    async def skip(key: str, body: Because, asked: Administrator) -> Any:
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
