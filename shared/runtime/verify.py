"""Verification of an event log: every stream numbered without gaps, every link computed anew (O12)."""

import random
from dataclasses import dataclass

from asyncpg import Record

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
    """Walk the log (or one stream of it) in order and compute every hash again; also of personal data that is still there.
    A long log takes no more memory than a short one."""
    verdict = Verdict(0, 0, [])
    name, before, previous, whole = None, 0, GENESIS, True
    async with (
        pool.acquire() as connection,
        connection.transaction(readonly=True, isolation="repeatable_read"),
    ):
        async for r in connection.cursor(_LOG, stream):
            if r["stream"] != name:
                name, before, previous, whole = r["stream"], 0, GENESIS, True
                verdict.streams += 1
            verdict.events += 1
            if whole and (found := _break(r, before, previous)):
                verdict.breaks.append(found)
                whole = False
            before, previous = r["sequence"], r["hash"]
        async for r in connection.cursor(_HEADS_ALONE, stream):
            verdict.breaks.append(Break(r["stream"], 1, f"the log ends before event {r['sequence']}"))
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
        if found := _break(r, r["sequence_before"], r["hash_before"] or GENESIS):
            verdict.breaks.append(found)
    return verdict, last


def _break(record: Record, before: int, previous: bytes) -> Break | None:
    stream, sequence = record["stream"], record["sequence"]
    why = _wrong(record, before, previous)
    if (
        why is None
        and record["is_last"]
        and (sequence, record["hash"]) != (record["head"], record["head_hash"])
    ):
        if (record["head"] or 0) > sequence:
            return Break(stream, sequence + 1, f"the log ends before event {record['head']}")
        why = "stream_heads does not have it as the last event"
    return Break(stream, sequence, why) if why else None


def _wrong(record: Record, before: int, previous: bytes) -> str | None:
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
SELECT l.*, p.personal, p.salt, lead(l.sequence) OVER (PARTITION BY l.stream ORDER BY l.sequence) IS NULL AS is_last,
       h.sequence AS head, h.hash AS head_hash
FROM event_log l LEFT JOIN event_personal p ON p.stream = l.stream AND p.sequence = l.sequence
LEFT JOIN stream_heads h ON h.stream = l.stream
WHERE $1::text IS NULL OR l.stream = $1 ORDER BY l.stream, l.sequence
"""
_HEADS_ALONE = """
SELECT stream, sequence FROM stream_heads h WHERE ($1::text IS NULL OR stream = $1)
AND NOT EXISTS (SELECT 1 FROM event_log l WHERE l.stream = h.stream)
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
