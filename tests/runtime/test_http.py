"""The HTTP root: who may ask, the inbox endpoint, health, ops, what is documented."""

import base64
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from shared.runtime.bookkeeping import Parked, ParkedState
from shared.runtime.messages import Door
from shared.values import ActorKind, Role
from tests.builders import paid
from tests.harness import START
from tests.runtime.stand import Stand, bearer, token

PAID = "orders.inbox.payment_captured.v1"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def stand():
    stand = Stand()
    stand.commands.start()
    yield stand
    await stand.commands.stop()


def ce(id: str = "", **changed: str) -> dict[str, str]:
    """Headers of binary mode."""
    return {
        "ce-specversion": "1.0",
        "ce-id": id or str(uuid4()),
        "ce-source": "psp",
        "ce-type": PAID,
    } | changed


def data() -> dict[str, Any]:
    """The data of a payment."""
    return paid().model_dump(mode="json")


# --- who may ask ----------------------------------------------------------------------------------------------


@pytest.mark.requirement("X4")
async def test_without_a_token_nothing_is_done(stand: Stand):
    async with stand.client() as http:
        http.headers.pop("authorization")
        answer = await http.post("/v1/add", json={"tally_id": "t"})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert stand.count("t") == 0


@pytest.mark.requirement("X4")
async def test_too_low_a_role_is_told_which_is_needed_and_a_higher_one_is_let_in(stand: Stand):
    async with stand.client() as http:
        low = await http.get("/v1/supervisors")
        high = await http.get("/v1/supervisors", headers=bearer(Role.ADMINISTRATOR))
    assert (low.status_code, low.json()["code"]) == (403, "role_too_low")
    assert "back-office" in low.json()["detail"]
    assert high.json()["who"] == "operator:mei"


@pytest.mark.requirement("X4")
async def test_an_endpoint_can_be_for_devices_alone(stand: Stand):
    async with stand.client() as http:
        person = await http.get("/v1/scanners", headers=bearer(Role.ADMINISTRATOR))
        device = await http.get("/v1/scanners", headers=bearer(kind=ActorKind.DEVICE))
    assert (person.status_code, person.json()["code"]) == (403, "wrong_kind")
    assert device.status_code == 200


# --- commands -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("X2")
async def test_a_repeated_request_gets_the_first_answer_and_is_told_so(stand: Stand):
    async with stand.client(**{"idempotency-key": "k1"}) as http:
        first = await http.post("/v1/add", json={"tally_id": "t"})
        again = await http.post("/v1/add", json={"tally_id": "t"})
    assert first.json() == again.json() == {"count": 1}
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "k\xe9y"])
async def test_a_key_that_is_none_is_refused(stand: Stand, key: str):
    async with stand.client() as http:
        answer = await http.post(
            "/v1/add",
            json={"tally_id": "t"},
            headers=[(b"idempotency-key", key.encode("latin-1"))],
        )
    assert (answer.status_code, answer.json()["field"]) == (422, "idempotency-key")
    assert stand.count("t") == 0


@pytest.mark.requirement("X6")
async def test_a_trace_is_known_and_a_bad_one_is_not(stand: Stand):
    async with stand.client(**bearer(Role.BACK_OFFICE)) as http:
        kept = (await http.get("/v1/supervisors", headers={"traceparent": TRACE})).json()["trace"]
        bad = (await http.get("/v1/supervisors", headers={"traceparent": "x" * 5000})).json()["trace"]
    assert kept == TRACE
    assert bad is None


async def test_how_to_ask_once_is_described_for_commands_and_for_nothing_else(stand: Stand):
    async with stand.client() as http:
        for _ in range(2):
            paths = (await http.get("/openapi.json")).json()["paths"]
    keyed = {p for p, how in paths.items() for m in how.values() if "Idempotency-Key" in str(m)}
    assert keyed == {"/v1/add", "/ops/parked/{key}/skip", "/ops/parked/{key}/mend"}


# --- the inbox endpoint ---------------------------------------------------------------------------------------


