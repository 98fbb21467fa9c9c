"""What was handed in at the edges of a simulated town, and how it was answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.events.base import Event
from shared.runtime.messages import Command, Outcome, Status

ANSWERS = (Status.DONE, Status.DUPLICATE, Status.REFUSED)
"""Whatever comes back else is no answer: its sender asks again."""


@dataclass
class Receipts:
    """Messages and commands by their sender and id."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Everything that was acknowledged → the service that did."""
    sent: dict[str, Event] = field(default_factory=dict)
    """What was handed in first under an id."""
    over_kafka: dict[str, datetime] = field(default_factory=dict)
    """What of it came over Kafka, and when it was first acknowledged."""
    reused: set[str] = field(default_factory=set)
    """Ids under which two messages came."""
    asked: dict[str, Command] = field(default_factory=dict)
    """Commands, by their key alone."""
    contradictions: list[tuple[str, str]] = field(default_factory=list)
    """Requests over HTTP that got two answers."""
    unanswered: list[str] = field(default_factory=list)
    """Requests over HTTP that were given up."""
    _answers: dict[tuple[str, bytes], Mapping[str, Any] | None] = field(default_factory=dict)
    """By the digest of what was asked too: two messages under one id get an answer each."""
    _reuse_told: set[str] = field(default_factory=set)

    def answered(self, key: str, digest: bytes, outcome: Outcome) -> None:
        """An answer over HTTP; whoever asked may not have got it, and ask again."""
        if outcome.status in ANSWERS:
            answer = outcome.refusal.told if outcome.refusal else outcome.answer
            first = self._answers.setdefault((key, digest), answer)
            if first != answer:
                self.contradictions.append((key, f"{first} was answered, then {answer}"))
            if answer is not None and answer.get("code") == "id_reused":
                self._reuse_told.add(key)

    def told_of_reuse(self, key: str) -> bool:
        """True when a request over HTTP was answered that its id had been used for another message."""
        return key in self._reuse_told
