"""What people with scanners do and read: damaged pieces, checks that failed, codes of every kind (W3, W4, W5, W8, W12)."""

from typing import Any

import pytest

from services.warehouse.domain.stock import STAGING
from services.warehouse.handlers.stock import RegisterSku
from shared.events import inbox
from tests.harness import SUPERVISOR
from tests.warehouse.floor import CHECKER, Floor

EAN = "6901234567892"
GTIN = EAN.zfill(14)


@pytest.fixture
def floor() -> Floor:
    return Floor()


async def answer(floor: Floor, event: type[Any], **parts: Any) -> dict[str, Any]:
    outcome = await floor.scan(event, **parts)
    assert outcome.refusal is None, outcome.refusal
    assert isinstance(outcome.answer, dict)
    return outcome.answer


async def picking(floor: Floor, order: str = "o-1", *goods: tuple[str, int]) -> None:
    await floor.release(order, *goods)
    await floor.scan(inbox.PickStartScanned, order_id=order)


# --- damaged pieces -------------------------------------------------------------------------------------------


@pytest.mark.requirement("W3")
async def test_a_picker_who_finds_only_damaged_pieces_takes_none(floor: Floor) -> None:
    await floor.stock(quantity=5)
    await picking(floor)
    told = await answer(floor, inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=0, damaged=3)
    assert (told["left"], told["state"]) == ({"TEA": 2}, "picking")
    assert floor.level("TEA").on_hand == 2
    await floor.pick()


@pytest.mark.requirement("W1")
@pytest.mark.requirement("W3")
async def test_pieces_are_booked_from_the_shelf_that_was_scanned_with_them(floor: Floor) -> None:
    await floor.stock(quantity=5, location="A-1")
    await floor.stock(quantity=3, location="B-7")
    await picking(floor)
    scan: dict[str, Any] = {"order_id": "o-1", "barcode": "TEA", "quantity": 1}
    await answer(floor, inbox.PickScanned, **scan, damaged=2, location="B-7")
    assert floor.level("TEA").locations == {"A-1": 5, STAGING: 1}
    told = await floor.told(inbox.PickScanned, **scan, location="B-7")
    assert told.startswith("not_on_shelf: the books have 0 of TEA on B-7, not 1; scan the right one")
    assert await floor.code(inbox.PickScanned, **scan, location=STAGING) == "not_a_shelf"
    assert (await answer(floor, inbox.PickScanned, **scan, location="A-1"))["state"] == "picked"
    floor.adds_up()


@pytest.mark.requirement("W3")
async def test_an_order_that_falls_short_says_what_goes_back_where(floor: Floor) -> None:
    await floor.stock("TEA", 2, "A-1")
    await floor.stock("CUP", 3, "B-7")
    await picking(floor, "o-1", ("TEA", 2), ("CUP", 3))
    await floor.scan(inbox.PickScanned, order_id="o-1", barcode="CUP", quantity=3)
    told = await answer(floor, inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=0, damaged=2)
    assert told["state"] == "backordered"
    assert told["left"] == {"TEA": 2, "CUP": 3}, "nothing is done of it any more"
    assert told["put_back"] == {"CUP": {"B-7": 3}}
    assert floor.work().picks == ()


@pytest.mark.requirement("W3")
async def test_a_damaged_piece_of_another_order_is_found_when_that_is_picked(floor: Floor) -> None:
    """All that is on the shelf is broken but one, and two orders have two each of it."""
    await floor.stock(quantity=4)
    await floor.release("o-2")
    await picking(floor)
    scan: dict[str, Any] = {"order_id": "o-1", "barcode": "TEA", "quantity": 0}
    told = await floor.told(inbox.PickScanned, **scan, damaged=3)
    assert told.startswith("not_on_shelf: 2 of TEA are not another order's: scan so many as damaged now")
    assert (await answer(floor, inbox.PickScanned, **scan, damaged=2))["state"] == "backordered"
    await floor.scan(inbox.PickStartScanned, order_id="o-2")
    scan["order_id"] = "o-2"
    assert (await answer(floor, inbox.PickScanned, **scan, damaged=1))["state"] == "backordered"
    assert floor.level("TEA").on_hand == 1


