"""Faults of the services' replicas and of the hosts that they run on: killed, frozen, with a wrong clock."""

import asyncio
import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg

from deploy.play.day import AGENT
from deploy.play.edges import Edges, Refusal
from shared.runtime.relay import LEASE
from tests.faults import kafka
from tests.faults.cluster import REPLICAS, service_of
from tests.faults.scene import PATIENCE, Injection, NotMet, Scene

TAKEN_OVER = 60.0
"""Seconds, beyond those that a frozen replica's session or lead lasts, after which another must have done its work."""
BACK = 120.0
"""Seconds that a replica may take to be ready again, whatever else breaks meanwhile."""


def both(service: str) -> list[str]:
    """The replicas of a service."""
    return [replica for replica in REPLICAS if service_of(replica) == service]


# --- killed -----------------------------------------------------------------------------------------------------


async def kill_replica(scene: Scene) -> None:
    """kill -9, at any moment."""
    process = scene.cluster.processes[scene.replica()]
    process.kill()
    await asyncio.sleep(0.05)


def kill_at(point: str, *services: str, asking: bool = False) -> Injection:
    """kill -9 when a replica comes to a point of its work; whichever of the two comes first. With `asking`, services that the
    load asks nothing are asked something."""

    async def kill(scene: Scene) -> None:
        service = service_of(scene.replica(*services))
        async with scene.arming[f"{service} {point}"]:
            if asking:
                ask(scene, service)
            await scene.come_to(point, both(service), "SIGKILL")

    return kill


# --- asked ------------------------------------------------------------------------------------------------------


def ask(scene: Scene, service: str) -> None:
    """Let somebody ask after-sales or notify for something over HTTP; until they are answered they live like any order."""
    if service in ASKING:
        task = asyncio.create_task(_guarded(scene, ASKING[service](scene)))
        scene.load.living.add(task)
        task.add_done_callback(scene.load.living.discard)


async def _guarded(scene: Scene, asking: Coroutine[Any, Any, None]) -> None:
    try:
        await asking
    except (Refusal, TimeoutError) as error:
        scene.load.failures.append(f"asked over HTTP: {error!r}")


async def _money_back(scene: Scene) -> None:
    """An agent asks for money back on an order that has ended, and thinks better of it. There is one case of it, though who was
    asked died of it."""
    edges, deadline = scene.load.edges, time.monotonic() + PATIENCE
    reason, case_id = edges.fresh("too dear"), None
    while case_id is None:
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.2)
        if scene.load.ended:
            order_id = scene.draw.choice(list(scene.load.ended))
            wish = {"kind": "refund_only", "order_id": order_id, "amount": 1, "reason": reason}
            with contextlib.suppress(Refusal):  # it was canceled, and all was paid back
                case_id = (await edges.ask("aftersales", "/v1/cases", AGENT, wish))["case_id"]
    cases = await edges.get("aftersales", f"/v1/cases?order_id={order_id}", AGENT)
    opened = [case["case_id"] for case in cases if case["reason"] == reason]
    if opened != [case_id]:
        scene.load.failures.append(f"asked once for money, {case_id} was answered, and there are {opened}")
    why = {"reason": "thought better of it"}
    await edges.ask("aftersales", f"/v1/cases/{case_id}/reject", AGENT, why)


async def _no_letters(scene: Scene) -> None:
    """A buyer who never bought wants no letters. It is noted, though who was asked died of it."""
    edges = scene.load.edges
    buyer_id = edges.fresh("nobody")
    # nothing is said of it, so that it is asked for here whether it was done
    await Edges.ask(edges, "notify", "/v1/opt-outs", AGENT, {"buyer_id": buyer_id, "opted_out": True})
    said = await edges.get("notify", f"/v1/opt-outs?buyer_id={buyer_id}", AGENT)
    if [wish["opted_out"] for wish in said] != [True]:
        scene.load.failures.append(f"{buyer_id} opted out, was answered, and there is {said}")


