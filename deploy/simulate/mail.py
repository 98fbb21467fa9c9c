"""The outside world of notify: a post office that counts what it is handed, and the sender that hands it over."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from deploy.simulate.host import Host
from deploy.simulate.steps import Fiber, step
from services.notify.sender import SEND_SECONDS
from services.notify.sending import LEASE, Claim, ClaimMessages, RecordResults, Result
from shared.runtime.commands import asked
from shared.runtime.messages import Command, Outcome, Status
from shared.values import Actor, ActorKind

if TYPE_CHECKING:
    from deploy.simulate.world import World

SENDER = Actor(kind=ActorKind.SERVICE, name="notify")


class Mail:
    """What was handed over: message id → how often."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.handed: dict[str, int] = {}
        self.unsure: dict[str, int] = {}
        """Message id → how often it was handed over by somebody who could not book it in time: it may come again."""

    def take(self, message_id: str) -> bool:
        """Accept a message; False when the post office is closed."""
        if self.world.chaos.happens("broker", 0.02):
            return False
        self.handed[message_id] = self.handed.get(message_id, 0) + 1
        return True


class Sender:
    """The sender's loop: claim under a lease, hand over, book the result."""

    def __init__(self, host: Host, mail: Mail) -> None:
        self.host = host
        self.mail = mail
        self.fiber = Fiber("sender", self.round, self._due)
        self._asked = 0

    def _due(self) -> list[str]:
        now = self.host.town.clock.now()
        return [message_id for message_id, due in self.host.node.store.planned.items() if due <= now]

    async def round(self) -> None:
        """Send what is due."""
        claimed_at = self.host.town.clock.now()
        claim = await self.claim(self._due()[:10])
        if claim is None or not claim.message_ids:
            return
        taken: list[str] = []
        results = []
        booked = False
        try:
            for message_id in claim.message_ids:
                await step("before handing over")
                if self.too_late(claim.lease):
                    results.append(Result(message_id=message_id, error="too late", untried=True))
                    continue
                sent = self.mail.take(message_id)
                # for one that was handed over later, there is no excuse when it comes twice
                if sent and self.host.town.clock.now() < claim.lease:
                    taken.append(message_id)
                results.append(Result(message_id=message_id, error="" if sent else "closed"))
            await step("between handing over and booking")
            booked = await self.book(results, claim.lease) and self.host.town.clock.now() < claimed_at + LEASE
        finally:
            for message_id in () if booked else taken:
                self.mail.unsure[message_id] = self.mail.unsure.get(message_id, 0) + 1

    def too_late(self, lease: datetime) -> bool:
        """Whether somebody else may soon have what is left."""
        return self.host.town.clock.now() + timedelta(seconds=SEND_SECONDS) > lease

    async def claim(self, message_ids: list[str]) -> Claim | None:
        """Take messages, so that nobody else sends them; None when a bug was in the way."""
        answer = (await self._tell(ClaimMessages(message_ids=tuple(message_ids)))).answer
        return None if answer is None else Claim.model_validate(answer)

    async def book(self, results: list[Result], lease: datetime) -> bool:
        """Say what became of them; False when that was not kept."""
        outcome = await self._tell(RecordResults(results=tuple(results), lease=lease))
        return outcome.status is not Status.FAILED

    async def _tell(self, command: Command) -> Outcome:
        self._asked += 1
        now = self.host.town.clock.now()
        key = f"{self.host.name}-{now.timestamp()}-{self._asked}"
        return (await self.host.patiently([asked(command, SENDER, now, key=key)]))[0]
