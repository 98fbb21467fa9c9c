"""The load and the course of `make faults`: whatever makes a run say less than it seems to is told (X2)."""

import asyncio
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.play.edges import Refusal, Target
from deploy.play.script import Script, write
from shared.values import Actor, ActorKind
from tests.faults.cluster import REPLICAS
from tests.faults.edges import FaultyEdges, Step, kind
from tests.faults.findings import Ended
from tests.faults.load import Load
from tests.faults.report import command, markdown, rows, tell
from tests.faults.run import Injected, Result, Run, ended
from tests.faults.scene import NotMet, Scene
from tests.faults.witness import Said, Witness
from tests.harness import START

pytestmark = pytest.mark.requirement("X2")


async def test_what_kafka_acknowledged_is_not_sent_again_until_its_topic_is_made_anew():
    sent = list[str]()

    class Taking:
        async def offer(self, event: Any, actor: Any, id: str) -> bool:
            sent.append(id)
            return len(sent) > 1

    witness = Witness("")
    load = Load(Taking(), witness, 1, 1.0)  # type: ignore[arg-type]
    load.draw = SimpleNamespace(random=lambda: 1.0)  # type: ignore[assignment]
    step = Step(None, None, "a", lambda said: False)  # type: ignore[arg-type]
    for _ in range(4):
        await load._offer(step)
    assert sent == ["a", "a"], "once more, for the first was not acknowledged"
    witness.lives += 1
    await load._offer(step)
    assert len(sent) == 3


@pytest.mark.parametrize("error", [KeyError("courier"), Refusal(409, {}), TimeoutError("no answer")])
async def test_an_order_that_any_error_ended_is_told(error: Exception, monkeypatch: pytest.MonkeyPatch):
    async def buy(load: Load, script: Script) -> None:
        raise error

    monkeypatch.setattr(Load, "_buy", buy)
    load = Load(None, Witness(""), 1, 1.0)  # type: ignore[arg-type]
    script = write("run", 1, 1, START)[0]
    await load._live(script)
    await load._guarded(script, buy(load, script))
    assert load.failures == [
        f"{script.number} ({script.story}): {error!r}",
        f"{script.number} (agent): {error!r}",
    ]
    assert load.ended == {}


def test_a_load_of_which_too_little_ended_is_told():
    load = Load(None, Witness(""), 1, 1.0)  # type: ignore[arg-type]
    assert load.too_few() == "only 0 orders ended of 0 that were due"
    order = Ended("1", canceled=False, payments=1, pieces=Counter(), reached_at="b@example.org")
    load.due, load.ended = 40, {str(n): order for n in range(9)}
    assert load.too_few() == "only 9 orders ended of 40 that were due"
    load.ended["9"] = order
    assert load.too_few() == ""


