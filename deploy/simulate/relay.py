"""The relay of a replica: one of a service sends what its outbox says, a batch to each partition, as the real one does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploy.simulate.steps import Fiber, step
from deploy.simulate.store import Unsent
from shared.runtime.envelope import headers

if TYPE_CHECKING:
    from deploy.simulate.host import Host


class Relay:
    """Its loop: take what is oldest, send it, forget what was acknowledged."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.fiber = Fiber("relay", self.round, self._due)
        self.in_hand: Sequence[Unsent] = ()
        """What it took out of the outbox last."""

    def _due(self) -> bool:
        node = self.host.node
        return bool(node.store.outbox) and node.leader in (None, self.host) and not node.store.away

    async def round(self) -> None:
        """Send what is to be sent."""
        node = self.host.node
        node.leader = self.host
        batches = self.batches()
        self.in_hand = [one for batch in batches for one in batch]
        acknowledged: list[Unsent] = []
        for batch in batches:
            await step("before sending")
            acknowledged += self.send(batch)
            await step("before its acknowledgment")
        await step("between sending and deleting")
        if node.leader is self.host and not node.store.away:
            node.store.sent(acknowledged)

    def batches(self) -> list[list[Unsent]]:
        """The oldest of what is to be sent, by partition, as much as a batch holds, in the order in which the broker gets them:
        what does not fit waits, and with it all that comes after it there."""
        town, node = self.host.town, self.host.node
        most = town.rng.randint(1, 30)
        batches: dict[int, list[Unsent]] = {}
        for one in node.store.unsent(town.rng.randint(1, 60)):
            batch = batches.setdefault(town.topics.partition(node.name, one[2].stream.encode()), [])
            if len(batch) < most:
                batch.append(one)
        found = [*batches.values()]
        town.rng.shuffle(found)
        return found

    def send(self, batch: Sequence[Unsent]) -> Sequence[Unsent]:
        """Give the broker a batch; what of it was acknowledged, which is all or nothing."""
        town, node = self.host.town, self.host.node
        failure = town.send_fails()
        for _, _, entry in () if failure == "lost" else batch:
            said = headers(entry, node.service.source)
            town.topics.append(node.name, entry.stream.encode(), said, town.chaos.arrives(entry))
        return () if failure else batch
