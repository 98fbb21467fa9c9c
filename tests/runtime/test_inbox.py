"""Events from outside: the same message whether Kafka or HTTP brings it."""

import json
from datetime import datetime
from typing import Any

import pytest
from pydantic import create_model

from services.orders.handlers import service as orders
from shared.events.base import EVENT_TYPES, Event
from shared.events.inbox import PaymentCaptured
from shared.runtime.auth import Tokens
from shared.runtime.commands import asked
from shared.runtime.decoding import Decoding
from shared.runtime.inbox import LARGEST, inbox_types, outside
from shared.runtime.messages import Door, Raw, Refused
from shared.values import ActorKind
from tests.builders import confirmed, paid, submitted
from tests.harness import AGENT, START, Bench
from tests.runtime.probe import Pay
from tests.runtime.stand import PUBLIC, SHOP, token

PAID = "orders.inbox.payment_captured.v1"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "psp", "type": PAID}


def kafka(**more: str) -> dict[str, str]:
    """Attributes as Kafka headers."""
    return {f"ce_{name}": value for name, value in (ATTRIBUTES | more).items()}


def http(**more: str) -> dict[str, str]:
    """Attributes as HTTP headers."""
    return {f"ce-{name}": value for name, value in (ATTRIBUTES | more).items()}


@pytest.mark.requirement("X2")
def test_orders_of_two_shops_under_one_number_do_not_wait_for_one_another():
    first, other = (
        outside(
            kafka(),
            paid().model_copy(update={"source": shop}).model_dump_json().encode(),
            SHOP,
            inbox="orders.inbox",
        )
        for shop in ("shop-a", "shop-b")
    )
    assert first.lane != other.lane


@pytest.mark.requirement("O1")
def test_both_ways_make_one_message_whatever_the_spacing_of_its_json():
    event = paid()
    by_kafka = outside(kafka(), event.model_dump_json().encode(), SHOP, inbox="orders.inbox")
    by_http = outside(http(), event.model_dump_json(indent=2).encode(), SHOP, inboxes=("orders.inbox",))
    assert (by_kafka.door, by_http.door) == (Door.KAFKA, Door.HTTP)
    assert by_kafka.message == by_http.message == event
    for name in ("id", "source", "type", "stream", "actor", "sequence"):
        assert getattr(by_kafka.envelope, name) == getattr(by_http.envelope, name)
    assert by_kafka.lane == by_http.lane == "orders.inbox|external_number/shop T-1"
    assert by_kafka.digest == by_http.digest != b""
    assert by_kafka.from_outside


@pytest.mark.requirement("O1")
def test_other_content_or_another_type_is_another_message():
    one = outside(kafka(), paid().model_dump_json().encode(), SHOP, inbox="orders.inbox")
    other = outside(kafka(), paid(amount=1).model_dump_json().encode(), SHOP, inbox="orders.inbox")
    assert one.digest != other.digest


@pytest.mark.requirement("X3")
def test_a_field_that_a_newer_version_adds_makes_no_other_message_of_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
):
    """A retry may come after an upgrade; a command's as well."""
    body = paid().model_dump_json().encode()

    def digests(pay: type[Pay]) -> tuple[bytes, bytes]:
        command = asked(pay(note_id="a"), AGENT, START)
        return outside(kafka(), body, SHOP, inbox="orders.inbox").digest, command.digest

    before = digests(Pay)
    monkeypatch.setitem(EVENT_TYPES, PAID, _grown(PaymentCaptured))
    assert digests(_grown(Pay)) == before


def _grown(message: Any) -> Any:
    """The class as the next version has it, under the same name."""
    return create_model(message.__name__, __base__=message, gift_note=(str | None, None))


def test_what_does_not_fit_is_an_error_under_its_own_identity():
    incoming = outside(kafka(), b"{}", SHOP, inbox="orders.inbox")
    assert isinstance(incoming.error, Refused)
    assert incoming.message is None
    assert (incoming.envelope.id, incoming.envelope.source) == ("1", "psp")


def test_a_wrong_line_is_not_called_a_missing_one():
    order = json.loads(submitted().model_dump_json())
    for wrong, said in (([order["lines"][0] | {"quantity": 0}], "lines.0.quantity: "), ([], "lines: ")):
        body = json.dumps(order | {"lines": wrong}).encode()
        headers = kafka(type="orders.inbox.order_submitted.v1")
        error = outside(headers, body, SHOP, inbox="orders.inbox").error
        assert isinstance(error, Refused)
        assert error.detail.startswith(said)
        assert ";" not in error.detail


def test_a_topic_takes_only_its_own_types():
    assert PAID in inbox_types("orders.inbox")
    incoming = outside(kafka(), paid().model_dump_json().encode(), SHOP, inbox="tracking.inbox")
    assert isinstance(incoming.error, Refused)
    assert incoming.error.code == "unknown_type"


