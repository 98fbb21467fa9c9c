"""Numbering and chaining what was said: each event gets its place in its stream and its link in the hash chain."""

from collections.abc import Callable, Sequence

from shared.runtime.bookkeeping import Head
from shared.runtime.chain import GENESIS, Entry, link, new_salt, personal_digest
from shared.runtime.desk import Said, Shelf
from shared.runtime.messages import Envelope


def entries_of(
    said: Sequence[Said], heads: Shelf[Head], onward: Callable[[Envelope], str | None]
) -> list[Entry]:
    """Event-log entries of a turn, in the order they were said; moves the heads of their streams.

    `onward` gives the traceparent of what a message causes.
    """
    entries = []
    for one in said:
        event, stream, cause = one.event, one.stream, one.cause
        actor = cause.actor
        head = heads.get(stream) or Head(stream, 0, GENESIS)
        personal, salt, digest, without = None, None, None, None
        if (model := event.__dict__.get("personal")) is not None:  # not a field of every event
            personal, salt, without = model.model_dump_json(), new_salt(), {"personal"}
            digest = personal_digest(salt, personal)
        data = event.dumped(without)
        hashed = link(
            head.hash,
            stream=stream,
            sequence=head.sequence + 1,
            type=event.wire_type,
            time=one.at,
            actor=str(actor),
            causation_id=cause.id,
            data=data,
            personal_digest=digest,
        )
        entries.append(
            Entry(
                stream=stream,
                sequence=head.sequence + 1,
                type=event.wire_type,
                time=one.at,
                actor_kind=actor.kind,
                actor_name=actor.name,
                correlation_id=cause.correlation_id or cause.id,
                causation_id=cause.id,
                trace=onward(cause),
                data=data,
                personal=personal,
                salt=salt,
                personal_digest=digest,
                previous=head.hash,
                hash=hashed,
            )
        )
        heads.put(Head(stream, head.sequence + 1, hashed))
    heads.keep()
    return entries
