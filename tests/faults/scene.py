"""What faults are injected into, and how one waits until a replica comes to a point."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tests.faults.cluster import REPLICAS, Cluster, service_of
from tests.faults.load import Load
from tests.faults.witness import Witness

PATIENCE = 40.0
"""Seconds that a replica has to come to a point: more than a killed one takes to be back."""


class NotMet(Exception):
    """The fault could not be injected: nobody came to the point, or there is no such node now."""


@dataclass
class Scene:
    """What faults are injected into."""

    cluster: Cluster
    witness: Witness
    draw: random.Random
    load: Load
    arming: defaultdict[str, asyncio.Lock]
    """One fault at a time waits at a point of a service."""
    spared: list[str]
    """Replicas that this kind of fault is still to meet before it meets any again."""
    met: str = ""
    """Which replica it met."""

    def replica(self, *services: str) -> str:
        """One replica: each in its turn, which chance decides."""
        spared = [r for r in self.spared if not services or service_of(r) in services]
        if not spared:
            self.spared[:] = spared = [r for r in REPLICAS if not services or service_of(r) in services]
        self.met = self.draw.choice(spared)
        self.spared.remove(self.met)
        return self.met

    async def come_to(self, point: str, replicas: Iterable[str], how: str) -> str:
        """Let a signal break whichever of these replicas comes to a point first; says which one it was. Raises NotMet."""
        files = {replica: self.cluster.faults_of(replica) / point for replica in replicas}
        for file in files.values():
            file.write_text(how)
        try:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                for replica, file in files.items():
                    if not file.exists():  # whoever breaks takes its file away
                        self.met = replica
                        return replica
                await asyncio.sleep(0.02)
            raise NotMet(f"{' and '.join(files)} did not come to {point}")
        finally:
            for file in files.values():
                file.unlink(missing_ok=True)


Injection = Callable[[Scene], Awaitable[None]]
