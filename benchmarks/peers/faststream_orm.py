"""FastStream and the SQLAlchemy ORM as their documentation shows them: a subscriber per message, a session per message.

Acknowledged after the commit and the publish (the default, ack first, loses messages on a crash). A message seen before
answers with the event that was logged for it, so that a crash between commit and publish loses nothing either. With BENCH_BATCH
it takes batches of so many messages instead (`batch=True`), by the same rules: a session and a commit for each batch.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import uvloop
from faststream import AckPolicy, ContextRepo, FastStream, Header
from faststream.kafka import KafkaBroker, KafkaResponse
from faststream.kafka.annotations import KafkaMessage
from sqlalchemy import BigInteger, DateTime, Identity, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.work import Account, PaymentBooked, PaymentTaken, book


class Base(DeclarativeBase):
    """Declarative base."""


class AccountRow(Base):
    """The row that is changed."""

    __tablename__ = "accounts"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(BigInteger)
    payments: Mapped[int] = mapped_column(BigInteger)
    doc: Mapped[dict[str, Any]] = mapped_column(JSONB)


class LoggedEvent(Base):
    """The event log; `cause` is unique and so remembers what was seen."""

    __tablename__ = "event_log"
    position: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    cause: Mapped[str] = mapped_column(Text, unique=True)
    stream: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    data: Mapped[str] = mapped_column(Text)


WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))
"""Partitions worked on at once, each in order; 1 is what FastStream does when nothing is said."""
BATCH = int(os.environ.get("BENCH_BATCH", "0"))
"""Messages of a batch; 0 takes them one by one."""

engine = create_async_engine(
    os.environ["BENCH_DATABASE"].replace("postgresql://", "postgresql+asyncpg://"), pool_size=max(4, WORKERS)
)
Session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(os.environ["BENCH_KAFKA"], acks="all", enable_idempotence=True, logger=None)


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
    """Close the pool at the end."""
    yield
    await engine.dispose()


app = FastStream(broker, lifespan=lifespan)


async def take(event: PaymentTaken, event_id: Annotated[str, Header("ce_id")]) -> KafkaResponse:
    """One message, one session, one transaction."""
    async with Session() as session, session.begin():
        logged = await session.scalar(select(LoggedEvent).where(LoggedEvent.cause == event_id))
        if logged is not None:
            said = _logged(logged)
        else:
            row = await session.get_one(AccountRow, event.order_id, with_for_update=True)
            said = _book(session, row, event, event_id)
    return KafkaResponse(
        said, key=said.stream.encode(), headers={"ce_type": said.wire_type, "ce_causationid": event_id}
    )


async def take_batch(events: list[PaymentTaken], message: KafkaMessage) -> None:
    """One batch, one session, one transaction. Published message by message, the acknowledgments awaited together: FastStream's
    own batches go to one partition whatever their keys, and have headers in common."""
    ids = [headers["ce_id"] for headers in message.batch_headers]
    async with Session() as session, session.begin():
        found = await session.scalars(select(LoggedEvent).where(LoggedEvent.cause.in_(ids)))
        said = {logged.cause: _logged(logged) for logged in found}
        orders = {event.order_id for event, event_id in zip(events, ids, strict=True) if event_id not in said}
        accounts = select(AccountRow).where(AccountRow.order_id.in_(orders)).order_by(AccountRow.order_id)
        rows = {row.order_id: row for row in await session.scalars(accounts.with_for_update())}
        for event, event_id in zip(events, ids, strict=True):
            if event_id not in said:
                said[event_id] = _book(session, rows[event.order_id], event, event_id)
    sent = [
        await publisher.publish(
            said[event_id],
            key=said[event_id].stream.encode(),
            headers={"ce_type": said[event_id].wire_type, "ce_causationid": event_id},
            no_confirm=True,
        )
        for event_id in ids
    ]
    await asyncio.gather(*sent)


def _book(session: AsyncSession, row: AccountRow, event: PaymentTaken, event_id: str) -> PaymentBooked:
    """Apply the rule to the row, and add what is logged to the session."""
    account, said = book(Account(row.order_id, row.balance, row.payments, **row.doc), event)
    row.balance, row.payments = account.balance, account.payments
    row.doc = {"last_payment": account.last_payment, "currency": account.currency}
    session.add(
        LoggedEvent(
            cause=event_id, stream=said.stream, type=said.wire_type, time=datetime.now(UTC),
            data=said.model_dump_json(),
        )
    )  # fmt: skip
    return said


def _logged(logged: LoggedEvent) -> PaymentBooked:
    """What was said of a message that was seen before."""
    return PaymentBooked.model_validate_json(logged.data)


publisher = broker.publisher(os.environ["BENCH_OUT"])
subscribed: dict[str, Any] = {
    "group_id": "orm",
    "auto_offset_reset": "earliest",
    "ack_policy": AckPolicy.NACK_ON_ERROR,
}
if BATCH:
    broker.subscriber(os.environ["BENCH_IN"], batch=True, max_records=BATCH, **subscribed)(take_batch)
else:
    publisher(broker.subscriber(os.environ["BENCH_IN"], max_workers=WORKERS, **subscribed)(take))


if __name__ == "__main__":
    uvloop.run(app.run())