ASKING: dict[str, Callable[[Scene], Coroutine[Any, Any, None]]] = {
    "aftersales": _money_back,
    "notify": _no_letters,
}
"""Services that the load asks nothing over HTTP; the first would seldom say anything, for nobody sends goods back."""


# --- frozen -----------------------------------------------------------------------------------------------------


async def freeze_replica(scene: Scene) -> None:
    """SIGSTOP for longer than its session: the others take its work over, then it wakes up and knows nothing of that."""
    process = scene.cluster.processes[scene.replica()]
    if process.poll() is not None:
        raise NotMet("it is dead already")
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(scene.cluster.broker.session_ms / 1000 + scene.draw.uniform(2, 5))
    process.send_signal(signal.SIGCONT)


async def freeze_turn(scene: Scene) -> None:
    """SIGSTOP in a turn of records, before its commit or before its offsets, until another has done the same turn."""
    replica, point = scene.replica(), scene.draw.choice(("before_commit", "before_offsets"))
    group = f"handover-{service_of(replica)}"

    async def passed(first: list[Any]) -> bool:
        topic, partition, offset = first
        return bool(await kafka.committed(scene.cluster.broker, group, topic, partition) > offset)

    await _freeze_at(scene, point, [replica], passed, scene.cluster.broker.session_ms / 1000)


async def freeze_relay(scene: Scene) -> None:
    """SIGSTOP of a relay that is about to send, or to delete from the outbox what Kafka has acknowledged, until another has led
    and done both."""
    service = service_of(scene.replica())
    point = scene.draw.choice(("before_sending", "before_deleting"))

    async def gone(positions: list[Any]) -> bool:
        try:
            connection = await asyncpg.connect(scene.cluster.database_url(service, owner=True), timeout=10)
        except (OSError, asyncpg.PostgresError):
            return False  # another fault is at it
        try:
            left = await connection.fetchval(
                "SELECT count(*) FROM outbox WHERE position = ANY($1)", positions
            )
            return int(left) == 0
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        finally:
            await connection.close()

    ask(scene, service)
    await _freeze_at(scene, point, both(service), gone, LEASE)


async def _freeze_at(
    scene: Scene,
    point: str,
    replicas: list[str],
    taken_over: Callable[[list[Any]], Awaitable[bool]],
    lasts: float,
) -> None:
    """Freeze whichever replica comes to a point first, and wake it a moment after another did what it has in hand. Raises
    NotMet when somebody killed it meanwhile, TimeoutError when nobody took over: that must come by itself."""
    service = service_of(replicas[0])
    async with scene.arming[f"{service} {point}"]:
        replica = await scene.come_to(point, replicas, "SIGSTOP")
    process = scene.cluster.processes[replica]
    deadline = time.monotonic() + lasts + TAKEN_OVER
    try:
        while not _stands(process):
            await asyncio.sleep(0.02)
        in_hand = json.loads((scene.cluster.faults_of(replica) / "in_hand").read_text())
        while not await taken_over(in_hand):
            if process.poll() is not None:
                raise NotMet(f"{replica} was killed while it stood")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{replica} stood {point}, and nobody took over {in_hand}")
            await asyncio.sleep(0.3)
        await asyncio.sleep(scene.draw.uniform(1, 2))
    finally:
        process.send_signal(signal.SIGCONT)


def _stands(process: "subprocess.Popen[bytes]") -> bool:
    """True once a stopped process has stopped. Raises NotMet when it is gone."""
    if process.poll() is not None:
        raise NotMet("it was killed just then")
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


# --- its clock --------------------------------------------------------------------------------------------------


async def jump_clock(scene: Scene) -> None:
    """The clock of one host jumps an hour ahead or back for some seconds; half of the time its replica starts anew under it."""
    replica = scene.replica()
    file = scene.cluster.faults_of(replica) / "clock"
    file.write_text(scene.draw.choice(["3600", "-3600"]))
    try:
        if scene.draw.random() < 0.5:
            scene.cluster.kill(replica)
            await scene.cluster.until_ready(BACK, [replica])
        await asyncio.sleep(scene.draw.uniform(4, 7))
    finally:
        file.unlink()