async def test_a_task_that_ended_before_the_run_did_is_told():
    async def broken() -> None:
        raise KeyError("courier")

    tasks = [
        asyncio.create_task(broken(), name="load"),
        asyncio.create_task(asyncio.sleep(60), name="supervisor"),
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert ended(tasks) == ["the load ended: KeyError('courier')"]
    tasks[1].cancel()


async def test_a_command_is_remembered_under_its_key_once_it_is_answered(monkeypatch: pytest.MonkeyPatch):
    asked = list[dict[str, str]]()

    async def answer(
        edges: Any, method: str, url: str, actor: Actor, headers: dict[str, str], body: bytes
    ) -> Any:
        asked.append(headers)
        if len(asked) > 1:
            raise Refusal(409, {})

    monkeypatch.setattr(FaultyEdges, "_ask", answer)
    edges = FaultyEdges(Target("", {"orders": ""}, lambda actor: ""), lambda actor, good_for: "")
    agent = Actor(kind=ActorKind.OPERATOR, name="mei")
    await edges.ask("orders", "/v1/orders/1/confirm-address", agent)
    with pytest.raises(Refusal):
        await edges.ask("orders", "/v1/orders/1/confirm-address", agent)
    first, second = (headers["idempotency-key"] for headers in asked)
    assert first != second
    assert edges.commands["orders"] == {first}
    assert edges.accepted["orders"] == {f"operator:mei {first}"}
    await edges.http.aclose()


def a_run(monkeypatch: pytest.MonkeyPatch, seed: int) -> Run:
    """A run on no cluster, whose faults recover at once."""
    run = Run(None, seed, 1.0)  # type: ignore[arg-type]
    run.witness, run.load = Witness(""), SimpleNamespace()  # type: ignore[assignment]

    async def recovered(patience: float) -> float:
        return 0.0

    run.prober = SimpleNamespace(recovered=recovered)  # type: ignore[assignment]
    return run


async def test_a_kind_of_fault_that_was_never_met_fails_the_run(monkeypatch: pytest.MonkeyPatch):
    run = a_run(monkeypatch, 1)
    tries = list[str]()

    def met_at(kind: str, nth: int) -> Any:
        async def injection(scene: Scene) -> None:
            tries.append(kind)
            if tries.count(kind) != nth:
                raise NotMet("nobody came")

        return injection

    run.slow = {"never": met_at("never", 9), "at last": met_at("at last", 2)}
    await run._one_by_one(1, ["never", "at last"], alone=True)
    assert [fault.kind for fault in run.result.faults] == ["at last"]
    assert run.result.never_met() == ["'never' was never met"]
    assert run.result.counts["not met"] == tries.count("never") + 1


async def test_what_a_fault_draws_depends_on_the_seed_alone_whatever_else_is_injected(
    monkeypatch: pytest.MonkeyPatch,
):
    async def drawn(seed: int, *others: float) -> dict[str, list[float]]:
        """What two injections that run at once draw, when each waits so long between its draws."""
        run, draws = a_run(monkeypatch, seed), dict[str, list[float]]()

        def drawing(kind: str, wait: float) -> Any:
            async def injection(scene: Scene) -> None:
                draws[kind] = []
                for _ in range(3):
                    draws[kind].append(scene.draw.random())
                    await asyncio.sleep(wait)

            return injection

        run.slow = {kind: drawing(kind, wait) for kind, wait in zip("ab", others, strict=True)}
        await asyncio.gather(
            *(run._inject(1, n, kind, run.slow[kind], alone=False) for n, kind in enumerate("ab"))
        )
        return draws

    first = await drawn(1, 0, 0.02)
    assert await drawn(1, 0.02, 0) == first
    assert await drawn(2, 0, 0) != first
    assert first["a"] != first["b"]


def test_each_replica_is_met_before_any_is_met_again():
    spared = list[str]()

    def met(*services: str) -> str:
        return Scene(None, None, random.Random(len(spared)), None, None, spared).replica(*services)  # type: ignore[arg-type]

    assert sorted(met() for _ in REPLICAS) == sorted(REPLICAS)
    assert sorted(met("notify") for _ in range(2)) == ["notify-1", "notify-2"]


@pytest.mark.parametrize("door", ["http", "kafka"])
async def test_what_comes_too_early_is_asked_again_and_any_other_refusal_fails_the_run(door: str):
    def said(kind: str, **data: str) -> Said:
        return Said(f"orders.{kind}.v1", "order/a", 1, data)

    class Refusing:
        def __init__(self) -> None:
            self.codes = ["unknown_order", "does_not_add_up"]
            self.ids = list[str]()

        def fresh(self, name: str) -> str:
            return f"{name}+"

        async def say(self, event: Any, actor: Any, id: str) -> None:
            self.ids.append(id)
            if self.codes:
                raise Refusal(409, {"code": self.codes.pop(0)})
            load._hear(said("order_paid"))

        async def offer(self, event: Any, actor: Any, id: str) -> bool:
            try:
                await self.say(event, actor, id)
            except Refusal as refusal:
                load._hear(said("message_refused", refused=id, code=refusal.code))
            return True

    edges = Refusing()
    load = Load(edges, Witness(""), 1, 1.0)  # type: ignore[arg-type]
    load.draw = SimpleNamespace(random=lambda: 1.0)  # type: ignore[assignment]
    script = SimpleNamespace(order_id="a", number="1")
    step = Step(None, None, "pay", kind("order_paid"))  # type: ignore[arg-type]
    await load.hand_in(script, [step], over_http=door == "http")  # type: ignore[arg-type]
    assert edges.ids == ["pay", "pay+", "pay++"]
    assert load.failures == ["pay+ was refused: does_not_add_up"]
    assert load.refusals == {"unknown_order": 1, "does_not_add_up": 1}


def test_recovery_is_told_of_faults_that_came_by_themselves_and_of_waves_apart():
    result = Result(1)
    for alone, seconds in ((True, 1.0), (True, 3.0), (False, 9.0)):
        result.faults.append(Injected("replica killed", 1, alone, "orders-1", seconds))
    row = next(row for row in rows(result) if row["fault"] == "replica killed")
    assert (row["injected"], row["alone"], row["met"]) == (3, 2, {"orders-1": 3})
    told = ("recovery_median_s", "recovery_worst_s", "recovery_worst_in_waves_s")
    assert [row[name] for name in told] == [2.0, 3.0, 9.0]
    assert "| replica killed | 3 | 0 | 0 | 0 | 2 | 2.0 | 3.0 | 9.0 |" in markdown(result)


def test_the_order_of_faults_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch):
    runs = [a_run(monkeypatch, seed) for seed in (1, 1, 2)]
    orders = [[run._some() for _ in range(3)] for run in runs]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Result(7, short=True), "--seed 7 --rate 1 --short"),
        (
            Result(7, 2.5, ["all Kafka", "killed"], rounds=3),
            "--seed 7 --rate 2.5 --rounds 3 --only 'all Kafka' --only killed",
        ),
    ],
)
def test_the_whole_command_line_that_repeats_a_run_is_told(result: Result, line: str):
    assert command(result) == f"python -m tests.faults {line}"
    assert tell(result).splitlines()[-1] == f"Repeat with: {command(result)}"
