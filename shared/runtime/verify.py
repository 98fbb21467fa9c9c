"""Verification of an event log: every stream numbered without gaps, every link computed anew (O12)."""

import random
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


async def verify_some(pool: Pool, most: int = 10_000) -> tuple[Verdict, int]:
    """A quick look at a log of any size: its newest events and as many others at random, each with its link to the one before
    it and, where it is its stream's last, with the stream's head. Also returns how many events the log has, about.

    A log of at most `most` events is verified whole. What was changed long ago in a large one, only `verify` finds for sure.
    """
    last: int = await pool.fetchval("SELECT coalesce(max(position), 0) FROM event_log")
    if last <= most:
        verdict = await verify(pool)
        return verdict, verdict.events
    newest = list(range(last - most // 2 + 1, last + 1))
    others = random.sample(range(1, newest[0]), most // 2)
    records = await pool.fetch(_SOME, newest + others)
    verdict = Verdict(len(records), len({r["stream"] for r in records}), [])
    for r in records:
        before, previous = r["sequence_before"], r["hash_before"] or GENESIS
        why = _wrong(dict(r), before, previous)
        if why is None and r["is_last"] and (r["sequence"], r["hash"]) != (r["head"], r["head_hash"]):
            why = "stream_heads does not have it as the last event"
        if why is not None:
            verdict.breaks.append(Break(r["stream"], r["sequence"], why))
    return verdict, last


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
_SOME = """
SELECT l.*, p.personal, p.salt, coalesce(b.sequence, greatest(l.sequence - 2, 0)) AS sequence_before, b.hash AS hash_before,
       NOT EXISTS (SELECT 1 FROM event_log n WHERE n.stream = l.stream AND n.sequence > l.sequence) AS is_last,
       h.sequence AS head, h.hash AS head_hash
FROM event_log l LEFT JOIN event_personal p ON p.stream = l.stream AND p.sequence = l.sequence
LEFT JOIN event_log b ON b.stream = l.stream AND b.sequence = l.sequence - 1
LEFT JOIN stream_heads h ON h.stream = l.stream
WHERE l.position = ANY($1::bigint[]) ORDER BY l.stream, l.sequence
"""
_HEADS = (
    "SELECT stream, sequence, hash FROM stream_heads WHERE $1::text IS NULL OR stream = $1 ORDER BY stream"
)
