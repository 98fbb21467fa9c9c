"""What a record of Kafka says: an event of ours from its own topic, or one from outside, under a token."""

from collections.abc import Mapping

from aiokafka import ConsumerRecord

from shared.events.base import Event
from shared.events.inbox import INBOX_TOPICS
from shared.runtime.auth import Tokens
from shared.runtime.envelope import Malformed, decode_ours, text_headers, unreadable
from shared.runtime.inbox import claimed, outside
from shared.runtime.messages import Incoming, Raw, Refused
from shared.values import Actor


def raw_of(record: ConsumerRecord) -> Raw:
    """A record as it came."""
    return Raw(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        tuple(record.headers),
        record.value or b"",
        (record.timestamp or 0) / 1000,
    )


class Decoding:
    """Makes messages of records, for a service that hears these types."""

    def __init__(self, tokens: Tokens, hears: Mapping[str, type[Event]]) -> None:
        self.tokens = tokens
        self.hears = hears

    def decode(self, raw: Raw, actor: Actor | None = None) -> Incoming:
        """A record as a message at the door, with its error when it cannot be read. Never raises: that would lose the batch.

        `actor` is who sent it where that was verified before; its token is not judged again.
        """
        try:
            if raw.topic in INBOX_TOPICS:
                return self._outside(raw, actor)
            return decode_ours(raw, self.hears)
        except Exception as error:
            return unreadable(raw, error)

    def _outside(self, raw: Raw, actor: Actor | None) -> Incoming:
        headers: dict[str, str] = {}
        try:
            headers = text_headers(raw)
            actor = actor or self.tokens.actor_of_headers(headers, raw.sent)
            return outside(headers, raw.body, actor, inbox=raw.topic, raw=raw)
        except Malformed as error:
            return unreadable(raw, Refused("malformed", str(error), field="headers", status=422))
        except Refused as refused:
            return unreadable(raw, refused, claimed(headers), actor)