@pytest.mark.requirement("O1")
async def test_an_event_comes_in_once_in_either_mode(stand: Stand):
    envelope = {"specversion": "1.0", "id": "1", "source": "psp", "type": PAID, "data": data()}
    async with stand.client(**bearer(kind=ActorKind.SYSTEM)) as http:
        binary = await http.post("/v1/events", headers=ce("1"), json=data())
        structured = await http.post(
            "/v1/events",
            headers={"content-type": "application/cloudevents+json; charset=utf-8"},
            json=envelope,
        )
    assert binary.json() == {"status": "done", "answer": {"count": 1}}
    assert structured.json() == {"status": "duplicate", "answer": {"count": 1}}
    assert stand.count("T-1") == 1


@pytest.mark.requirement("X6")
async def test_an_event_goes_on_with_the_trace_of_its_request(stand: Stand):
    traces = list[str | None]()
    stand.turns.after_commit.append(lambda messages, *_: traces.extend(m.envelope.trace for m in messages))
    async with stand.client(**bearer(kind=ActorKind.SYSTEM)) as http:
        await http.post("/v1/events", headers=ce("1", traceparent=TRACE), json=data())
    assert traces == [TRACE]


@pytest.mark.requirement("X4")
@pytest.mark.parametrize("kind", [ActorKind.OPERATOR, ActorKind.DEVICE])
async def test_people_do_not_say_what_payment_providers_say(stand: Stand, kind: ActorKind):
    async with stand.client(**bearer(kind=kind)) as http:
        answer = await http.post("/v1/events", headers=ce("1"), json=data())
    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_system")
    async with stand.client(**bearer(kind=ActorKind.SYSTEM)) as http:
        genuine = await http.post("/v1/events", headers=ce("1"), json=data())
    assert genuine.json()["status"] == "done", "the id was not used up"
    assert stand.count("T-1") == 1


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
async def test_an_attribute_that_is_no_text_is_not_called_missing(stand: Stand, name: str):
    envelope = {"specversion": "1.0", "id": "1", "source": "psp", "type": PAID, "data": data(), name: 1.0}
    async with stand.client(**{"content-type": "application/cloudevents+json"}) as http:
        answer = await http.post("/v1/events", json=envelope)
    assert (answer.status_code, answer.json()["detail"]) == (422, f"the CloudEvents attribute {name} is text")


@pytest.mark.requirement("O1")
async def test_percent_encoded_attributes_are_the_ids_that_kafka_has(stand: Stand):
    async with stand.client(**bearer(kind=ActorKind.SYSTEM)) as http:
        await http.post("/v1/events", headers=ce(**{"ce-id": "%E8%AE%A2-1"}), json=data())
    assert "psp 订-1" in stand.store.tables["inbox"]


@pytest.mark.parametrize(
    ("headers", "field"),
    [({"ce-id": ""}, "id"), ({"ce-source": ""}, "source"), ({"ce-source": "my%20shop"}, "source"),
     ({"ce-type": ""}, "type"), ({"ce-specversion": "0.3"}, "specversion"), ({"ce-id": "x" * 201}, "id"),
     ({"ce-id": "a%00b"}, "id"), ({"ce-correlationid": "x" * 201}, "correlationid")],
)  # fmt: skip
async def test_an_event_without_a_proper_identity_is_refused(
    stand: Stand, headers: dict[str, str], field: str
):
    async with stand.client() as http:
        answer = await http.post("/v1/events", headers=ce(**headers), json=data())
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert not stand.store.tables


@pytest.mark.parametrize(
    "type_name", ["orders.inbox.unheard_of.v1", "scans.inbox.label_scanned.v1", "orders.paid.v1"]
)
async def test_a_type_that_the_inbox_does_not_take_is_answered_with_those_it_does(
    stand: Stand, type_name: str
):
    async with stand.client(**bearer(kind=ActorKind.SYSTEM)) as http:
        answer = await http.post("/v1/events", headers=ce(**{"ce-type": type_name}), json=data())
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_type")
    assert PAID in answer.json()["detail"]


