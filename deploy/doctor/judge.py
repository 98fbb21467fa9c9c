"""What a look means and what to do about it, in one line each. Every finding names its runbook in docs/operations.md."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deploy.doctor.look import Look
from shared.runtime.running import LATE_SECONDS

DOWN = "A service is down"
HANGS = "A service hangs"
BEHIND = "A service is behind"
NOT_STARTING = "A service does not start"
POSTGRES = "PostgreSQL is away"
CUT = "Connections are cut"
SLOW = "Statements time out"
FULL = "A disk is full"
KAFKA = "Kafka is away"
TOPICS = "Topics were lost or made anew"
OUTBOX = "The outbox does not drain"
PARKED = "A message is parked"
GAP = "A stream has a gap"
CHAIN = "A chain does not verify"
CLOCK = "A clock is wrong"
TIMERS = "Timers are overdue"
CHANNEL = "Mail or a webhook is away"
KEY = "The token key is lost"
RESTORE = "A database went back"
RUNBOOKS = (DOWN, HANGS, BEHIND, NOT_STARTING, POSTGRES, CUT, SLOW, FULL, KAFKA, TOPICS, OUTBOX, PARKED, GAP, CHAIN, CLOCK,
            TIMERS, CHANNEL, KEY, RESTORE)  # fmt: skip

CLOCK_OFF = 5.0
"""Seconds between two clocks that nobody minds."""
TRIES_TO_WAIT = 6
"""Of a letter, about two and a half minutes."""
GAP_PATIENCE = timedelta(seconds=30)
"""A gap that closes by itself does so sooner."""


def unfit(look: Look) -> str | None:
    """Why it refuses our token, where that is for the token alone: the system's key signed it, and its clock is right."""
    of_the_token = look.refused_as in ("token_expired", "role_too_low")
    return look.refused if of_the_token and not _expired_by_its_clock(look) else None


def _expired_by_its_clock(look: Look) -> bool:
    return look.refused_as == "token_expired" and look.host_off > CLOCK_OFF


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not well. One that needs nobody is only said."""

    service: str
    what: str
    do: str
    runbook: str
    needs_somebody: bool = True


def judge(looks: Sequence[Look]) -> list[Finding]:
    """All that is not well; what is the same with several services is said once."""
    services: dict[_Found, list[str]] = {}
    for look in looks:
        for found in _found(look):
            services.setdefault(found, []).append(look.service)
    return [Finding(", ".join(names), *found) for found, names in services.items()]


_Found = tuple[str, str, str] | tuple[str, str, str, bool]


def _found(look: Look) -> Iterator[_Found]:
    yield from _silence(look)
    unready: dict[str, _Found] = {}
    for part, state in look.checks.items():
        if state != "ok":
            found = _unready(part, state, look.database_answers)
            unready.setdefault(found[2], found)  # one cause, said by the part that knows it best
    yield from unready.values()
    if look.progress is not None:
        yield from _backlog(look)
    yield from _parked(look)
    yield from _log(look)
    for whose, off in (("clock", look.clock_off), ("host's clock", look.host_off)):
        if abs(off) > CLOCK_OFF:
            ahead = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'}"
            yield f"its {whose} is {ahead} this machine's", "set both hosts to the same time source", CLOCK
    for channel in look.channels:
        name = channel["channel"]
        if channel["waiting"]:
            what = f"{counted(channel['waiting'], 'letter')} not sent to {name} after a failed try ({channel['last_error']})"
            do = f"bring back what {name} sends to; they are tried again by themselves"
            # where others leave, it is one recipient that is away
            yield what, do, CHANNEL, channel["away"] and channel["tries"] >= TRIES_TO_WAIT
        if channel["untaken"]:
            what = f"{counted(channel['untaken'], 'letter')} to {name} due for a while, and nobody takes them"
            yield what, "its log says what keeps them, at `sender waits`", CHANNEL
        if channel["unserved"]:
            what = f"{counted(channel['unserved'], 'letter')} for {name}, which notify's settings do not name"
            yield what, "name it there again: they wait for it, and leave then by themselves", CHANNEL
        if channel["given_up"]:
            what = f"{counted(channel['given_up'], 'letter')} to {name} given up"
            yield what, "GET /v1/messages?state=failed says why; POST /v1/messages/<id>/retry", CHANNEL, False


def _silence(look: Look) -> Iterator[_Found]:
    match look.silent:
        case None:
            pass
        case "refused":
            yield (
                f"nothing answers at {look.url}",
                "start the service; its last log lines say why it ended",
                DOWN,
            )
        case "timeout":
            yield f"it takes connections at {look.url} and does not answer", "restart the service", HANGS
        case "something else":
            yield f"what answers at {look.url} is not {look.service}", "see who listens there", DOWN
        case "something before it":
            yield (
                f"something before it answers for it at {look.url}",
                "let that pass /ops and /v1, or give the commands the service's own address",
                DOWN,
            )
        case other:
            yield f"it does not answer at {look.url} ({other})", "see its log", DOWN
    if _expired_by_its_clock(look):
        yield f"it refuses us: {look.refused}", "set its host's clock right: tokens end by it", CLOCK
    elif look.refused:
        yield (
            f"it refuses us: {look.refused}",
            "use a token of an administrator made with the system's key",
            KEY,
        )


def _unready(part: str, state: str, database_answers: bool) -> _Found:
    what = f"not ready, {part}: {state}"
    if "QueryCanceled" in state:
        return what, "find what the database waits for: pg_stat_activity, disk", SLOW
    if "no topic" in state:
        return what, "handover log republish, then handover topics", TOPICS
    if "DiskFull" in state:
        return what, "make room on the database's disk; it goes on by itself", FULL
    if "migrations" in state:
        return what, "run `handover migrate` for it", NOT_STARTING
    if ("database" in state or part == "database") and database_answers:
        return (
            what,
            "its database answers us: see the way to it from the service's host, and the password that it is told",
            CUT,
        )
    if "database" in state or part == "database":
        return what, "bring PostgreSQL back; the service goes on by itself", POSTGRES
    if "see the log" in state or part in ("timers", "loops"):
        return (
            what,
            "its log has the exception; it tries again, and goes on by itself once that is mended",
            BEHIND,
        )
    return what, "bring Kafka back; the service goes on by itself", KAFKA


def _backlog(look: Look) -> Iterator[_Found]:
    assert look.progress is not None
    outbox, age = look.progress["outbox"], look.progress["outbox_oldest_seconds"]
    behind = {topic: n for topic, n in (look.lag or {}).items() if n}
    if look.lag is None and look.ready:
        yield "Kafka does not say how much is not applied", "see whether each partition has a leader", KAFKA
    if outbox:
        what = f"{counted(outbox, 'event')} {'waits' if outbox == 1 else 'wait'} to be sent, the oldest since {age:.0f} s"
        if not look.ready:
            yield what, "nothing more: they go as soon as the service is well", OUTBOX, False
        elif "outbox" not in look.stands:
            yield what, "nothing: they are on their way", OUTBOX, False
        else:
            yield what, "see Kafka, the service's relay and the sizes its topic takes", OUTBOX
    if behind:
        what = f"{_listed(behind)} not applied yet"
        if not look.ready:
            yield what, "nothing more: they are applied as soon as the service is well", BEHIND, False
        elif "lag" not in look.stands:
            yield what, "nothing: it is catching up", BEHIND, False
        else:
            yield f"{what}, and nothing moves", "its log says what it waits for", BEHIND
    # they wait for what was said before they fell due
    heard = look.lag is not None and ("lag" in look.stands or not behind)
    if "timers" in look.stands and heard and look.progress["timers_oldest_seconds"] > LATE_SECONDS:
        timers, oldest = look.progress["timers_due"], look.progress["timers_oldest_seconds"]
        what = f"{counted(timers, 'timer')} overdue, the oldest {oldest:.0f} s"
        yield what, "see its log; if its database is well, restart it", TIMERS


def counted(count: int, noun: str) -> str:
    """A number of things, in words for a person: `1 event`, `2 events`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} of {topic}" for topic, n in counts.items())


