"""The warehouse over HTTP, on a real PostgreSQL: what staff read and print, and what the database itself refuses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import pytest

from services.warehouse import api
from services.warehouse.tables import metadata
from shared.events import inbox
from shared.runtime.messages import Status
from shared.values import Actor, ActorKind
from tests.builders import PERSONAL
from tests.harness import AGENT, SHOP, SUPERVISOR, refused_by
from tests.served import LONG_AGO, Served, auth, grown, reads_few, served
from tests.warehouse.floor import CHECKER, PICKER, Floor

SCANNER = Actor(kind=ActorKind.DEVICE, name="scanner-1")
SECRETS = (PERSONAL.contact.name, PERSONAL.contact.phone, PERSONAL.address.street)


class House:
    """The warehouse on a and ways to scan in it and to ask it."""

    def __init__(self, one: Served, floor: Floor) -> None:
        self.pool, self.http, self.floor = one.pool, one.http, floor

    async def ask(self, method: str, path: str, actor: Actor = AGENT, **parts: Any) -> httpx.Response:
        return await self.http.request(method, f"/v1{path}", headers=auth(actor), **parts)

    async def scan(self, event: inbox.StockScanned, actor: Actor) -> httpx.Response:
        """A scan over HTTP; all have one id."""
        about = {"ce-id": "scan-1", "ce-source": "scanner-1", "ce-type": event.wire_type}
        headers = auth(actor) | about
        return await self.http.post("/v1/events", headers=headers, json=event.model_dump(mode="json"))

    async def packed(self) -> str:
        """One order from release to its parcel; the tracking number."""
        floor = self.floor
        scan: dict[str, Any] = {"order_id": "o-1"}
        await floor.stock()
        await floor.release()
        await floor.scan(inbox.PickStartScanned, **scan)
        await floor.scan(inbox.PickScanned, **scan, barcode="TEA", quantity=2)
        await floor.count(TEA=2)
        return await floor.parcel()

    async def shipped(self) -> str:
        """One order from release to hand-over; its tracking number."""
        number = await self.packed()
        assert await self.floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"
        return number


@pytest.fixture
async def house(postgres_url: str) -> AsyncIterator[House]:
    floor = Floor()
    async with served(postgres_url, metadata, floor.bench, api.router) as one:
        yield House(one, floor)


@pytest.mark.requirement("W1")
async def test_stock_is_shown_with_its_newest_moves_and_they_add_up(house: House) -> None:
    await house.shipped()
    stock = (await house.ask("GET", "/stock/TEA")).json()
    assert (stock["on_hand"], stock["allocated"], stock["available"]) == (8, 0, 8)
    assert [m["kind"] for m in stock["moves"]] == ["shipped", "picked", "allocated", "received"]
    assert sum(m["on_hand"] for m in stock["moves"]) == 8
    assert (await house.ask("GET", "/stock/NONE")).status_code == 404


@pytest.mark.requirement("W3")
@pytest.mark.requirement("X4")
async def test_work_is_listed_by_state_and_never_shows_whom_it_is_for(house: House) -> None:
    number = await house.shipped()
    assert [w["order_id"] for w in (await house.ask("GET", "/fulfillments?state=shipped")).json()] == ["o-1"]
    assert (await house.ask("GET", "/fulfillments?state=picking")).json() == []
    for path in ("/fulfillments", "/fulfillments/o-1", f"/shipments/{number}", "/stock/TEA"):
        text = (await house.ask("GET", path)).text
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("actor", [AGENT, SHOP, SCANNER], ids=["no device", "a system", "no person"])
async def test_a_scan_is_of_a_person_at_a_device_and_another_token_does_not_use_up_its_id(
    house: House, actor: Actor
) -> None:
    scan = inbox.StockScanned(
        barcode="TEA", quantity=3, location="A-1", scanned_at=house.floor.bench.clock.now()
    )
    refused = await house.scan(scan, actor)
    assert (refused.status_code, refused.json()["code"]) == (403, "no_operator")
    assert (await house.scan(scan, PICKER)).json()["status"] == "done"
    assert (await house.ask("GET", "/stock/TEA")).json()["on_hand"] == 3


@pytest.mark.requirement("X4")
@pytest.mark.parametrize("paper", ["label", "note"])
async def test_papers_that_name_the_buyer_are_not_for_systems(house: House, paper: str) -> None:
    path = f"/shipments/{await house.shipped()}/{paper}.pdf"
    refused = await house.ask("GET", path, SHOP)
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_kind")
    assert (await house.ask("GET", path, SCANNER)).status_code == 200, "a printer of the warehouse"


@pytest.mark.requirement("W5")
async def test_label_and_note_are_printed_for_people_with_a_token(house: House) -> None:
    number = await house.shipped()
    for paper in ("label", "note"):
        answer = await house.ask("GET", f"/shipments/{number}/{paper}.pdf")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
        assert answer.content.startswith(b"%PDF-")
        assert (await house.http.get(f"/v1/shipments/{number}/{paper}.pdf")).status_code == 401
    assert (await house.ask("GET", "/shipments/none/label.pdf")).status_code == 404


@pytest.mark.requirement("W7")
async def test_no_label_is_printed_for_a_parcel_that_stays(house: House) -> None:
    number = await house.packed()
    await house.floor.cancel()
    refused = await house.ask("GET", f"/shipments/{number}/label.pdf")
    assert (refused.status_code, refused.json()["code"]) == (409, "canceled")


@pytest.mark.requirement("W6")
async def test_couriers_are_shown_as_their_file_describes_them(house: House) -> None:
    assert {"sf", "pickup", "own"} <= {c["code"] for c in (await house.ask("GET", "/couriers")).json()}


@pytest.mark.requirement("W12")
async def test_only_the_back_office_says_what_a_barcode_means(house: House) -> None:
    body = {"name": "Tea", "barcodes": ["6901234567892"]}
    assert (await house.ask("PUT", "/skus/TEA", json=body)).status_code == 403
    assert (await house.ask("PUT", "/skus/TEA", SUPERVISOR, json=body)).status_code == 200
    await house.floor.stock("6901234567892", 4)
    assert (await house.ask("GET", "/stock/TEA")).json()["on_hand"] == 4
    heavier = {"name": "Tea", "weight_grams": 260}
    named = (await house.ask("PUT", "/skus/TEA", SUPERVISOR, json=heavier)).json()["barcodes"]
    assert named, "what is not named stays as it is"
    freed = await house.ask("PUT", "/skus/TEA", SUPERVISOR, json=heavier | {"barcodes": []})
    assert freed.json()["barcodes"] == []


@pytest.mark.requirement("W4")
async def test_the_database_too_refuses_a_picker_as_checker(house: House) -> None:
    await house.shipped()
    with pytest.raises(asyncpg.CheckViolationError, match="checked_by_a_second_person"):
        await house.pool.execute("UPDATE fulfillments SET checker = picker")


@pytest.mark.requirement("W4")
async def test_the_database_too_refuses_whoever_picked_before_as_checker(house: House) -> None:
    await house.shipped()
    with pytest.raises(asyncpg.CheckViolationError, match="checked_by_nobody_who_picked"):
        await house.pool.execute("UPDATE fulfillments SET checker = picker, picker = 'somebody.else'")


@pytest.mark.requirement("W3")
async def test_work_is_taken_back_over_http(house: House) -> None:
    await house.floor.stock()
    await house.floor.release()
    await house.floor.scan(inbox.PickStartScanned, order_id="o-1")
    path, body = "/fulfillments/o-1/take-back", {"json": {"reason": "the scanner is broken"}}
    assert (await house.ask("POST", path, AGENT, **body)).status_code == 403
    assert (await house.ask("POST", path, SUPERVISOR, json={"reason": ""})).status_code == 422
    taken = await house.ask("POST", path, SUPERVISOR, **body)
    assert (taken.status_code, taken.json()["state"], taken.json()["taken_from"]) == (
        200,
        "allocated",
        "li.wei",
    )
    again = await house.ask("POST", path, SUPERVISOR, **body)
    assert (again.status_code, again.json()["code"]) == (409, "not_now")


@pytest.mark.requirement("W5")
async def test_an_order_is_unpacked_over_http_and_its_papers_are_void(house: House) -> None:
    number = await house.packed()
    path, body = "/fulfillments/o-1/unpack", {"json": {"reason": "the wrong courier's label"}}
    assert (await house.ask("POST", path, AGENT, **body)).status_code == 403
    assert (await house.ask("POST", path, SHOP, **body)).status_code == 403
    assert (await house.ask("POST", path, SUPERVISOR, json={"reason": ""})).status_code == 422
    done = await house.ask("POST", path, SUPERVISOR, **body)
    assert (done.status_code, done.json()) == (200, {"state": "picked", "unpacked": [number]})
    for paper in ("label.pdf", "note.pdf"):
        refused = await house.ask("GET", f"/shipments/{number}/{paper}")
        assert (refused.status_code, refused.json()["code"]) == (409, "canceled")
    assert (await house.ask("GET", f"/shipments/{number}")).json()["state"] == "canceled"
    again = await house.ask("POST", path, SUPERVISOR, **body)
    assert (again.status_code, again.json()["code"]) == (409, "not_now")


@pytest.mark.requirement("W5", "W7")
async def test_a_parcel_unpacked_and_handed_over_at_once_by_two_replicas_does_one_of_both(
    house: House,
) -> None:
    number = await house.packed()
    scan = inbox.HandOverScanned(tracking_number=number, scanned_at=house.floor.now)
    body = {"json": {"reason": "a piece broke"}}
    [out], back = await asyncio.gather(
        house.floor.bench.turns.run([house.floor.bench.from_outside(scan, actor=PICKER)]),
        house.ask("POST", "/fulfillments/o-1/unpack", SUPERVISOR, **body),
    )
    assert (out.status is Status.DONE) == (back.status_code == 409)
    state = (await house.ask("GET", "/fulfillments/o-1")).json()["state"]
    assert state == ("shipped" if out.status is Status.DONE else "picked")


@pytest.mark.requirement("W1")
@pytest.mark.parametrize("change", ["on_hand = -1", "allocated = -1", "allocated = on_hand + 1"])
async def test_the_database_too_refuses_stock_that_cannot_be(house: House, change: str) -> None:
    await house.floor.stock()
    with pytest.raises(asyncpg.CheckViolationError, match="levels_never_negative"):
        await house.pool.execute(f"UPDATE levels SET {change}")


@pytest.mark.requirement("W7")
async def test_a_parcel_handed_over_by_two_at_once_leaves_once(house: House) -> None:
    floor = house.floor
    await floor.stock()
    await floor.release()
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    await floor.scan(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=2)
    await floor.count(TEA=2)
    scan = inbox.HandOverScanned(tracking_number=await floor.parcel(), scanned_at=floor.now)
    both = [floor.bench.from_outside(scan, actor=actor) for actor in (PICKER, CHECKER)]
    one, other = await floor.bench.turns.run(both)
    assert (one.status, refused_by(other)) == (Status.DONE, "already_left")
    assert await house.pool.fetchval("SELECT count(*) FROM moves WHERE kind = 'shipped'") == 1


@pytest.mark.requirement("W3")
async def test_a_picker_is_shown_the_shelves(house: House) -> None:
    await house.floor.stock(quantity=1, location="B-1")
    await house.floor.stock(quantity=1, location="A-1")
    await house.floor.release()
    assert (await house.ask("GET", "/fulfillments/o-1")).json()["shelves"] == {"TEA": {"A-1": 1, "B-1": 1}}
    await house.floor.scan(inbox.PickStartScanned, order_id="o-1")
    await house.floor.scan(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=1)
    shown = (await house.ask("GET", "/fulfillments/o-1")).json()
    assert sum(shown["shelves"]["TEA"].values()) == 1


@pytest.mark.requirement("W3")
async def test_work_is_listed_to_the_end(house: House) -> None:
    for order in ("o-2", "o-1", "o-3"):  # released in one instant
        await house.floor.release(order)
    first = (await house.ask("GET", "/fulfillments?limit=2")).json()
    rest = (await house.ask("GET", f"/fulfillments?after={first[-1]['order_id']}")).json()
    assert [work["order_id"] for work in (*first, *rest)] == ["o-1", "o-2", "o-3"]
    assert (await house.ask("GET", "/fulfillments?after=none")).json()["field"] == "after"


@pytest.mark.requirement("W3")
async def test_no_list_is_found_by_looking_at_all_work_there_ever_was(house: House) -> None:
    await house.floor.stock()
    await house.floor.release()
    await grown(house.pool, "fulfillments", order_id="'old-' || n", released_at=LONG_AGO, state="'shipped'")
    for asked in (
        "",
        "&state=shipped",
        "&state=allocated",
        "&state=picking",
        "&after=old-9",
        "&state=shipped&after=old-9",
    ):
        async with reads_few(house.pool, "fulfillments", asked):
            assert (await house.ask("GET", f"/fulfillments?limit=5{asked}")).status_code == 200


@pytest.mark.requirement("W4")
async def test_a_picker_reads_what_the_check_found_until_it_is_put_right(house: House) -> None:
    floor = house.floor

    async def differences() -> Any:
        return (await house.ask("GET", "/fulfillments/o-1")).json()["differences"]

    async def pick(quantity: int) -> None:
        await floor.scan(inbox.PickStartScanned, order_id="o-1")
        await floor.scan(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=quantity)

    await floor.stock()
    await floor.release()
    await pick(2)
    assert await differences() == []
    await floor.count(TEA=1)
    assert await differences() == [{"sku": "TEA", "quantity": 1, "difference": "too_few"}]
    await pick(1)
    assert await differences() == []


@pytest.mark.requirement("W2")
async def test_who_waits_behind_hundreds_of_larger_orders_is_served(house: House) -> None:
    floor = house.floor
    await floor.bench.hear(*(floor.order(f"o-{n:03}") for n in range(210)), floor.order("small", ("TEA", 1)))
    await floor.stock("TEA", 1)
    small = await house.ask("GET", "/fulfillments/small")
    assert small.json()["state"] == "allocated"
    assert (await house.ask("GET", "/stock/TEA")).json()["available"] == 0


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("path", ["/fulfillments/%00", "/stock/%00", "/shipments/%00/label.pdf"])
async def test_a_nul_byte_in_a_path_is_refused(house: House, path: str) -> None:
    assert (await house.ask("GET", path)).status_code == 422


@pytest.mark.requirement("X2")
@pytest.mark.parametrize("part", ["id", "source", "stream", "type", "lane"])
async def test_a_message_that_the_database_cannot_hold_is_parked_and_stops_nobody_else(
    house: House, part: str
) -> None:
    scan = inbox.StockScanned(barcode="TEA", quantity=1, location="A-1", scanned_at=house.floor.now)
    good, bad = (house.floor.bench.from_outside(scan, actor=PICKER) for _ in range(2))
    bad.lane = "scans.inbox|\x00" if part == "lane" else "scans.inbox|another"
    if part != "lane":
        named: dict[str, Any] = {part: "\x00"}
        bad.envelope = replace(bad.envelope, **named)
        bad.message = scan.model_copy(update={"location": "\x00"})
    outcomes = await house.floor.bench.turns.run([bad, good])
    assert [o.status for o in outcomes] == [Status.PARKED, Status.DONE]
    assert await house.pool.fetchval("SELECT count(*) FROM parked") == 1
