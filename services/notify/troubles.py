"""What could not be sent, by channel: for the doctor, and as gauges."""

import contextlib
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Gauge
from sqlalchemy import DateTime, Select, cast, exists, func, select

from services.notify.routing import Routing
from services.notify.sending import LEASE
from services.notify.tables import MessageState, messages
from shared.runtime.running import SAMPLE_SECONDS, Runtime

_last_error = messages.c.doc["last_error"].astext
_TRIED = select(
    messages.c.channel,
    func.count().label("waiting"),
    func.max(messages.c.tries).label("tries"),
    func.max(_last_error).label("last_error"),
    func.max(cast(messages.c.doc["planned_at"].astext, DateTime(timezone=True))).label("newest"),
).where(messages.c.state == MessageState.PLANNED, messages.c.tries > 0, _last_error != "")
COUNTS = ("unserved", "untaken", "given_up")
UNTAKEN_AFTER = timedelta(minutes=15)
"""A letter that is due is taken within seconds, and one that failed is given a new time: one due for so long has no taker."""


def _left_since(channel: str, newest: datetime) -> Select[Any]:
    """Whether the channel took anything since then; a message that was sent keeps the end of its sender's lease."""
    sent = messages.c.state == MessageState.SENT
    return select(exists().where(sent, messages.c.channel == channel, messages.c.due > newest + LEASE))


def _count(name: str, state: MessageState) -> Select[Any]:
    return select(messages.c.channel, func.count().label(name)).where(messages.c.state == state)


async def troubles(runtime: Runtime) -> list[dict[str, Any]]:
    """Of each channel with any: messages that wait after a failed try, the most tries, an error, and whether it is away, for it
    took none since the newest of these was planned; how many wait for a channel that the settings do not name; how many are due
    and not taken; and how many were given up."""
    served = messages.c.channel.in_(channels_of(runtime.service.desk().routing))
    unserved = _count("unserved", MessageState.PLANNED).where(~served)
    long_due = messages.c.due < runtime.clock.now() - UNTAKEN_AFTER
    untaken = _count("untaken", MessageState.PLANNED).where(served, long_due)
    given_up = _count("given_up", MessageState.FAILED)
    found: dict[str, dict[str, Any]] = {}
    for query in (unserved, _TRIED.where(served), untaken, given_up):
        for record in await runtime.read(query.group_by(messages.c.channel)):
            empty = {"waiting": 0, "tries": 0, "last_error": "", "away": False} | dict.fromkeys(COUNTS, 0)
            found.setdefault(record["channel"], empty).update(record)
    for one in found.values():
        if newest := one.pop("newest", None):
            (answer,) = await runtime.read(_left_since(one["channel"], newest))
            one["away"] = not next(iter(answer.values()))
    return [found[channel] for channel in sorted(found)]


def channels_of(routing: Routing) -> list[str]:
    """The channels that the settings name; files are always written."""
    return ["file", routing.buyer, routing.staff, *(f"webhook:{w.name}" for w in routing.webhooks)]


class TroubleGauges:
    """Run `run()` as long as the service runs."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        more: dict[str, Any] = {"namespace": "handover", "registry": runtime.metrics.registry}
        self._waiting = Gauge("unsent_messages", "Letters that wait after a failed try.", ["channel"], **more)
        self._away = Gauge("channel_away", "1 where letters fail and none leaves.", ["channel"], **more)
        self._unserved = Gauge(
            "unserved_messages", "Letters for a channel that the settings do not name.", ["channel"], **more
        )
        self._untaken = Gauge("untaken_messages", "Letters that nobody takes to send.", ["channel"], **more)
        self._given_up = Gauge("given_up_messages", "Letters given up.", ["channel"], **more)

    async def run(self) -> None:
        """Set the gauges again and again."""
        while not self.runtime.stopping.is_set():
            with contextlib.suppress(Exception):  # read again soon
                found = await troubles(self.runtime)
                for gauge in (self._waiting, self._away, self._unserved, self._untaken, self._given_up):
                    gauge.clear()
                for one in found:
                    self._waiting.labels(one["channel"]).set(one["waiting"])
                    self._away.labels(one["channel"]).set(one["away"])
                    self._unserved.labels(one["channel"]).set(one["unserved"])
                    self._untaken.labels(one["channel"]).set(one["untaken"])
                    self._given_up.labels(one["channel"]).set(one["given_up"])
            await self.runtime.stopping.within(SAMPLE_SECONDS)
