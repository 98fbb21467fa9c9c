"""DBOS as its documentation shows it: a Kafka consumer that starts a durable workflow of two steps for each message.

The first step is a transaction of its datasource, which runs exactly once; the second sends the event. Order within a partition
is not asked for (`ordering="none"`, its default and its fastest), its queue is polled ten times as often as by default, and its
transactions are READ COMMITTED, as those of all contestants are, where its default is SERIALIZABLE. By default as many
workflows run at once as messages wait; with BENCH_CONCURRENCY so many at most (`worker_concurrency` of a queue of our own).
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

QUEUE = "payments"
POLL_SECONDS = 0.1
"""Between looks into the queue; 1 by default."""


def run(database: str, kafka: str, topic_in: str, topic_out: str, concurrency: int | None) -> None:
    """Run until told to stop."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": database,
            "kafka_queue_polling_interval_sec": POLL_SECONDS,
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

        producer.produce(topic_out, data.encode(), key=stream.encode(), on_delivery=done)
        acknowledged.result()

    @DBOS.kafka_consumer(
        {"bootstrap.servers": kafka, "group.id": topic_in, "auto.offset.reset": "earliest"},
        [topic_in],
        queue_name=None if concurrency is None else QUEUE,
    )
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        headers = dict(message.headers or [])
        said = change(bytes(headers["ce_id"]).decode(), bytes(message.value or b"").decode())  # type: ignore[arg-type]
        if said is not None:
            send(*said)

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_acknowledge, args=(producer,), daemon=True).start()
    DBOS.launch()
    if concurrency is not None:
        DBOS.register_queue(QUEUE, worker_concurrency=concurrency, polling_interval_sec=POLL_SECONDS)
    stop.wait()
    DBOS.destroy()


def _acknowledge(producer: Producer) -> None:
    """Hear for all workflows what the broker has taken: that is done while somebody polls, and one does it for all."""
    while True:
        producer.poll(0.1)


if __name__ == "__main__":
    most = os.environ.get("BENCH_CONCURRENCY")
    run(
        os.environ["BENCH_DATABASE"],
        os.environ["BENCH_KAFKA"],
        os.environ["BENCH_IN"],
        os.environ["BENCH_OUT"],
        int(most) if most else None,
    )
