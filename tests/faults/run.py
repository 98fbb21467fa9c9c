"""The course of a run: rounds of faults under load; after each, everything must drain by itself and be found right."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from deploy.play.script import CATALOG
from tests.faults import checker
from tests.faults.cluster import COMPLETES_AFTER, Cluster
from tests.faults.edges import FaultyEdges
from tests.faults.findings import Accepted, Findings
from tests.faults.injections import QUICK, SLOW
from tests.faults.letters import delivered
from tests.faults.load import Load
from tests.faults.probe import Prober
from tests.faults.scene import Injection, NotMet, Scene
from tests.faults.witness import Witness

RECOVERY_PATIENCE = 180.0
DRAIN_PATIENCE = 240.0
ENOUGH = 5
"""With so much trouble there is nothing more to learn."""
QUICK_A_ROUND = 24
ALONE_A_ROUND = 4
SLOW_A_ROUND = 2
TRIES = 3
"""How often a fault is tried that is not met at once: nobody came to the point, or another fault was in the way."""
OVERLAP = 0.3
"""How often a round's quick faults come while its slow ones last."""


@dataclass
class Injected:
    """One fault that was injected."""

    kind: str
    round: int
    alone: bool
    """True when nothing else broke meanwhile: what it took to come back is its own."""
    met: str = ""
    """The replica that it met; empty for a fault of Kafka or PostgreSQL."""
    recovery: float | None = None
    """Seconds from its end until all was well; None when it never was."""


@dataclass
class Result:
    """What a run showed."""

    seed: int
    rate: float = 1.0
    only: Sequence[str] = ()
    short: bool = False
    rounds: int = 0
    """How many were played."""
    tried: set[str] = field(default_factory=set)
    """Kinds of faults that were to be injected."""
    faults: list[Injected] = field(default_factory=list)
    findings: dict[int, Findings] = field(default_factory=dict)
    """By round, what was found that had not been found in a round before."""
    trouble: list[str] = field(default_factory=list)
    """What did not come back by itself, who ended without being killed, and what makes the run say too little."""
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        """True when every promise held."""
        return not self.trouble and not any(self.findings.values())

    def never_met(self) -> list[str]:
        """Kinds of faults that were tried, and not once met: the run says nothing about them."""
        return [f"'{kind}' was never met" for kind in sorted(self.tried - {f.kind for f in self.faults})]


def ended(tasks: Sequence[asyncio.Task[None]]) -> list[str]:
    """What ended of that which is to run as long as the run does, and why."""
    return [f"the {task.get_name()} ended: {task.exception()!r}" for task in tasks if task.done()]


