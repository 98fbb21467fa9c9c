"""Asks a running service and its database how they are. Nothing here judges, and nothing that is away is an error."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import asyncpg
import httpx

from deploy.access import failure_of
from shared.runtime.postgres import UNAVAILABLE, Pool, make_pool
from shared.runtime.verify import Break, verify, verify_some

ANSWER = 8.0
"""Seconds that a service has for an answer: it gives its own database and broker 3 each."""
WATCH = 10.0
"""Seconds that a backlog is watched to see whether it moves."""
NEWEST = 5000
"""Events of each publisher that are looked for at its consumers."""
NOT_CHECKED = "not checked"


@dataclass(slots=True)
class Look:
    """One service as it was found. What could not be asked is None."""

    service: str
    url: str
    silent: str | None = None
    """Why it did not answer: `refused`, `timeout`, `something else`, `something before it`, or an error's name."""
    refused: str | None = None
    """Why it answers, but not to us."""
    refused_as: str | None = None
    """The code of that."""
    checks: dict[str, str] = field(default_factory=dict)
    """What /health/ready says, part by part."""
    progress: dict[str, Any] | None = None
    lag: dict[str, int] | None = None
    stands: frozenset[str] = frozenset()
    """What of `outbox`, `lag` and `timers` neither became less nor was replaced by something later while we watched."""
    clock_off: float = 0.0
    """Seconds that its clock is ahead of ours."""
    host_off: float = 0.0
    """Seconds that the clock of its host is, by which tokens end."""
    failed: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    channels: list[dict[str, Any]] = field(default_factory=list)
    """Of notify: what could not be sent."""
    database: str | None = None
    """Why its database could not be asked by us."""
    chain: str = NOT_CHECKED
    """What of the chain was checked, in words."""
    breaks: list[Break] = field(default_factory=list)
    protected: bool = True
    """Whether its database refuses to change the log."""
    newest: dict[str, int] = field(default_factory=dict)
    """Of the streams that it said something about lately: the last sequence."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """By publisher: streams whose newest event neither was applied nor waits anywhere."""
    ahead: dict[str, list[str]] = field(default_factory=dict)
    """By publisher: streams of which events were applied here that its log does not have."""

    @property
    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return bool(self.checks) and all(state == "ok" for state in self.checks.values())

    @property
    def database_answers(self) -> bool:
        """Whether its database answered us."""
        return self.chain != NOT_CHECKED and self.database is None


async def ask(look: Look, token: str) -> None:
    """Fill in what the service itself says."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=look.url, headers=headers, timeout=ANSWER) as http:
        try:
            asked = datetime.now(UTC)
            answer = await http.get("/health/ready")
            look.checks, look.host_off = answer.json()["checks"], _host_off(answer, asked)
        except httpx.TimeoutException:
            look.silent = "timeout"
        except httpx.ConnectError:
            look.silent = "refused"
        except httpx.TransportError as error:
            look.silent = "refused" if _hung_up(error) else type(error).__name__
        except (ValueError, KeyError, TypeError):
            look.silent = "something else"
        if look.silent is None:
            look.progress = await _progress(http, look)
        if look.progress is not None and look.progress["service"] != look.service:
            look.silent, look.progress, look.checks = "something else", None, {}
        if look.silent is None:
            look.lag = await _get(http, look, "/ops/lag")
            look.failed = await _get(http, look, "/ops/parked?state=failed&limit=1000") or []
            look.gaps = await _get(http, look, "/ops/parked?state=gap&limit=1000") or []
            if look.service == "notify":
                look.channels = await _get(http, look, "/v1/channels") or []
            if look.ready:  # else what waits is explained
                await _watch(http, look)


def _hung_up(error: httpx.TransportError) -> bool:
    """Whether the connection was closed before an answer began, as when the service ends while it is asked, or a proxy of
    its port has nobody behind it."""
    return isinstance(error, httpx.ReadError | httpx.WriteError) or str(error).startswith(
        "Server disconnected"
    )


async def _get(http: httpx.AsyncClient, look: Look, path: str) -> Any:
    """What it answers; None when it does not, whose cause /health/ready has said."""
    try:
        answer = await http.get(path)
    except httpx.TransportError:
        return None
    try:
        if answer.status_code in (401, 403):
            look.refused, look.refused_as = answer.json()["detail"], answer.json()["code"]
        return answer.json() if answer.is_success else None
    except (ValueError, KeyError, TypeError):  # a proxy before it, which has its own words
        look.silent = "something before it"
        return None


def _host_off(answer: httpx.Response, asked: datetime) -> float:
    """How far ahead of ours the clock is that dates its answers, to a second or two."""
    try:
        return _ahead(parsedate_to_datetime(answer.headers["date"]), asked)
    except (KeyError, ValueError, TypeError):  # a proxy left it out, or dates it otherwise
        return 0.0


def _ahead(clock: datetime, asked: datetime) -> float:
    between = asked + (datetime.now(UTC) - asked) / 2
    return (clock - between).total_seconds()


async def _progress(http: httpx.AsyncClient, look: Look) -> dict[str, Any] | None:
    asked = datetime.now(UTC)
    progress: dict[str, Any] | None = await _get(http, look, "/ops/progress")
    if progress and not progress["clock_driven"]:
        look.clock_off = _ahead(datetime.fromisoformat(progress["clock"]), asked)
    return progress


