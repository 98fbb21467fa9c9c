"""What was handed in at the edges of a simulated town, and how it was answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    over_kafka: set[str] = field(default_factory=set)
    """What of it came over Kafka."""
    reused: set[str] = field(default_factory=set)
    """Ids under which two messages came."""
    asked: dict[str, Command] = field(default_factory=dict)
    """Commands, by their key alone."""
    contradictions: list[tuple[str, str]] = field(default_factory=list)
    """Requests over HTTP that got two answers."""
    unanswered: list[str] = field(default_factory=list)
    """Requests over HTTP that were given up."""
    _answers: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)

    def answered(self, key: str, outcome: Outcome) -> None:
        """An answer over HTTP; whoever asked may not have got it, and ask again."""
        if outcome.status in ANSWERS:
            answer = outcome.refusal.told if outcome.refusal else outcome.answer
            if self._answers.setdefault(key, answer) != answer:
                self.contradictions.append((key, f"{self._answers[key]} was answered, then {answer}"))

    def told_of_reuse(self, key: str) -> bool:
        """True when a request over HTTP was answered that its id had been used for another message."""
        answer = self._answers.get(key)
        return answer is not None and answer.get("code") == "id_reused"