def _parked(look: Look) -> Iterator[_Found]:
    if look.failed:
        first = look.failed[0]
        behind = (look.progress or {}).get("parked", {}).get("queued", 0)
        also = f", {behind} behind it" if behind else ""
        what = f"{counted(len(look.failed), 'message')} failed{also}; the first: {first['type']} of {first['stream']}"
        what += f", {first['reason']}"
        yield what, f"handover parked show {look.service} {first['key']}", PARKED
    since = datetime.now(UTC) - GAP_PATIENCE
    lasting = [g for g in look.gaps if datetime.fromisoformat(g["parked_at"]) < since or not _wall(look)]
    publishers = Counter(gap["lane"].partition("|")[0] for gap in lasting)
    for publisher, count in publishers.items():
        first = next(gap for gap in lasting if gap["lane"].startswith(f"{publisher}|"))
        what = f"{counted(count, 'message')} of {publisher} behind one that is missing; the first: {first['stream']}"
        what += f" {first['reason']}"
        yield what, f"handover log republish --service {publisher}", GAP


def _wall(look: Look) -> bool:
    return not (look.progress or {}).get("clock_driven")


def _log(look: Look) -> Iterator[_Found]:
    if look.database is not None and look.checks.get("database", "ok") == "ok":
        what = f"its event log was not checked: its database {look.database}"
        if "QueryCanceled" in look.database:
            yield what, "find what the database waits for: pg_stat_activity, disk", SLOW
        elif look.database.startswith("cannot"):
            yield what, "bring PostgreSQL back, or set the way to it", POSTGRES
        else:
            yield what, "see the address and password of its database", POSTGRES
    for broken in look.breaks[:5]:
        what = f"its event log is not as written: {broken.stream} breaks at event {broken.sequence}, {broken.why}"
        yield what, f"handover log verify --service {look.service}; keep the database as it is", CHAIN
    if len(look.breaks) > 5:
        what = f"{counted(len(look.breaks) - 5, 'more stream')} of its event log broken"
        yield what, f"handover log verify --service {look.service}", CHAIN
    if not look.protected:
        what = "its database lets its event log be changed: the trigger append_only is off"
        yield what, "find out who switched it off; `handover migrate` switches it on", CHAIN
    for publisher, streams in look.missing.items():
        what = f"{counted(len(streams), 'stream')} of {publisher} with events that never arrived here; the first: {streams[0]}"
        yield what, f"handover log republish --service {publisher}", TOPICS
    for publisher, streams in look.ahead.items():
        what = f"{counted(len(streams), 'stream')} of {publisher} with events here that its log lacks; the first: {streams[0]}"
        yield (
            what,
            f"the database of {publisher} is an older one: stop it, and restore all four to one moment",
            RESTORE,
        )