async def _watch(http: httpx.AsyncClient, look: Look) -> None:
    """Look again until what waits has moved, or long enough to say that it does not."""
    give_up = asyncio.get_running_loop().time() + WATCH
    before, waited = look.progress, dict(look.lag or {})
    while before and _waits(before, look.lag):
        await asyncio.sleep(0.5)
        now, look.lag = await _progress(http, look), await _get(http, look, "/ops/lag")
        if now is None:
            return
        look.progress = now
        look.stands = _standing(before, waited, now, look.lag or {})
        if not look.stands or asyncio.get_running_loop().time() > give_up:
            return


def _waits(progress: dict[str, Any], lag: dict[str, int] | None) -> bool:
    return bool(progress["outbox"] or progress["timers_due"] or sum((lag or {}).values()))


def _standing(
    before: dict[str, Any], waited: dict[str, int], now: dict[str, Any], waits: dict[str, int]
) -> frozenset[str]:
    moves = {
        "outbox": not now["outbox"] or now["outbox_next"] != before["outbox_next"],
        "lag": all(_read(topic, before, waited, now, n) for topic, n in waits.items() if n),
        "timers": not now["timers_due"] or now["timers_oldest_seconds"] < before["timers_oldest_seconds"],
    }
    return frozenset(what for what, moved in moves.items() if not moved)


def _read(
    topic: str, before: dict[str, Any], waited: dict[str, int], now: dict[str, Any], waits: int
) -> bool:
    """Whether what waits of a topic becomes less, by whichever replica, or some of it was applied by this one."""
    mine = [place for place in now["applied"] if place.rpartition("/")[0] == topic]
    return waits < waited.get(topic, 0) or any(now["applied"][p] != before["applied"].get(p) for p in mine)


async def ask_database(look: Look, url: str, deep: bool) -> None:
    """Check the chain of its event log and note what it said last."""
    try:
        async with make_pool(url, size=1, statement_timeout_ms=3_600_000 if deep else 10_000) as pool:
            if deep:
                verdict = await verify(pool)
                look.chain = f"all {verdict.events} events"
            else:
                verdict, total = await verify_some(pool)
                whole = verdict.events == total
                look.chain = f"all {total} events" if whole else f"{verdict.events} of about {total} events"
            look.breaks = verdict.breaks
            look.protected = await pool.fetchval(_PROTECTED)
            rows = await pool.fetch(_NEWEST, None if deep else NEWEST)
            look.newest = {r["stream"]: r["sequence"] for r in rows}
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        look.database = failure_of(error)


async def compare(look: Look, urls: Mapping[str, str], publishers: list[Look]) -> None:
    """Find streams whose newest event neither was applied here nor waits anywhere: lost with its topic, for example. And those
    of which we applied what their publisher does not know: its database is an older one.

    The first only where nothing is on its way: what was said before must then have been applied.
    """
    settled = [
        p
        for p in publishers
        if p.newest
        and look.progress and p.service in look.progress["topics"] and (look.lag or {}).get(p.service) == 0
        and p.progress and p.progress["outbox"] == 0
    ]  # fmt: skip
    try:
        async with make_pool(urls[look.service], size=1) as pool:
            for publisher in settled:
                if streams := await _missing(pool, publisher):
                    look.missing[publisher.service] = streams
            for publisher in publishers:
                if publisher.newest and (streams := await _ahead_of(pool, urls, publisher)):
                    look.ahead[publisher.service] = streams
    except (*UNAVAILABLE, asyncpg.PostgresError):
        return  # said already


async def _missing(pool: Pool, publisher: Look) -> list[str]:
    streams, ends = list(publisher.newest), list(publisher.newest.values())
    rows = await pool.fetch(_UNAPPLIED, publisher.service, streams, ends)
    return [r["stream"] for r in rows]


async def _ahead_of(pool: Pool, urls: Mapping[str, str], publisher: Look) -> list[str]:
    streams = list(publisher.newest)
    applied = {r["stream"]: r["sequence"] for r in await pool.fetch(_APPLIED, publisher.service, streams)}
    async with make_pool(
        urls[publisher.service], size=1
    ) as own:  # asked last: what was applied by then was said by now
        said = {r["stream"]: r["sequence"] for r in await own.fetch(_SAID, streams)}
    return sorted(stream for stream, sequence in applied.items() if sequence > said.get(stream, 0))


_PROTECTED = """
SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = 'event_log'::regclass AND tgname = 'append_only' AND tgenabled = 'A')
"""
_NEWEST = """
SELECT stream, max(sequence) AS sequence FROM (SELECT stream, sequence FROM event_log ORDER BY position DESC LIMIT $1) newest
GROUP BY stream
"""
_APPLIED = """
SELECT said.stream, c.sequence FROM unnest($2::text[]) AS said(stream) JOIN cursors c ON c.lane = $1 || '|' || said.stream
"""
_SAID = "SELECT stream, sequence FROM stream_heads WHERE stream = ANY($1)"
_UNAPPLIED = """
SELECT said.stream FROM unnest($2::text[], $3::bigint[]) AS said(stream, sequence)
LEFT JOIN cursors c ON c.lane = $1 || '|' || said.stream
WHERE coalesce(c.sequence, 0) < said.sequence
  AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.queue = $1 || '|' || said.stream)
ORDER BY 1
"""