@pytest.mark.requirement("X4")
async def test_data_that_does_not_fit_is_refused_by_field_without_its_values(stand: Stand):
    async with stand.client(**bearer(kind=ActorKind.SYSTEM)) as http:
        wrong = await http.post("/v1/events", headers=ce(), json=data() | {"amount": "13800138000"})
        broken = await http.post("/v1/events", headers=ce(), content=b'{"amount": 13800138000')
    assert (wrong.status_code, wrong.json()["field"]) == (422, "amount")
    assert broken.status_code == 422
    assert "13800138000" not in wrong.text + broken.text


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"data": 1}', b"\xff"])
async def test_a_structured_event_that_is_none_is_refused(stand: Stand, body: bytes):
    async with stand.client() as http:
        answer = await http.post(
            "/v1/events", headers={"content-type": "application/cloudevents+json"}, content=body
        )
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


# --- health, metrics, ops -------------------------------------------------------------------------------------


@pytest.mark.requirement("X6")
async def test_readiness_says_what_is_wrong_in_a_sentence(stand: Stand):
    async with stand.client() as http:
        assert (await http.get("/health/live")).status_code == 200
        well = await http.get("/health/ready")
        stand.checks["kafka"] = "Kafka cannot be reached"
        ill = await http.get("/health/ready")
    assert (well.status_code, well.json()["checks"]) == (200, {"database": "ok", "kafka": "ok"})
    assert (ill.status_code, ill.json()["checks"]["kafka"]) == (503, "Kafka cannot be reached")


@pytest.mark.requirement("X6")
async def test_metrics_are_exposed(stand: Stand):
    async with stand.client() as http:
        await http.post("/v1/add", json={"tally_id": "t"})
        text = (await http.get("/metrics")).text
    assert 'handover_messages_total{door="http",outcome="done",type="Add"} 1.0' in text


def parked() -> Parked:
    """A parked message; its body names a buyer."""
    return Parked(
        parked_key="orders|order/1 psp 1", lane="orders|order/1", queue="orders|order/1", state=ParkedState.FAILED,
        parked_at=START, place=1, type="orders.order_paid.v1", stream="order/1", sequence=1, message_id="order/1/1",
        source="/handover/orders", door=Door.KAFKA, topic="orders", partition=0, offset=7, key="",
        headers=(("authorization", base64.b64encode(token().encode()).decode()),
                 ("ce_id", base64.b64encode(b"order/1/1").decode())),
        body=base64.b64encode('{"name":"王芳"}'.encode()).decode(), reason="ValueError in add", traceback="", tries=1,
    )  # fmt: skip


@pytest.mark.requirement("X6")
@pytest.mark.parametrize("away", [ConnectionRefusedError(), TimeoutError(), asyncpg.AdminShutdownError()])
async def test_ops_are_told_that_the_database_is_away_instead_of_an_incident(
    stand: Stand, away: Exception, monkeypatch: pytest.MonkeyPatch
):
    async def progress(self: Stand) -> None:
        raise away

    monkeypatch.setattr(Stand, "progress", progress)
    async with stand.client() as http:
        answer = await http.get("/ops/progress")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.requirement("X2")
async def test_parked_messages_are_for_administrators_and_a_list_has_no_bodies(stand: Stand):
    stand.parking.rows = [parked()]
    async with stand.client() as http:
        assert (await http.get("/ops/parked")).status_code == 403
        http.headers.update(bearer(Role.ADMINISTRATOR))
        (row,) = (await http.get("/ops/parked", params={"state": "failed"})).json()
        whole = (await http.get(f"/ops/parked/{row['key']}")).json()
        retried = await http.post(f"/ops/parked/{row['key']}/retry")
    assert (row["lane"], row["reason"]) == ("orders|order/1", "ValueError in add")
    assert "body" not in row
    assert whole["body"] == '{"name":"王芳"}'
    assert whole["headers"] == {"ce_id": "order/1/1"}
    assert retried.json() == {
        "done": 1,
        "refused": [{"code": "paid", "detail": "it is paid"}],
        "still_parked": 1,
        "waits_for": {"type": "orders.order_paid.v1", "reason": "ValueError in add"},
    }


