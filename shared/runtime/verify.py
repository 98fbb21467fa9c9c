"""Verification of an event log: every stream numbered without gaps, every link computed anew (O12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.runtime.chain import GENESIS, link, personal_digest
from shared.runtime.postgres import Pool


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a stream is not as it was written."""

    stream: str
    sequence: int
    why: str


@dataclass(slots=True)
class Verdict:
    """What was read, and the first break of each stream that has one."""

    events: int
    streams: int
    breaks: list[Break]


async def verify(pool: Pool, stream: str | None = None) -> Verdict:
    """Walk the log (or one stream of it) in order and compute every hash again; also of personal data that is still there."""
    verdict = Verdict(0, 0, [])
    heads: dict[str, tuple[int, bytes]] = {}
    broken: set[str] = set()
    async with (
        pool.acquire() as connection,
        connection.transaction(readonly=True, isolation="repeatable_read"),
    ):
        async for r in connection.cursor(_LOG, stream):
            name, sequence = r["stream"], r["sequence"]
            before, previous = heads.get(name, (0, GENESIS))
            verdict.events += 1
            heads[name] = (sequence, r["hash"])
            if name not in broken and (why := _wrong(dict(r), before, previous)):
                verdict.breaks.append(Break(name, sequence, why))
                broken.add(name)
        numbered = {r["stream"]: (r["sequence"], r["hash"]) for r in await connection.fetch(_HEADS, stream)}
    for name in sorted(heads.keys() | numbered.keys()):
        end, head = heads.get(name, (0, GENESIS)), numbered.get(name, (0, GENESIS))
        if name not in broken and end != head:
            why = (
                f"the log ends before event {head[0]}"
                if end[0] < head[0]
                else "stream_heads does not have it as the last event"
            )
            verdict.breaks.append(Break(name, min(end[0] + 1, max(head[0], end[0])), why))
    verdict.streams = len(heads)
    return verdict


def _wrong(record: Mapping[str, Any], before: int, previous: bytes) -> str | None:
    if record["sequence"] != before + 1:
        return f"event {before + 1} is missing"
    if record["previous"] != previous:
        return "it does not link to the event before it"
    computed = link(
        previous,
        stream=record["stream"],
        sequence=record["sequence"],
        type=record["type"],
        time=record["time"],
        actor=f"{record['actor_kind']}:{record['actor_name']}",
        causation_id=record["causation_id"],
        data=record["data"],
        personal_digest=record["personal_digest"],
    )
    if computed != record["hash"]:
        return "its content is not what was written"
    personal = record["personal"]
    if personal is not None and personal_digest(record["salt"], personal) != record["personal_digest"]:
        return "its personal part is not what was written"
    return None


_LOG = """
SELECT l.*, p.personal, p.salt FROM event_log l LEFT JOIN event_personal p USING (stream, sequence)
WHERE $1::text IS NULL OR l.stream = $1 ORDER BY l.stream, l.sequence
"""
_HEADS = (
    "SELECT stream, sequence, hash FROM stream_heads WHERE $1::text IS NULL OR stream = $1 ORDER BY stream"
)