def test_a_type_of_none_of_a_services_inboxes_is_answered_with_those_of_all():
    headers = kafka(type="couriers.tracking_reported.v1")
    error = outside(headers, b"{}", SHOP, inboxes=("scans.inbox", "tracking.inbox")).error
    assert isinstance(error, Refused)
    assert "scans.inbox takes scans.inbox.check_finish_scanned.v1, " in error.detail
    assert error.detail.endswith("; tracking.inbox takes tracking.inbox.tracking_reported.v1")


@pytest.mark.parametrize("source", ["a b", "a\x00b", "", "x" * 201])
def test_a_source_that_could_be_taken_for_another_is_refused(source: str):
    with pytest.raises(Refused) as refusal:
        outside(kafka(source=source), b"{}", SHOP, inbox="orders.inbox")
    assert (refusal.value.field, refusal.value.status) == ("source", 422)


@pytest.mark.parametrize(
    ("header", "kept"),
    [(TRACE, TRACE), ("x" * 5000, None), (TRACE.upper(), None), ("00-" + "0" * 32 + TRACE[35:], None)],
)  # fmt: skip
@pytest.mark.requirement("X6")
def test_only_a_real_trace_is_kept(header: str, kept: str | None):
    assert outside(kafka(traceparent=header), b"{}", SHOP, inbox="orders.inbox").envelope.trace == kept


def answer(event: Event, **fields: Any) -> tuple[str, str | None, str]:
    """What is said to an event whose fields are replaced: code, field, detail."""
    body = json.dumps(event.model_dump(mode="json") | fields).encode()
    error = outside(kafka(type=event.wire_type), body, SHOP, inbox="orders.inbox").error
    assert isinstance(error, Refused)
    return error.code, error.field, error.detail


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\0b", "a?b"),
        ("a\nb\x1b", "a?b?"),
        ("שלום\u202e", "שלום?"),
        ("n" * 400_000, "n" * 59 + "…"),
        ("名字", "名字"),
    ],
)
@pytest.mark.requirement("X2")
def test_a_made_up_field_name_comes_back_short_and_printable(name: str, shown: str):
    """A zero in it could not be stored, and a long one would fit into no record of Kafka."""
    code, field, detail = answer(paid(), **{name: 1})
    assert (code, field) == ("invalid", shown)
    assert len(detail) < 200


@pytest.mark.requirement("X2")
def test_an_event_whose_consequences_would_fit_into_no_record_is_refused():
    assert answer(paid(), payment_id="x" * LARGEST)[:2] == ("too_large", "data")


@pytest.mark.parametrize("time", [1772413200, 1772413200000, 1772413200.5, "1772413200", "-1772413200"])
@pytest.mark.requirement("O1")
def test_a_number_is_no_time(time: object):
    assert answer(paid(), captured_at=time)[:2] == ("invalid", "captured_at")


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00+14:00",
        "2000-01-01T00:00:00+00:01",
        "2200-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59-14:00",
    ],
)
@pytest.mark.requirement("O1")
def test_a_time_of_another_age_is_refused_wherever_its_zone_lies(time: str):
    assert answer(paid(), captured_at=time)[:2] == ("invalid", "captured_at")


@pytest.mark.requirement("X2")
async def test_promises_may_be_reckoned_from_the_last_moment():
    bench = Bench(orders())
    last = datetime.fromisoformat("2200-12-31T23:59:59.999999+00:00")
    outcome = await bench.outside(submitted(ship_by=last))
    assert outcome.status == "done", outcome


@pytest.mark.parametrize("answered", ["no", "true", 1, 0.0, "on"])
@pytest.mark.requirement("O6")
def test_a_consent_is_not_guessed(answered: object):
    assert answer(confirmed(), cod_accepted=answered)[:2] == ("invalid", "cod_accepted")


@pytest.mark.requirement("W12")
def test_a_system_that_scans_over_kafka_is_told_so_by_name_and_uses_up_no_id():
    said = {
        **kafka(type="scans.inbox.pick_scanned.v1"),
        "authorization": f"Bearer {token(ActorKind.SYSTEM, SHOP.name)}",
    }
    raw = Raw("scans.inbox", 0, 7, None, tuple((k, v.encode()) for k, v in said.items()), b"{}")
    incoming = Decoding(Tokens(PUBLIC), {}).decode(raw)
    assert isinstance(incoming.error, Refused)
    assert (incoming.error.code, incoming.claimed_id, incoming.envelope.actor) == ("no_operator", "1", SHOP)
    assert incoming.envelope.id != "1"


def test_whoever_has_no_good_token_is_nobody():
    raw = Raw("scans.inbox", 0, 7, None, tuple((k, v.encode()) for k, v in kafka().items()), b"{}")
    assert Decoding(Tokens(PUBLIC), {}).decode(raw).envelope.actor.name == "unknown"
