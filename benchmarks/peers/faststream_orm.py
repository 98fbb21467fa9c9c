"""FastStream and the SQLAlchemy ORM as their documentation shows them: a subscriber per message, a session per message.

Acknowledged after the commit and the publish (the default, ack first, loses messages on a crash). A message seen before
answers with the event that was logged for it, so that a crash between commit and publish loses nothing either.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import uvloop
from faststream import AckPolicy, ContextRepo, FastStream, Header
from faststream.kafka import KafkaBroker, KafkaResponse
from sqlalchemy import BigInteger, DateTime, Identity, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
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


@broker.publisher(os.environ["BENCH_OUT"])
@broker.subscriber(
    os.environ["BENCH_IN"],
    group_id="orm",
    auto_offset_reset="earliest",
    ack_policy=AckPolicy.NACK_ON_ERROR,
    max_workers=WORKERS,
)
async def take(event: PaymentTaken, event_id: Annotated[str, Header("ce_id")]) -> KafkaResponse:
    """One message, one session, one transaction."""
    async with Session() as session, session.begin():
        logged = await _logged(session, event_id)
        if logged is None:
            row = await session.get_one(AccountRow, event.order_id, with_for_update=True)
            account, said = book(Account(row.order_id, row.balance, row.payments, **row.doc), event)
            row.balance, row.payments = account.balance, account.payments
            row.doc = {"last_payment": account.last_payment, "currency": account.currency}
            logged = LoggedEvent(
                cause=event_id, stream=said.stream, type=said.wire_type, time=datetime.now(UTC),
                data=said.model_dump_json(),
            )  # fmt: skip
            session.add(logged)
    return KafkaResponse(
        PaymentBooked.model_validate_json(logged.data),
        key=logged.stream.encode(),
        headers={"ce_type": logged.type, "ce_causationid": event_id},
    )


async def _logged(session: Any, event_id: str) -> LoggedEvent | None:
    from sqlalchemy import select

    found: LoggedEvent | None = await session.scalar(select(LoggedEvent).where(LoggedEvent.cause == event_id))
    return found


if __name__ == "__main__":
    uvloop.run(app.run())