@pytest.mark.parametrize(
    ("path", "takes"),
    [("/ops/parked?sate=failed", "it takes state, limit"), ("/ops/lag?topic=x", "it takes none")],
)
async def test_a_filter_whose_name_is_misspelled_is_refused_and_not_ignored(
    stand: Stand, path: str, takes: str
):
    async with stand.client(**bearer(Role.ADMINISTRATOR)) as http:
        answer = await http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["detail"].endswith(f"is no parameter of this address; {takes}")


async def test_of_a_filter_that_is_given_twice_none_is_left_out(stand: Stand):
    async with stand.client(**bearer(Role.ADMINISTRATOR)) as http:
        answer = await http.get("/ops/parked?state=failed&state=gap")
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "state is given more than once; it takes one value",
    )


@pytest.mark.requirement("X4")
@pytest.mark.parametrize(
    ("method", "step", "body"),
    [
        ("GET", "", None),
        ("POST", "/retry", None),
        ("POST", "/skip", {"reason": "sent twice"}),
        ("POST", "/mend", {"body": {"a": 1}, "reason": "typo"}),
    ],
)
async def test_nobody_but_an_administrator_sees_or_touches_a_parked_message(
    stand: Stand, method: str, step: str, body: dict[str, Any] | None
):
    """It holds personal data, and whoever mends it says what another has signed."""
    stand.parking.rows = [parked()]
    row = parked()
    stand.store.tables["parked"] = {row.parked_key: (row, 1)}
    key = base64.urlsafe_b64encode(row.parked_key.encode()).rstrip(b"=").decode()
    async with stand.client(**bearer(Role.BACK_OFFICE)) as http:
        answer = await http.request(method, f"/ops/parked/{key}{step}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")
    assert stand.store.rows("parked") == [row]


@pytest.mark.requirement("X2")
async def test_skipping_and_mending_go_through_the_turn_with_a_reason(stand: Stand):
    row = parked()
    stand.store.tables["parked"] = {row.parked_key: (row, 1)}
    key = base64.urlsafe_b64encode(row.parked_key.encode()).rstrip(b"=").decode()
    async with stand.client(**bearer(Role.ADMINISTRATOR)) as http:
        mended = await http.post(f"/ops/parked/{key}/mend", json={"body": {"a": 1}, "reason": "typo"})
        without = await http.post(f"/ops/parked/{key}/skip", json={"reason": ""})
        skipped = await http.post(f"/ops/parked/{key}/skip", json={"reason": "sent twice"})
    assert (mended.status_code, without.status_code, skipped.json()["state"]) == (200, 422, "skipped")
    noted = "mended by operator:mei: typo; skipped by operator:mei: sent twice"
    assert stand.store.rows("parked")[0].note == noted
    assert stand.parking.woken == 1


@pytest.mark.parametrize("key", ["nonsense", "AA", "____", "é"])
async def test_a_key_of_nothing_parked_is_not_found(stand: Stand, key: str):
    async with stand.client(**bearer(Role.ADMINISTRATOR)) as http:
        answers = [await http.get(f"/ops/parked/{key}"), await http.post(f"/ops/parked/{key}/retry")]
    assert {(a.status_code, a.json()["code"]) for a in answers} == {(404, "not_parked")}


# --- documents ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("X3")
async def test_openapi_documents_tokens_problems_and_the_inbox(stand: Stand):
    async with stand.client() as http:
        document = (await http.get("/openapi.json")).json()
        again = (await http.get("/openapi.json")).json()
    add, events = (document["paths"][path]["post"] for path in ("/v1/add", "/v1/events"))
    assert add["security"] == [{"HTTPBearer": []}]
    problem = add["responses"]["409"]["content"]["application/problem+json"]["schema"]["$ref"]
    assert problem.rsplit("/", 1)[1] in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert set(events["requestBody"]["content"]) == {"application/json", "application/cloudevents+json"}
    assert document == again
