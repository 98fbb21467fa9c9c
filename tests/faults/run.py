"""The course of a run: rounds of faults under load; after each, everything must drain by itself and be found right."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from deploy.play.script import CATALOG
from tests.faults import checker
from tests.faults.checker import Accepted, Findings
from tests.faults.cluster import Cluster
from tests.faults.edges import FaultyEdges
from tests.faults.injections import QUICK, SLOW, Injection, NotMet, Scene
from tests.faults.load import Load
from tests.faults.probe import Prober
from tests.faults.witness import Witness

RECOVERY_PATIENCE = 180.0
DRAIN_PATIENCE = 240.0
ENOUGH = 5
"""With so much trouble there is nothing more to learn."""
QUICK_A_ROUND = 24
SLOW_A_ROUND = 2
OVERLAP = 0.3
"""How often a round's quick faults come while its slow ones last."""


@dataclass
class Injected:
    """One fault that was injected."""

    kind: str
    round: int
    recovery: float | None = None
    """Seconds from its end until all was well; None when it never was."""


@dataclass
class Result:
    """What a run showed."""

    seed: int
    faults: list[Injected] = field(default_factory=list)
    findings: dict[int, Findings] = field(default_factory=dict)
    """By round, what was found that had not been found in a round before."""
    trouble: list[str] = field(default_factory=list)
    """What did not come back by itself, and who ended without being killed."""
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        """True when every promise held."""
        return not self.trouble and not any(self.findings.values())


class Run:
    """One run on a cluster that is up; of the faults whose name holds one of `only`, if any are given."""

    def __init__(self, cluster: Cluster, seed: int, rate: float, *, only: Sequence[str] = ()) -> None:
        self.cluster = cluster
        self.draw = random.Random(seed)
        self.rate = rate
        wanted = only or [""]
        self.quick = {kind: fault for kind, fault in QUICK.items() if any(text in kind for text in wanted)}
        self.slow = {kind: fault for kind, fault in SLOW.items() if any(text in kind for text in wanted)}
        self.result = Result(seed)
        self.bags: dict[int, list[str]] = {}

    async def play(self, *, minutes: float | None, rounds: int | None, short: bool = False) -> Result:
        """Play until the time is over or so many rounds were played, or there is trouble enough."""
        rounds = 2 if short else rounds
        began = time.monotonic()
        target = self.cluster.target()
        supervising = asyncio.create_task(self.cluster.supervisor.run())
        async with FaultyEdges(target) as self.edges, Witness(target.kafka) as self.witness:
            self.load = Load(self.edges, self.witness, self.result.seed, self.rate)
            self.prober = Prober(self.cluster, self.load)
            self.scene = Scene(self.cluster, self.witness, self.draw)
            for sku in CATALOG:
                await self.load.stock(sku, 10_000)
            loading = asyncio.create_task(self.load.run())
            number = 0
            while len(self.result.trouble) < ENOUGH:
                number += 1
                quick, slow = self._all_once(number) if short else self._some()
                await self._round(number, quick, slow, together=not short and self.draw.random() < OVERLAP)
                over = minutes is not None and time.monotonic() - began > minutes * 60
                if over or number == rounds:
                    break
            await self._last_messages(number)
            loading.cancel()
            supervising.cancel()
            await asyncio.gather(loading, supervising, return_exceptions=True)
        self._count(time.monotonic() - began)
        return self.result

    # --- a round ------------------------------------------------------------------------------------------

    def _some(self) -> tuple[list[str], list[str]]:
        quick = [self._next(self.quick) for _ in range(QUICK_A_ROUND if self.quick else 0)]
        return quick, [self._next(self.slow) for _ in range(SLOW_A_ROUND if self.slow else 0)]

    def _all_once(self, number: int) -> tuple[list[str], list[str]]:
        """Everything in two rounds: all quick ones and half of the slow ones, then the other half."""
        quick = [self._next(self.quick) for _ in self.quick] if number == 1 else []
        first, second = (len(self.slow) + 1) // 2, len(self.slow) // 2
        return quick, [self._next(self.slow) for _ in range(first if number == 1 else second)]

    async def _round(self, number: int, quick: list[str], slow: list[str], *, together: bool) -> None:
        began = time.monotonic()
        try:
            if together:
                await asyncio.gather(self._one_by_one(number, slow), self._wave(number, quick))
            else:
                await self._wave(number, quick)
                await self._one_by_one(number, slow)
        except TimeoutError as late:
            self._troubled(f"round {number}: {late}")
        broke = time.monotonic()
        await self._drain(number)
        drained = time.monotonic()
        await self._check(number)
        line = (
            f"round {number}: {len(quick) + len(slow)} faults in {broke - began:.0f} s ({', '.join(slow)}), drained in "
            f"{drained - broke:.1f} s, checked in {time.monotonic() - drained:.1f} s; "
            f"{len(self.load.ended)} orders, {self.witness.events} events, {self.witness.duplicates} sent again"
        )
        print(line, flush=True)

    def _next(self, faults: dict[str, Injection]) -> str:
        """Every kind comes once before any comes again."""
        bag = self.bags.setdefault(id(faults), [])
        if not bag:
            bag += faults
            self.draw.shuffle(bag)
        return bag.pop()

    async def _one_by_one(self, number: int, kinds: list[str]) -> None:
        for kind in kinds:
            await self._inject(number, kind, self.slow[kind])

    async def _wave(self, number: int, kinds: list[str]) -> None:
        """One after the other, a moment apart; recovery is awaited for all together."""
        tasks = []
        for kind in kinds:
            tasks.append(asyncio.create_task(self._inject(number, kind, self.quick[kind])))
            await asyncio.sleep(self.draw.uniform(0.2, 1.0))
        await asyncio.gather(*tasks)

    async def _inject(self, number: int, kind: str, injection: Injection) -> None:
        began = time.monotonic()
        try:
            await injection(self.scene)
        except NotMet as why:
            self.result.counts["not met"] += 1
            print(f"  {kind}: not met: {why}", flush=True)
            return
        broken = time.monotonic() - began
        injected = Injected(kind, number)
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
        accepted = Accepted(self.edges.accepted, self.load.ended, self.load.stocked)
        folder = self.cluster.folder / "messages"
        return await checker.check(self.cluster.target().databases, accepted, self.witness, folder)

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
        self.result.trouble += self.cluster.supervisor.unasked
        self.result.counts.update(
            {
                "orders": len(self.load.ended),
                "events": self.witness.events,
                "records": self.witness.records,
                "sent again": self.witness.duplicates,
                "in flight when topics were made anew": self.witness.early,
                "acknowledged by Kafka": self.edges.acknowledged,
                "answered over HTTP": self.edges.answered,
                "restarts": self.cluster.supervisor.restarts,
            }
        )