class Run:
    """One run on a cluster that is up; of the faults whose name holds one of `only`, if any are given."""

    def __init__(self, cluster: Cluster, seed: int, rate: float, *, only: Sequence[str] = ()) -> None:
        self.cluster = cluster
        self.order = random.Random(seed)
        """Decides which faults come, and in which order, and nothing else."""
        wanted = only or [""]
        self.quick = {kind: fault for kind, fault in QUICK.items() if any(text in kind for text in wanted)}
        self.lone = dict(self.quick)
        """The same, in an order of their own."""
        self.slow = {kind: fault for kind, fault in SLOW.items() if any(text in kind for text in wanted)}
        self.result = Result(seed, rate, only)
        self.arming = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self.spared = defaultdict[str, list[str]](list)
        self.bags: dict[int, list[str]] = {}

    async def play(self, *, minutes: float | None, rounds: int | None, short: bool = False) -> Result:
        """Play until the time is over or so many rounds were played, or there is trouble enough."""
        rounds, self.result.short = 2 if short else rounds, short
        began = time.monotonic()
        target = self.cluster.target()
        tasks = [asyncio.create_task(self.cluster.supervisor.run(), name="supervisor")]
        async with (
            FaultyEdges(target, self.cluster.token) as self.edges,
            Witness(target.kafka) as self.witness,
        ):
            self.load = Load(self.edges, self.witness, self.result.seed, self.result.rate)
            self.prober = Prober(self.cluster, self.load)
            for sku in CATALOG:
                await self.load.stock(sku, 10_000)
            tasks.append(asyncio.create_task(self.load.run(), name="load"))
            while len(self.result.trouble) < ENOUGH and not any(task.done() for task in tasks):
                number = self.result.rounds = self.result.rounds + 1
                quick, slow = self._all_once(number) if short else self._some()
                alone = [] if short else self._in_turn()
                together = not short and self.order.random() < OVERLAP
                await self._round(number, alone, quick, slow, together=together)
                over = minutes is not None and time.monotonic() - began > minutes * 60
                if over or number == rounds:
                    break
            await self._last_messages(self.result.rounds)
            self.result.trouble += ended(tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._count(time.monotonic() - began)
        return self.result

    # --- a round ------------------------------------------------------------------------------------------

    def _some(self) -> tuple[list[str], list[str]]:
        quick = [self._next(self.quick) for _ in range(QUICK_A_ROUND if self.quick else 0)]
        return quick, [self._next(self.slow) for _ in range(SLOW_A_ROUND if self.slow else 0)]

    def _in_turn(self) -> list[str]:
        """Some quick faults a round come by themselves as well: what a wave takes to be over says little of any of them."""
        return [self._next(self.lone) for _ in range(ALONE_A_ROUND if self.lone else 0)]

    def _all_once(self, number: int) -> tuple[list[str], list[str]]:
        """Everything in two rounds: all quick ones and half of the slow ones, then the other half."""
        quick = [self._next(self.quick) for _ in self.quick] if number == 1 else []
        first, second = (len(self.slow) + 1) // 2, len(self.slow) // 2
        return quick, [self._next(self.slow) for _ in range(first if number == 1 else second)]

    async def _round(
        self, number: int, alone: list[str], quick: list[str], slow: list[str], *, together: bool
    ) -> None:
        began = time.monotonic()
        try:
            await self._one_by_one(number, alone, alone=True)
            if together:
                await asyncio.gather(self._one_by_one(number, slow, alone=False), self._wave(number, quick))
            else:
                await self._wave(number, quick)
                await self._one_by_one(number, slow, alone=True)
        except TimeoutError as late:
            self._troubled(f"round {number}: {late}")
        broke = time.monotonic()
        await self._drain(number)
        drained = time.monotonic()
        await self._check(number)
        line = (
            f"round {number}: {len(alone + quick + slow)} faults in {broke - began:.0f} s ({', '.join(slow)}), drained in "
            f"{drained - broke:.1f} s, checked in {time.monotonic() - drained:.1f} s; "
            f"{len(self.load.ended)} orders, {self.witness.events} events, {self.witness.duplicates} sent again"
        )
        print(line, flush=True)

    def _next(self, faults: dict[str, Injection]) -> str:
        """Every kind comes once before any comes again."""
        bag = self.bags.setdefault(id(faults), [])
        if not bag:
            bag += faults
            self.order.shuffle(bag)
        return bag.pop()

    async def _one_by_one(self, number: int, kinds: list[str], *, alone: bool) -> None:
        for place, kind in enumerate(kinds):
            await self._inject(number, place, kind, (self.quick | self.slow)[kind], alone=alone)

    async def _wave(self, number: int, kinds: list[str]) -> None:
        """One after the other, a moment apart; recovery is awaited for all together."""
        tasks = []
        moments = random.Random(f"{self.result.seed} moments {number}")
        for place, kind in enumerate(kinds):
            injecting = self._inject(number, place, kind, self.quick[kind], alone=False)
            tasks.append(asyncio.create_task(injecting))
            await asyncio.sleep(moments.uniform(0.2, 1.0))
        await asyncio.gather(*tasks)

    async def _inject(self, number: int, place: int, kind: str, injection: Injection, *, alone: bool) -> None:
        # what it draws depends on the seed and its place alone, whatever else is injected at the same time
        draw = random.Random(f"{self.result.seed} {kind} {number}/{place}{' alone' if alone else ''}")
        scene = Scene(self.cluster, self.witness, draw, self.load, self.arming, self.spared[kind])
        self.result.tried.add(kind)
        for _ in range(TRIES):
            began = time.monotonic()
            try:
                await injection(scene)
                break
            except NotMet as why:
                self.result.counts["not met"] += 1
                print(f"  {kind}: not met: {why}", flush=True)
        else:
            return
        broken = time.monotonic() - began
        injected = Injected(kind, number, alone, scene.met)
        self.result.faults.append(injected)
        try:
            injected.recovery = await self.prober.recovered(RECOVERY_PATIENCE)
        except TimeoutError as late:
            raise TimeoutError(f"after '{kind}': {late or 'a probe order was not released'}") from late
        print(f"  {kind}: {broken:.1f} s, well again {injected.recovery:.1f} s later", flush=True)

    # --- after a round ------------------------------------------------------------------------------------

    async def _drain(self, number: int) -> None:
        """No new orders; all that live end their stories; then nothing may be on its way."""
        self.load.open = False
        deadline = time.monotonic() + DRAIN_PATIENCE
        moving = "orders live"
        while time.monotonic() < deadline:
            if not self.load.living:
                moving = await checker.moving(self.cluster.target().databases, self.witness)
                if not moving:
                    break
            await asyncio.sleep(0.3)
        else:
            self._troubled(f"round {number}: did not drain: {moving}; {len(self.load.living)} orders live")
        self.result.trouble += [f"round {number}: {failure}" for failure in self.load.failures]
        self.load.failures.clear()
        self.load.open = True

    def _troubled(self, trouble: str) -> None:
        """Something did not come back by itself: the logs shall say what every replica waits for."""
        self.result.trouble.append(trouble)
        self.cluster.tell_tasks()

    async def _check(self, number: int) -> None:
        self.load.open = False
        found = await self._found()
        if found:  # a letter whose sender died leaves when its lease ends, also while databases are asked one after the other
            await self._drain(number)
            self.load.open = False
            found = found.without(found.without(await self._found()))
        for before in self.result.findings.values():
            found = found.without(before)
        if found:
            self.result.findings[number] = found
        self.load.open = True

    async def _found(self) -> Findings:
        accepted = Accepted(
            messages=self.edges.accepted,
            commands=self.edges.commands,
            orders=self.load.ended,
            stocked=self.load.stocked,
            completes_after=timedelta(seconds=COMPLETES_AFTER),
            deaths=self.cluster.supervisor.deaths,
        )
        return await checker.check(
            self.cluster.target().databases, accepted, self.witness, self.cluster.letters
        )

    async def _last_messages(self, number: int) -> None:
        """A sender that died holds its messages until its lease ends; then another sends them."""
        self.load.open = False
        database = self.cluster.target().databases["notify"]
        deadline = time.monotonic() + 150
        while waiting := await checker.unsent_messages(database):
            if time.monotonic() > deadline:
                self.result.trouble.append(f"{waiting} messages were never sent")
                break
            await asyncio.sleep(1)
        await self._drain(number)
        await self._check(number)

    def _count(self, seconds: float) -> None:
        self.result.seconds = seconds
        self.result.trouble += [*self.cluster.supervisor.unasked, *self.result.never_met()]
        if few := self.load.too_few():
            self.result.trouble.append(few)
        self.result.counts.update(
            {
                "orders": len(self.load.ended),
                "events": self.witness.events,
                "records": self.witness.records,
                "sent again": self.witness.duplicates,
                "in flight when topics were made anew": self.witness.early,
                "acknowledged by Kafka": self.edges.acknowledged,
                "answered over HTTP": self.edges.answered,
                "letters that left twice": sum(len(c) > 1 for c in delivered(self.cluster.letters).values()),
                "refused for a while": self.load.refusals.total(),
                "restarts": len(self.cluster.supervisor.deaths),
            }
        )
