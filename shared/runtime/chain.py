"""The hash chain of a stream: each event's link covers who, when, why, what, and the link before it (O12).

Personal data is chained only by a salted digest, so that erasing it, salt and all, leaves a chain that still verifies (X4).
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

GENESIS = bytes(32)
"""What the first event of a stream links to."""


@dataclass(slots=True)  # not frozen: made for every event, and a frozen one takes three times as long
class Entry:
    """One row of the event log, never changed. `data` is the JSON as sent, without its personal part."""

    stream: str
    sequence: int
    type: str
    time: datetime
    actor_kind: str
    actor_name: str
    correlation_id: str | None
    causation_id: str | None
    trace: str | None
    data: str
    personal: str | None
    salt: bytes | None
    personal_digest: bytes | None
    previous: bytes
    hash: bytes

    @property
    def wire(self) -> bytes:
        """The JSON as sent: the payload with its personal part back in place."""
        return wire(self.data, self.personal, self.personal_digest)


def wire(data: str, personal: str | None, digest: bytes | None) -> bytes:
    """Payload and personal part as one JSON object; the personal part is null once it was erased (its digest remains)."""
    if digest is None:
        return data.encode()
    separator = "," if data != "{}" else ""
    return f'{data[:-1]}{separator}"personal":{personal or "null"}}}'.encode()


def personal_digest(salt: bytes, personal: str) -> bytes:
    """What stands in the chain for personal data."""
    return hashlib.sha256(salt + personal.encode()).digest()


def new_salt() -> bytes:
    """A salt for one event's personal data."""
    return secrets.token_bytes(16)


def link(
    previous: bytes,
    *,
    stream: str,
    sequence: int,
    type: str,
    time: datetime,
    actor: str,
    causation_id: str | None,
    data: str,
    personal_digest: bytes | None,
) -> bytes:
    """The hash of an event after `previous`. Fields are length-prefixed, so that no two events read the same."""
    parts = (
        previous, _part(stream), _part(str(sequence)), _usual_part(type), _usual_part(_instant(time)), _usual_part(actor),
        _part(causation_id or ""), _part(data), personal_digest or b"",
    )  # fmt: skip
    return hashlib.sha256(b"".join(parts)).digest()


def _part(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(8, "big") + raw


_usual_part = lru_cache(maxsize=1000)(_part)
"""Of what comes again and again: types, the time of a turn, actors."""


@lru_cache(maxsize=16)
def _instant(time: datetime) -> str:
    """Written alike wherever it comes from; all events of a turn have one time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
