"""DBOS as its documentation shows it: a Kafka consumer that starts a durable workflow of two steps for each message.

The first step is a transaction of its datasource, which runs exactly once; the second sends the event. Order within a partition
is not asked for (`ordering="none"`, its default and its fastest), its queue is polled ten times as often as by default, and its
transactions are READ COMMITTED, as those of all contestants are, where its default is SERIALIZABLE.
"""

import os
import signal
import threading
from concurrent.futures import Future
from datetime import UTC, datetime

import orjson
from confluent_kafka import Producer
from dbos import DBOS, KafkaMessage, SQLAlchemyDatasource
from sqlalchemy import text

from benchmarks.work import Account, PaymentTaken, book

_LOAD = text("SELECT * FROM accounts WHERE order_id = :order_id FOR UPDATE")
_SAVE = text(
    "UPDATE accounts SET balance = :balance, payments = :payments, doc = CAST(:doc AS jsonb) WHERE order_id = :order_id"
)
_LOG = text(
    "INSERT INTO event_log (cause, stream, type, time, data) VALUES (:cause, :stream, :type, :time, :data)"
)
_SEEN = text("SELECT 1 FROM event_log WHERE cause = :cause")


def run(database: str, kafka: str) -> None:
    """Run until told to stop."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": database,
            "kafka_queue_polling_interval_sec": 0.1,
            "log_level": "WARNING",
        }
    )
    ds = SQLAlchemyDatasource.create(database)
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True, "linger.ms": 2})

    @ds.transaction(isolation_level="READ COMMITTED")
    def change(event_id: str, body: str) -> tuple[str, str] | None:
        session = ds.sql_session()
        event = PaymentTaken.model_validate_json(body)
        row = session.execute(_LOAD, {"order_id": event.order_id}).one()
        # only now: one record twice is two workflows, and the later of them waits for the row until the other has committed
        if session.execute(_SEEN, {"cause": event_id}).first():
            return None
        account, said = book(Account(row.order_id, row.balance, row.payments, **row.doc), event)
        doc = orjson.dumps({"last_payment": account.last_payment, "currency": account.currency}).decode()
        session.execute(
            _SAVE,
            {
                "order_id": account.order_id,
                "balance": account.balance,
                "payments": account.payments,
                "doc": doc,
            },
        )
        session.execute(
            _LOG,
            {"cause": event_id, "stream": said.stream, "type": said.wire_type, "time": datetime.now(UTC),
             "data": said.model_dump_json()},
        )  # fmt: skip
        return said.stream, said.model_dump_json()

    @DBOS.step()
    def send(stream: str, data: str) -> None:
        acknowledged: Future[None] = Future()

        def done(error: object, message: object) -> None:
            if error:
                acknowledged.set_exception(RuntimeError(str(error)))
            else:
                acknowledged.set_result(None)

        producer.produce("dbos.out", data.encode(), key=stream.encode(), on_delivery=done)
        while not acknowledged.done():
            producer.poll(0.005)
        acknowledged.result()

    @DBOS.kafka_consumer(
        {"bootstrap.servers": kafka, "group.id": "dbos", "auto.offset.reset": "earliest"}, ["dbos.in"]
    )
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        headers = dict(message.headers or [])
        said = change(bytes(headers["ce_id"]).decode(), bytes(message.value or b"").decode())  # type: ignore[arg-type]
        if said is not None:
            send(*said)

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    DBOS.launch()
    stop.wait()
    DBOS.destroy()


if __name__ == "__main__":
    run(os.environ["BENCH_DATABASE"], os.environ["BENCH_KAFKA"])
