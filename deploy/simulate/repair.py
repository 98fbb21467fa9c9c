"""Ops: they retry what is parked once its bug is mended, mend what was damaged on its way, and skip what is nobody's."""

from base64 import b64decode
from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from deploy.simulate.edges import ADMINISTRATOR
from deploy.simulate.host import Host
from deploy.simulate.steps import Fiber
from shared.runtime.bookkeeping import Parked
from shared.runtime.commands import asked
from shared.runtime.messages import Command
from shared.runtime.parking import MendParked, SkipParked

if TYPE_CHECKING:
    from deploy.simulate.world import World

NOBODYS = b"nobody's"
"""A record without headers, which no service of ours sent."""


class Ops:
    """What they do by one replica: lanes that they want retried, one after the other."""

    def __init__(self, host: Host, world: "World") -> None:
        self.host = host
        self.world = world
        self.fiber = Fiber("ops", self.retry, host.to_retry.__len__)

    async def retry(self) -> None:
        """A lane, and whatever stops it first is put right before."""
        lane = self.host.to_retry.popleft()
        while (repair := self._repair(self.host.waiting(lane))) is not None:
            command, key = repair
            now = self.world.now()
            await self.host.patiently([asked(command, ADMINISTRATOR, now, key=key)])
            await self.host.retry(lane)
        await self.host.retry(lane)

    def _repair(self, waiting: Sequence[Parked]) -> tuple[Command, str] | None:
        if not waiting:
            return None
        parked, body = waiting[0], b64decode(waiting[0].body)
        key = f"{parked.parked_key} {parked.parked_at} {parked.tries}"  # whoever did it twice did it once
        if (entry := self.world.chaos.damaged.get(body)) is not None:
            whole = orjson.loads(entry.wire)
            return MendParked(parked_key=parked.parked_key, body=whole, reason="damaged on its way"), key
        if body == NOBODYS:
            return SkipParked(parked_key=parked.parked_key, reason="no service of ours sent it"), key
        return None