@pytest.mark.requirement("W3")
async def test_pieces_that_the_books_do_not_have_are_booked_in_first(floor: Floor) -> None:
    await floor.stock(quantity=2)
    await picking(floor)
    for good in (0, 2):
        told = await floor.told(
            inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=good, damaged=3 - good
        )
        assert told.startswith("not_on_shelf: the books have only 2 of TEA on the shelves; book in")


def test_a_pick_of_nothing_says_nothing(floor: Floor) -> None:
    with pytest.raises(ValueError, match="quantity, damaged and missing are all 0"):
        inbox.PickScanned(order_id="o-1", barcode="TEA", quantity=0, scanned_at=floor.now)


# --- a check that failed --------------------------------------------------------------------------------------


@pytest.mark.requirement("W4")
async def test_after_a_check_that_found_too_many_everybody_is_told_how_it_goes_on(floor: Floor) -> None:
    await floor.stock()
    await picking(floor)
    await floor.pick()
    found = (await floor.count(TEA=3)).answer
    assert (found["state"], found["hint"]) == (
        "picking",
        "put right what differs; then the picker scans the order's code, and picks what is left",
    )
    told = await floor.told(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=1)
    assert told == "too_many: nothing is left to pick; put this back and scan the order's code"
    told = await floor.told(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    assert "its picker ends that, after a failed check by scanning its code" in told
    assert (await answer(floor, inbox.PickStartScanned, order_id="o-1"))["state"] == "picked"
    assert (await floor.count(TEA=2)).answer["state"] == "checked"


@pytest.mark.requirement("W4")
@pytest.mark.requirement("W12")
async def test_a_checker_whose_connection_dropped_sees_the_damaged_pieces_counted_too(floor: Floor) -> None:
    await floor.stock()
    await picking(floor)
    await floor.pick()
    begin: dict[str, Any] = {"actor": CHECKER, "order_id": "o-1"}
    assert await answer(floor, inbox.CheckStartScanned, **begin) == {"counted": {}, "damaged": {}}
    await answer(floor, inbox.CheckScanned, **begin, barcode="TEA", quantity=1)
    told = await answer(floor, inbox.CheckScanned, **begin, barcode="TEA", quantity=1, damaged=True)
    assert told == {"sku": "TEA", "counted": {"TEA": 1}, "damaged": {"TEA": 1}}
    again = await answer(floor, inbox.CheckStartScanned, **begin)
    assert again == {"counted": {"TEA": 1}, "damaged": {"TEA": 1}}


@pytest.mark.requirement("W4")
@pytest.mark.parametrize(
    ("good", "damaged", "differences", "on_hand"),
    [
        (3, 1, [("too_many", 1)], 3),
        (2, 2, [("too_many", 1), ("damaged", 1)], 2),
        (2, 1, [("damaged", 1)], 2),
        (1, 1, [("too_few", 1), ("damaged", 1)], 2),
    ],
)
async def test_a_broken_piece_beside_enough_good_ones_is_not_scrapped_for_the_order(
    floor: Floor, good: int, damaged: int, differences: list[tuple[str, int]], on_hand: int
) -> None:
    await floor.stock(quantity=3)
    await picking(floor, "o-1", ("TEA", 3))
    await floor.pick()
    of: dict[str, Any] = {"actor": CHECKER, "order_id": "o-1"}
    await answer(floor, inbox.CheckStartScanned, **of)
    await answer(floor, inbox.CheckScanned, **of, barcode="TEA", quantity=good)
    await answer(floor, inbox.CheckScanned, **of, barcode="TEA", quantity=damaged, damaged=True)
    found = await answer(floor, inbox.CheckFinishScanned, **of)
    assert [(d["difference"], d["quantity"]) for d in found["differences"]] == differences
    assert floor.level().on_hand == on_hand
    kept = differences == [("too_many", 1)]
    assert found["state"] == ("picking" if kept else "backordered")
    assert found["hint"].startswith("a broken piece that is too many is set aside") == kept
    floor.adds_up()


@pytest.mark.requirement("W4")
async def test_broken_pieces_of_another_article_are_a_wrong_item(floor: Floor) -> None:
    await floor.stock()
    await floor.stock("CUP", 1)
    await picking(floor)
    await floor.pick()
    of: dict[str, Any] = {"actor": CHECKER, "order_id": "o-1"}
    await answer(floor, inbox.CheckStartScanned, **of)
    await answer(floor, inbox.CheckScanned, **of, barcode="TEA", quantity=2)
    await answer(floor, inbox.CheckScanned, **of, barcode="CUP", quantity=1, damaged=True)
    found = await answer(floor, inbox.CheckFinishScanned, **of)
    assert found["differences"] == [{"sku": "CUP", "quantity": 1, "difference": "wrong_item"}]
    assert (found["state"], floor.level("CUP").on_hand) == ("picking", 1)


@pytest.mark.requirement("W4")
async def test_a_check_after_which_an_order_falls_short_says_what_goes_back_where(floor: Floor) -> None:
    """Of four teas two are good, one is broken and one is not in the tote."""
    await floor.stock("TEA", 4, "A-1")
    await floor.stock("CUP", 1, "B-7")
    await picking(floor, "o-1", ("TEA", 4), ("CUP", 1))
    await floor.pick()
    of: dict[str, Any] = {"actor": CHECKER, "order_id": "o-1"}
    await answer(floor, inbox.CheckStartScanned, **of)
    await answer(floor, inbox.CheckScanned, **of, barcode="CUP", quantity=1)
    await answer(floor, inbox.CheckScanned, **of, barcode="TEA", quantity=2)
    await answer(floor, inbox.CheckScanned, **of, barcode="TEA", quantity=1, damaged=True)
    found = await answer(floor, inbox.CheckFinishScanned, **of)
    assert (found["state"], found["put_back"]) == ("backordered", {"TEA": {"A-1": 2}, "CUP": {"B-7": 1}})
    assert "set broken ones aside" in found["hint"]
    assert floor.level("TEA").locations == {"A-1": 3}, "the missing one was never off its shelf"
    floor.adds_up()


@pytest.mark.requirement("W4")
async def test_of_an_order_that_is_all_broken_nothing_goes_back(floor: Floor) -> None:
    await floor.stock()
    await floor.release("o-1", ("TEA", 10))
    await floor.pick()
    of: dict[str, Any] = {"actor": CHECKER, "order_id": "o-1"}
    await answer(floor, inbox.CheckStartScanned, **of)
    await answer(floor, inbox.CheckScanned, **of, barcode="TEA", quantity=10, damaged=True)
    found = await answer(floor, inbox.CheckFinishScanned, **of)
    assert (found["state"], found["put_back"]) == ("backordered", {})


# --- a return that does not add up -----------------------------------------------------------------------------


@pytest.mark.requirement("W8")
@pytest.mark.parametrize(
    ("found", "field", "told"),
    [
        (["2 TEA as_new"], "lines.0", "does_not_add_up: 3 of TEA are expected, and 2 named here: name what did"),
        (
            ["1 TEA as_new", "1 TEA damaged", "1 CUP as_new"],
            "lines.1",
            "does_not_add_up: 3 of TEA are expected, and 2 ",
        ),
        (["3 TEA as_new"], "lines", "does_not_add_up: 1 of CUP are expected, and 0 named here: name what did"),
        (["3 TEA as_new", "1 CUP as_new", "2 TEA as_new"], "lines.2", "does_not_add_up: 3 of TEA are expected, and 5 "),
        (["3 TEA as_new", "1 CUP as_new", "1 TEA missing"], "lines.2", "does_not_add_up: 3 of TEA are expected, and 4 "),
        (["3 TEA as_new", "2 CUP as_new"], "lines.1", "does_not_add_up: 1 of CUP are expected, and 2 named here"),
        (["3 TEA as_new", "1 POT as_new"], "lines.1", "not_expected: POT is not part of this return"),
        (
            ["3 TEA as_new", "1 POT wrong_item", "2 PAN wrong_item"],
            "lines.2",
            "does_not_add_up: 2 of PAN are named wrong_item, and 0 expected pieces are left",
        ),
    ],
)  # fmt: skip
async def test_of_a_return_that_does_not_add_up_is_told_which_pieces_and_what_becomes_of_them(
    floor: Floor, found: list[str], field: str, told: str
) -> None:
    await floor.expect_back("c-1", ("TEA", 3), ("CUP", 1))
    await floor.scan(inbox.ReturnReceivedScanned, case_id="c-1")
    pieces = [dict(zip(("quantity", "sku", "condition"), line.split(), strict=True)) for line in found]
    lines = [piece | {"quantity": int(piece["quantity"])} for piece in pieces]
    refused = (await floor.scan(inbox.ReturnInspectedScanned, case_id="c-1", lines=lines)).refusal
    assert refused is not None
    assert f"{refused.code}: {refused.detail}".startswith(told)
    assert refused.field == field
    surplus = "name what did not come" not in refused.detail
    assert surplus == ("leave it out here, book it in with a stock scan" in refused.detail)
    assert floor.level("TEA").on_hand == 0


# --- codes ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("W12")
@pytest.mark.parametrize(
    "read",
    [
        EAN,
        f"]E0{EAN}",
        GTIN,
        f"]C101{GTIN}10LOT7",
        f"https://id.gs1.org/01/{GTIN}",
        f"HTTPS://ID.GS1.ORG/01/{GTIN}/21/7",
        f"]Q1https://shop.example/01/{GTIN}",
        f"]Q1HTTPS://SHOP.EXAMPLE/01/{GTIN}",
    ],
)
async def test_an_article_is_known_however_its_code_is_printed_and_read(floor: Floor, read: str) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    await floor.stock(read, 4)
    assert floor.level("TEA").on_hand == 4


@pytest.mark.requirement("W12")
@pytest.mark.parametrize(
    "read",
    [
        f"https://id.gs1.org/01/{GTIN}",
        f"https://id.gs1.org/01/{GTIN}/21/7",
        "https://u.wechat.com/a",
        "]Q1HTTPS://U.WECHAT.COM/A",
        f"]C101{GTIN}10LOT7",
        f"]d201{GTIN}21A7",
    ],
)
async def test_a_web_address_or_gs1_string_that_nobody_registered_is_no_sku(floor: Floor, read: str) -> None:
    code = await floor.code(inbox.StockScanned, barcode=read, quantity=1, location="A-1")
    assert code == "unknown_barcode"


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("sku", ["TEA", EAN])
@pytest.mark.parametrize("kind", ["]C0", "]E0", "]Q1", "]z0", " ]C0"])
async def test_a_scanner_that_says_first_what_kind_of_code_it_read_names_the_same_thing(
    floor: Floor, kind: str, sku: str
) -> None:
    """From the shelf to the courier and back: our labels, and a SKU that nobody registered."""
    piece: dict[str, Any] = {"order_id": f"{kind}o-1", "barcode": f"{kind}{sku}", "quantity": 2}
    await answer(floor, inbox.StockScanned, barcode=piece["barcode"], quantity=5, location=f"{kind}A-1\r\n")
    assert floor.level(sku).locations == {"A-1": 5}
    await floor.release("o-1", (sku, 2))
    await answer(floor, inbox.PickStartScanned, order_id=piece["order_id"])
    await answer(floor, inbox.PickScanned, **piece, location=f"{kind}A-1")
    await answer(floor, inbox.CheckStartScanned, order_id=piece["order_id"], actor=CHECKER)
    await answer(floor, inbox.CheckScanned, **piece, actor=CHECKER)
    await answer(floor, inbox.CheckFinishScanned, order_id=piece["order_id"], actor=CHECKER)
    packed = [{"sku": piece["barcode"], "quantity": 2}]
    number = await floor.parcel(piece["order_id"], lines=packed)
    assert (await answer(floor, inbox.HandOverScanned, tracking_number=f"{kind}{number}"))[
        "order_id"
    ] == "o-1"
    await floor.expect_back("c-1", (sku, 2))
    await answer(floor, inbox.ReturnReceivedScanned, case_id=f"{kind}c-1")
    found = [packed[0] | {"condition": "as_new"}]
    back = await answer(floor, inbox.ReturnInspectedScanned, case_id=f"{kind}c-1", lines=found)
    assert back["state"] == "inspected"
    floor.adds_up()


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("read", ["]C0", "]C0 ", "]C0]C0SF1", "]SF1", "SF1]C0"])
def test_what_is_left_without_the_kind_must_be_a_code(floor: Floor, read: str) -> None:
    with pytest.raises(ValueError, match="tracking_number"):
        inbox.HandOverScanned(tracking_number=read, scanned_at=floor.now)


@pytest.mark.requirement("W11")
def test_a_courier_reports_by_the_number_itself(floor: Floor) -> None:
    """Nobody scans there: a bracket in it is a mistake that the courier is to hear of."""
    told: dict[str, Any] = {"courier": "sf", "status": "in_transit", "occurred_at": floor.now}
    with pytest.raises(ValueError, match="tracking_number"):
        inbox.TrackingReported(tracking_number="]C0SF1", **told)


@pytest.mark.requirement("W12")
async def test_a_barcode_is_of_one_sku_with_the_kind_of_its_code_and_without(floor: Floor) -> None:
    async def code(sku: str, *barcodes: str) -> str:
        asked = await floor.bench.ask(RegisterSku(sku=sku, name=sku, barcodes=barcodes), actor=SUPERVISOR)
        return asked.refusal.code if asked.refusal else "ok"

    assert await code("TEA", "]C0T-7") == "ok"
    assert await code("CUP", "T-7") == "barcode_taken"
    await floor.stock("T-7", 4)
    assert floor.level("TEA").on_hand == 4
    assert await code("TEA") == "ok"
    assert await code("CUP", "T-7") == "ok"


@pytest.mark.requirement("W3")
async def test_a_code_that_nobody_knows_does_not_send_the_goods_back(floor: Floor) -> None:
    """They may be the right ones: only their code is not known."""
    await floor.stock("TEA", 5)
    await floor.stock("CUP", 5)
    await picking(floor)
    scan: dict[str, Any] = {"order_id": "o-1", "quantity": 1}
    assert await floor.code(inbox.PickScanned, **scan, barcode="CUP") == "wrong_item"
    told = await floor.told(inbox.PickScanned, **scan, barcode=EAN)
    assert told.startswith(f"unknown_barcode: nobody knows the code {EAN}; if these are the right goods")


@pytest.mark.requirement("W8")
@pytest.mark.parametrize("condition", ["as_new", "damaged", "wrong_item"])
@pytest.mark.parametrize("scanned", [EAN, f"]C1010{EAN}10LOT7\x1d17261231"])
async def test_what_came_back_is_told_by_its_barcode_too(floor: Floor, condition: str, scanned: str) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    await floor.expect_back("c-1", ("TEA", 2))
    await floor.scan(inbox.ReturnReceivedScanned, case_id="c-1")
    found = [
        {"sku": "TEA", "quantity": 1, "condition": "as_new"},
        {"sku": scanned, "quantity": 1, "condition": condition},
    ]
    assert (await answer(floor, inbox.ReturnInspectedScanned, case_id="c-1", lines=found))[
        "state"
    ] == "inspected"
    assert floor.level("TEA").on_hand == (2 if condition == "as_new" else 1)
    assert floor.bench.row("levels", EAN) is None


AS_SCANNED = (
    EAN,
    f"{EAN}\r\n",
    f"]E0{EAN}",
    f"]C1010{EAN}10LOT7\x1d17261231",
    f"https://id.example/01/0{EAN}?17=261231",
)
"""How scanners send the barcode of a piece: bare, with a line break, with a symbology, as GS1-128, as a Digital Link."""


@pytest.mark.requirement("W5")
@pytest.mark.parametrize("scanned", AS_SCANNED)
async def test_what_is_packed_is_told_by_its_barcode_too(floor: Floor, scanned: str) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    await floor.stock()
    await floor.release()
    await floor.pick()
    await floor.count(TEA=2)
    number = await floor.parcel(lines=[{"sku": scanned, "quantity": 1}])
    assert [(line.sku, line.quantity) for line in floor.parcel_row(number).lines] == [("TEA", 1)]
    lines = [{"sku": EAN, "quantity": 2}]
    told = await floor.told(inbox.PackScanned, order_id="o-1", weight_grams=500, lines=lines)
    assert told == "not_in_order: 1 of TEA are left to pack, not 2"
