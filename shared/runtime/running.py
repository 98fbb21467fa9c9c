"""One running service: its four doors, its relay and its clock, put together and kept alive."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import func, select

from shared.runtime import standstill
from shared.runtime.auth import Tokens
from shared.runtime.clock import DrivenClock, WallClock, ahead
from shared.runtime.commands import Commands
from shared.runtime.due import DueTimers
from shared.runtime.forgetting import Forgetting
from shared.runtime.intake import METADATA_MS, Intake
from shared.runtime.messages import Incoming, Outcome, Refused
from shared.runtime.parking import STAYS, Parking, with_parking
from shared.runtime.places import ANSWER_SECONDS
from shared.runtime.postgres import UNAVAILABLE, PostgresStore, make_pool
from shared.runtime.reading import reader
from shared.runtime.relay import Relay
from shared.runtime.service import Service
from shared.runtime.settings import Settings
from shared.runtime.store import Changes
from shared.runtime.tasks import Loops, Signal, end
from shared.runtime.telemetry import Metrics
from shared.runtime.tracing import Tracing
from shared.runtime.turn import Turns

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 5
"""How often the gauges (lag, outbox, parked, overdue timers) are read."""

HEARD_SECONDS = 60
"""How long whoever hears first waits while nothing is heard."""

LATE_SECONDS = 30
"""Timers wait for the next look, and hear first: where there are many, some are always due. None is due for so long."""

SET_AGAIN_SECONDS = 0.5
"""Between tries to ask the database for the time, once it was away."""
SYNC_SECONDS = 10
"""How often a wall clock is set by the database's."""
FINISH_SECONDS = 25
"""That a service's further loops have to end by themselves; longer than they may wait for an answer from outside."""


