"""What goes wrong around the services, by the dice of the run."""

from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from deploy.simulate.ledger import Bug
from deploy.simulate.repair import NOBODYS
from shared.runtime.chain import Entry
from shared.runtime.messages import Incoming, Outcome
from shared.runtime.store import Changes

if TYPE_CHECKING:
    from deploy.simulate.world import World

KINDS = (
    "kill", "freeze", "database", "answer", "twice", "cut", "broker", "topics", "bug", "rebalance", "http", "clock",
    "damage",
)  # fmt: skip
"""kill: a process dies at any step · freeze: it stands still and comes back after it was given up · database: away for a while
· answer: a commit's answer is lost · twice: records and requests come again · cut: the relay's lock is lost while it sends
· broker: sends fail or their answers are lost · topics: a topic is deleted, made again with other partitions, filled from the
log · bug: a handler fails on some messages until it is mended · rebalance: partitions move · http: answers are lost
· clock: time goes on while work is in hand · damage: records come that cannot be read: ops mend what was one of
ours, and skip what is nobody's"""

LONGEST = timedelta(hours=12)
"""So long a trouble lasts, however little there is to do meanwhile: in a small town the clock leaps over whole days."""
UNMENDED = timedelta(days=14)
"""So long a bug may."""


class Chaos:
    """Injects what is enabled. `count` says how often each happened."""

    def __init__(self, world: "World", kinds: frozenset[str], seed: str) -> None:
        self.world = world
        self.kinds = sorted(kinds)
        self.dice = Random(f"{seed}/chaos")  # noqa: S311
        self.calm = False
        self.count = dict.fromkeys(self.kinds, 0)
        self.damaged: dict[bytes, Entry] = {}
        """What arrived of events that were damaged on their way."""
        self.unexplained: list[tuple[str, str]] = []
        """Messages that failed, and not for any trouble of ours; and how."""
        self.bug: tuple[str, str, int] | None = None
        """Service, message class, remainder of the order's hash: what meets a bug now."""
        self._met: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=50))
        """By service, the classes of the messages that its handlers were given last."""
        self._undo: list[tuple[int, datetime, Any]] = []
        self._ticks = 0

    def tick(self) -> None:
        """Once a round of the scheduler: undo what has lasted long enough, perhaps break something."""
        self._ticks += 1
        if self._undo:
            now = self.world.now()
            for one in [u for u in self._undo if u[0] <= self._ticks or u[1] <= now]:
                self._undo.remove(one)
                one[2]()
        if not self.calm and self.kinds and self.dice.random() < 0.02:
            kind = self.dice.choice(self.kinds)
            act = getattr(self, f"_{kind}", None)
            if act is not None:
                act()

    def stop(self) -> None:
        """From now on all is well."""
        self.calm = True
        while self._undo:
            self._undo.pop(0)[2]()

    def happens(self, kind: str, chance: float) -> bool:
        """Roll for a thing that happens in passing."""
        if self.calm or kind not in self.count or self.dice.random() >= chance:
            return False
        self.count[kind] += 1
        return True

    def broken(self, service: str, message: Any) -> bool:
        """True when this message meets the bug of the day."""
        self._met[service].append(type(message).__name__)
        if self.bug is None or self.bug[0] != service or type(message).__name__ != self.bug[1]:
            return False
        return sum(map(ord, getattr(message, "order_id", "") or "x")) % 3 == self.bug[2]

    def turned(self, messages: Sequence[Incoming], outcomes: Sequence[Outcome], changes: Changes) -> None:
        """Note what failed in a turn though it met no bug of the day and could be read."""
        for message, outcome in zip(messages, outcomes, strict=True):
            body = message.raw.body if message.raw else b""
            damaged = body == NOBODYS or body in self.damaged
            if outcome.error is not None and not damaged and not isinstance(outcome.error, Bug):
                how = "".join(format_exception(outcome.error, limit=-2)).strip()
                self.unexplained.append((f"{message.envelope.source} {message.envelope.id}", how))

    def _for(self, least: int, most: int, undo: Any, longest: timedelta = LONGEST) -> None:
        self._undo.append((self._ticks + self.dice.randint(least, most), self.world.now() + longest, undo))
        self._undo.sort(key=lambda u: u[0])

    def _happened(self, kind: str, what: str) -> None:
        self.count[kind] += 1
        self.world.note("chaos", f"{kind}: {what}")

    # --- kinds --------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        hosts = [h for h in self.world.hosts if h.alive and not h.frozen]
        if hosts:
            host = self.dice.choice(hosts)
            steps = ", ".join(f"{f.name} at '{f.at}'" for f in host.fibers if f.at)
            self._happened("kill", f"{host.name}{' with ' + steps if steps else ''}")
            host.kill()
            self._for(0, 30, host.node.rebalance)

            def restart() -> None:
                host.start()
                host.node.rebalance()
                self.world.note("chaos", f"{host.name} is back")

            self._for(5, 120, restart)

    def _freeze(self) -> None:
        hosts = [h for h in self.world.hosts if h.alive and not h.frozen]
        if hosts:
            host = self.dice.choice(hosts)
            self._happened("freeze", host.name)
            host.frozen = True
            self._for(0, 30, host.node.rebalance)

            def thaw() -> None:
                host.frozen = False
                # it goes on with what it had in hand before it learns that it was given up
                self._for(1, 20, host.node.rebalance)

            self._for(10, 100, thaw)

    def _database(self) -> None:
        node = self.dice.choice(self.world.nodes)
        if not node.store.away:
            self._happened("database", f"of {node.name} is away")
            node.store.away = True
            node.leader = None

            def back() -> None:
                node.store.away = False

            self._for(5, 60, back)

    def _cut(self) -> None:
        node = self.dice.choice(self.world.nodes)
        if node.leader is not None:
            self._happened("cut", f"{node.leader.name} lost the relay's lock")
            node.leader = None

    def _rebalance(self) -> None:
        node = self.dice.choice(self.world.nodes)
        self._happened("rebalance", node.name)
        node.rebalance()

    def _twice(self) -> None:
        node = self.dice.choice(self.world.nodes)
        self._happened("twice", f"{node.name} reads again")
        node.group.committed = {
            place: max(0, n - self.dice.randint(0, 15)) for place, n in node.group.committed.items()
        }
        node.rebalance()

    def _topics(self) -> None:
        if self.dice.random() < 0.1:  # rare: it sends everything again, and most of a run would be reading it
            topics = sorted(self.world.topics.partitions)
            in_hand = [node.name for node in self.world.nodes if node.in_hand]  # the worst moment
            topic = self.dice.choice(in_hand if in_hand and self.dice.random() < 0.5 else topics)
            partitions = self.dice.randint(1, 5)
            self._happened("topics", f"{topic} deleted and made again with {partitions} partitions")
            self.world.lose(topic, partitions)

    def _bug(self) -> None:
        if self.bug is None:
            node = self.dice.choice(self.world.nodes)
            # of what came lately some more will come; of all else mostly nothing, and the bug would be met by nobody
            names = self._met[node.name] or sorted(m.__name__ for m in node.service.by_type)
            self.bug = (node.name, self.dice.choice(names), self.dice.randint(0, 2))
            self._happened("bug", f"in {self.bug[1]} of {node.name}")

            def mended() -> None:
                self.bug = None
                self.world.note("chaos", "the bug is mended; ops retry what is parked")
                self.world.retry_parked(node)

            self._for(50, 300, mended, UNMENDED)

    def arrives(self, entry: Entry) -> bytes:
        """What of an event arrives."""
        if not self.happens("damage", 0.001):
            return entry.wire
        self.world.note("chaos", f"damage: of {entry.stream}/{entry.sequence} on its way")
        body = entry.wire[:-1]
        self.damaged[body] = entry
        self._repaired_later()
        return body

    def _damage(self) -> None:
        topic = self.dice.choice(self.world.nodes).name
        self._happened("damage", f"a record that is nobody's comes to {topic}")
        self.world.topics.append(topic, b"", (), NOBODYS)
        self._repaired_later()

    def _repaired_later(self) -> None:
        def repair() -> None:
            self.world.note("chaos", "ops mend and skip what cannot be read")
            for node in self.world.nodes:
                self.world.retry_parked(node)

        self._for(50, 300, repair, UNMENDED)

    def _clock(self) -> None:
        self._happened("clock", "goes on")
        self.world.advance()
