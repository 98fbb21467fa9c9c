"""All services in step on a driven clock: move it by an event on the `clock` topic, wait until everything has settled."""

import asyncio
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.play.edges import Edges, person
from shared.values import Role

WATCHER = person("replay", Role.ADMINISTRATOR)


class Pace:
    """Use as an async context manager."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self.now: datetime | None = None
        self._partitions: dict[str, list[int]] = {}
        self._consumer = AIOKafkaConsumer(bootstrap_servers=edges.target.kafka)

    async def __aenter__(self) -> "Pace":
        await self._consumer.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.edges.target.kafka)
        await admin.start()
        try:
            for topic in await admin.describe_topics():
                self._partitions[topic["topic"]] = [p["partition"] for p in topic["partitions"]]
        finally:
            await admin.close()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._consumer.stop()

    async def move_to(self, now: datetime) -> None:
        """Set the clock of all services; they follow within the next `settled`."""
        await self.edges.producer.send_and_wait("clock", now.isoformat().encode())
        self.now = now

    async def settled(self, patience: float = 300, look_every: float = 0.01) -> None:
        """Wait until nothing moves: every record applied, every event sent, no timer due, all clocks at the same time.

        Raises TimeoutError with what still moves.
        """
        deadline = asyncio.get_running_loop().time() + patience
        before: dict[str, int] | None = None
        while True:
            moving, ends = await self._moving()
            if not moving and ends == before:
                return
            before = ends if not moving else None
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"the system does not settle: {moving}")
            await asyncio.sleep(look_every)

    async def _moving(self) -> tuple[str, dict[str, int]]:
        asked = (self.edges.get(service, "/ops/progress", WATCHER) for service in self.edges.target.urls)
        states: list[dict[str, Any]] = await asyncio.gather(*asked)
        ends = await self._ends({topic for state in states for topic in state["topics"]})
        for state in states:
            name = state["service"]
            if state["outbox"] or state["timers_due"]:
                return f"{name}: {state['outbox']} events to send, {state['timers_due']} timers due", ends
            seen = min(datetime.fromisoformat(state[key]) for key in ("clock", "timers_seen"))
            if self.now is not None and seen < self.now:
                return f"{name}: its clock stands at {seen}", ends
            for place, end in ends.items():
                topic, _, _ = place.rpartition("/")
                if topic in state["topics"] and state["applied"].get(place, 0) < end:
                    return f"{name}: {state['applied'].get(place, 0)} of {end} of {place} applied", ends
        return "", ends

    async def _ends(self, topics: set[str]) -> dict[str, int]:
        partitions = [TopicPartition(t, p) for t in topics for p in self._partitions[t]]
        ends = await self._consumer.end_offsets(partitions)
        return {f"{tp.topic}/{tp.partition}": end for tp, end in ends.items()}