class Runtime:
    """A service and all that makes it run; made inside the event loop, started once, stopped once."""

    def __init__(self, service: Service[Any], settings: Settings) -> None:
        self.service = service = with_parking(service)
        self.settings = settings
        self.clock = DrivenClock(settings.clock_start) if settings.clock == "driven" else WallClock()
        self.metrics = Metrics(service.name)
        self.tracing = Tracing(service.name, settings.otlp_endpoint)
        self.tokens = Tokens(settings.token_public_key)
        self.pool = make_pool(
            settings.database_url.get_secret_value(),
            size=settings.database_pool,
            statement_timeout_ms=settings.statement_timeout_ms,
        )
        self.read = reader(self.pool)
        self.turns = Turns(service, PostgresStore(self.pool), self.clock)
        self.commands = Commands(self.turns)
        driven = self.clock if isinstance(self.clock, DrivenClock) else None
        self.intake = Intake(self.turns, settings, self.tokens, driven)
        self.relay = Relay(self.pool, self._producer, service.name, service.source)
        self.due = DueTimers(self.turns, self._caught_up)
        if driven is not None:
            driven.moved = self.due.wake
        self.parking = Parking(self.turns, self.pool, self.intake.decode)
        self.forgetting = Forgetting(self.pool, self.clock, settings.ids_kept_for)
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        """Further loops of the service, run from start to stop. They end by themselves when `stopping` is set: what they have
        in hand, they finish."""
        self.stopping = Signal()
        self._loops, self._further, self._reading = Loops(), Loops(), Loops()
        self._asking: asyncio.Task[Any] | None = None
        self._unwell: set[str] | None = None
        """Parts that were not well at the last look, which the log has told."""
        self.turns.after_commit += [self.metrics.turn_done, self._committed]
        self.turns.took += [self.metrics.turn_took, self.tracing.turn_took]
        self.turns.onward = self.tracing.onward
        self.turns.first = self._set_clock  # no turn goes by the clock of a host alone

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka,
            acks="all",
            enable_idempotence=self.settings.kafka_idempotent,
            linger_ms=0,  # the relay hands over whole batches
            metadata_max_age_ms=METADATA_MS,
            max_batch_size=256 * 1024,
            request_timeout_ms=20_000,
        )

    async def start(self) -> None:
        """Open all doors; what is not there yet is waited for in the background, readiness says which."""
        await self.pool
        self.commands.start()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._set_clock(), 3)
        for loop in (self.intake.start, self._watch_reading):
            self._reading.begin(loop)
        for loop in (
            self.intake.places.watch,
            self.intake.places.follow,
            self.relay.run,
            self.due.run,
            self.parking.run,
            self.forgetting.run,
            self._sample,
            self._keep_time,
        ):
            self._loops.begin(loop)
        for loop in self.background:
            self._further.begin(loop)

    async def stop(self) -> None:
        """Finish what is in hand, then close; nothing is lost by stopping at any point."""
        self.stopping.set()
        await self._reading.end()  # what ends now must not be begun meanwhile
        # commands last: what further loops finish, they say through them
        finished = self._further.end(FINISH_SECONDS)
        await asyncio.gather(self.intake.stop(), finished, return_exceptions=True)
        await self.commands.stop()
        await self._loops.end()
        if self._asking is not None:
            self._asking.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.pool.close(), 5)
        await asyncio.to_thread(self.tracing.close)

    def _committed(self, messages: Sequence[Incoming], outcomes: Sequence[Outcome], changes: Changes) -> None:
        if changes.entries:
            self.relay.committed(changes)
        if any(timer.due <= self.clock.now() for timer in changes.timers_set):
            self.due.wake()
        if any(m.lane for m in messages) and any(o.status in STAYS for o in outcomes):
            self.parking.wake()

    async def readiness(self) -> dict[str, str | None]:
        """What must be well to serve: None where it is, a sentence where it is not."""
        return {
            "database": self.intake.away or await self._database(),
            "kafka": await self.intake.unassigned(),
            "http": self.commands.trouble,
            "relay": self.relay.trouble,
            "timers": self.due.trouble,
            "loops": self.intake.failing
            or self._loops.trouble
            or self._further.trouble
            or self._reading.trouble,
        }

    async def _database(self) -> str | None:
        # a question to a server that stands still is given up late, and giving it up waits for the server too: it goes on by
        # itself, and whoever asks next hears of the same
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self.pool.fetchval("SELECT 1 FROM cursors LIMIT 1"))
        await asyncio.wait({self._asking}, timeout=ANSWER_SECONDS)
        if not self._asking.done():
            return f"the database cannot be reached: no answer in {ANSWER_SECONDS} s"
        try:
            self._asking.result()
        except UNAVAILABLE as away:
            return f"the database cannot be reached: {type(away).__name__}"
        except Exception as error:
            return f"the database is not as expected ({type(error).__name__}); were migrations run?"
        return None

    async def progress(self) -> dict[str, Any]:
        """How far the service is: what a driver of the clock waits for, and what ops look at."""
        return {
            "service": self.service.name,
            "clock": self.clock.now().isoformat(),
            "clock_driven": self.clock.driven,
            "timers_seen": self.due.looked_at.isoformat(),
            **await self._waiting(),
            "topics": self.service.topics,
            "applied": {
                f"{topic}/{partition}": n for (topic, partition), n in (await self._applied()).items()
            },
        }

    async def _waiting(self) -> dict[str, Any]:
        """What waits in the database, and how long the oldest of it has waited."""
        now = self.clock.now()
        (found,) = await self.pool.fetch(_WAITING, now)

        def age(since: datetime | None) -> float:
            return max((now - since).total_seconds(), 0.0) if since else 0.0

        return {
            "outbox": found["outbox"],
            "outbox_next": found["outbox_next"],
            "outbox_oldest_seconds": age(found["outbox_since"]),
            "timers_due": found["timers_due"],
            "timers_oldest_seconds": age(found["timers_since"]),
            "parked": await self.parking.counts(),
        }

    async def _applied(self) -> dict[tuple[str, int], int]:
        """How far each partition was applied; what Kafka would have to say is left out while it does not answer."""
        try:
            return await asyncio.wait_for(self.intake.places.progress(), ANSWER_SECONDS)
        except (KafkaError, OSError, TimeoutError):
            return dict(self.intake.places.applied)

    async def lag(self) -> dict[str, int]:
        """By topic, the records that nobody in the service's group applied yet. Refused when Kafka does not say."""
        if self.intake.consumer is None:
            raise Refused("kafka_away", f"Kafka is not asked: {self.intake.trouble}", status=503)
        by_topic = dict.fromkeys(self.service.topics, 0)
        try:
            lag = await asyncio.wait_for(self.intake.places.lag(of_group=True), ANSWER_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            detail = f"Kafka does not answer: {type(error).__name__}"
            raise Refused("kafka_away", detail, status=503) from None
        for (topic, _), behind in lag.items():
            by_topic[topic] += behind
        return by_topic

    async def _watch_reading(self) -> None:
        await standstill.watch(self.intake)

    async def _keep_time(self) -> None:
        while True:
            try:
                await self._set_clock()
            except Exception:  # a clock that cannot be set now is set again soon
                await asyncio.sleep(SET_AGAIN_SECONDS)
            else:
                await asyncio.sleep(SYNC_SECONDS)

    async def _set_clock(self) -> None:
        if isinstance(self.clock, WallClock):
            asked = datetime.now(UTC)
            (found,) = await self.read(select(func.clock_timestamp().label("now")))
            self.clock.set(found["now"])
            self.metrics.sample_clock(ahead(asked, found["now"], datetime.now(UTC)))

    async def hear_first(self) -> None:
        """Return once all that Kafka held at the call is applied; or nothing of it was for a minute; or the service stops."""
        hearing = asyncio.create_task(self.intake.places.caught_up(HEARD_SECONDS))
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({hearing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await end([hearing, stopping])

    async def _caught_up(self, patience: float, anew: float) -> bool:
        await self._set_clock()
        return await self.intake.places.caught_up(patience, anew)

    async def _sample(self) -> None:
        while True:
            for look in (self._sample_readiness, self._sample_waiting, self._sample_lag):
                with contextlib.suppress(Exception):  # a gauge that cannot be read now is read again soon
                    await look()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _sample_readiness(self) -> None:
        checks = await self.readiness()
        self.metrics.sample_readiness(checks)
        troubles = {part: why for part, why in checks.items() if why is not None}
        if troubles.keys() == self._unwell:
            return
        self._unwell = set(troubles)
        if troubles:
            log.warning("not ready", service=self.service.name, **troubles)
        else:
            log.info("ready", service=self.service.name)

    async def _sample_waiting(self) -> None:
        w = await self._waiting()
        late = w["timers_due"] if w["timers_oldest_seconds"] > LATE_SECONDS else 0
        self.metrics.sample(w["outbox"], w["outbox_oldest_seconds"], late, w["parked"])

    async def _sample_lag(self) -> None:
        places = self.intake.places
        lag = await asyncio.wait_for(places.lag(), ANSWER_SECONDS)
        self.metrics.sample_lag(lag, places.applied, time.monotonic())


# a position of 0 is no event (`outbox.FILLED`)
_WAITING = """
SELECT (SELECT count(*) FROM outbox WHERE position > 0) AS outbox, n.position AS outbox_next, l.time AS outbox_since, t.*
FROM (SELECT min(position) AS position FROM outbox WHERE position > 0) n LEFT JOIN event_log l USING (position),
     (SELECT count(*) AS timers_due, min(due) AS timers_since FROM timers WHERE due <= $1) t
"""
