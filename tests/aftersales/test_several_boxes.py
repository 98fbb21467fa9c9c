"""After a cancel the buyer and couriers send boxes, each taken in under a number: a box settles what is in it (A1, A6)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase
from shared.events.aftersales import (
    ApprovalRequested,
    CaseClosed,
    CaseKind,
    CaseRejected,
    MoneyQuestion,
    ReturnAuthorized,
)
from shared.events.warehouse import (
    Condition,
    InspectedLine,
    ReturnInspected,
    ShipmentDelivered,
    ShipmentReturned,
)
from tests.aftersales.desk import DAY, Shop, goods
from tests.builders import lines
from tests.harness import START, SUPERVISOR

PRICES = {"TEA": 5000, "CUP": 3000, "POT": 2000}


async def canceled(arrived: str, *turned: str, cod: bool = False) -> Shop:
    """A canceled order that had left in several parcels: the first reached the buyer, the others, b and c, turned round."""
    shop = Shop()
    parcels = [_pieces(one) for one in (arrived, *turned)]
    bought = [(sku, sum(p.get(sku, 0) for p in parcels), price) for sku, price in PRICES.items()]
    items = lines(*(line for line in bought if line[1]))
    await shop.placed(items, cod=cod)
    await shop.cancel_refused(sum(n * price for _, n, price in bought))
    if arrived:
        paid = sum(n * PRICES[sku] for sku, n in parcels[0].items())
        event = ShipmentDelivered(
            order_id=shop.order_id,
            shipment_id="a",
            delivered_at=START,
            cod_collected=paid * cod,
            last=False,
            lines=goods(**parcels[0]),
        )
        await shop.bench.hear(event)
    for name, parcel in zip("bc", parcels[1:], strict=False):
        back = ShipmentReturned(
            order_id=shop.order_id, shipment_id=name, occurred_at=START, detail="", lines=goods(**parcel)
        )
        await shop.bench.hear(back)
    return shop


def _pieces(parcel: str) -> dict[str, int]:
    return {sku: parcel.split().count(sku) for sku in parcel.split()}


async def box(shop: Shop, ordinal: int, *found: str) -> None:
    """Received and inspected under a case: these are as new, what else it is about is missing."""
    case = shop.case(ordinal)
    await shop.received(case.case_id)
    missing = {one.sku: one.quantity - found.count(one.sku) for one in case.lines}
    seen = [(sku, found.count(sku), Condition.AS_NEW) for sku in sorted(set(found))]
    seen += [(sku, n, Condition.MISSING) for sku, n in missing.items() if n]
    looked_at = tuple(InspectedLine(sku=s, quantity=n, condition=c, restocked=False) for s, n, c in seen)
    await shop.bench.hear(ReturnInspected(order_id=shop.order_id, case_id=case.case_id, lines=looked_at))


def awaited(shop: Shop) -> list[tuple[CaseKind, str | None, str]]:
    """The kind, the parcel and the goods of each case after the first."""
    cases = shop.bench.store.rows("cases")[1:]
    return [
        (c.kind, c.shipment_id, " ".join(f"{line.quantity} {line.sku}" for line in c.lines)) for c in cases
    ]


@pytest.mark.requirement("A1")
@pytest.mark.parametrize("cod", [False, True])
async def test_each_of_two_parcels_of_one_article_has_a_number_of_its_own_and_is_paid_once(cod: bool) -> None:
    shop = await canceled("TEA", "TEA", "TEA", cod=cod)
    await box(shop, 1, "TEA")
    courier = CaseKind.REFUSED_COD if cod else CaseKind.RETURNED_PARCEL
    assert awaited(shop) == [(courier, "c", "1 TEA"), (CaseKind.LATE_CANCEL, None, "1 TEA")]
    assert [e.rest_of for e in shop.bench.said_of(ReturnAuthorized)[1:]] == [None, shop.case(1).case_id]
    await box(shop, 2, "TEA")
    assert shop.refunds == ([] if cod else [5000, 5000]), "for cash on delivery nothing was paid"
    await box(shop, 3, "TEA")
    assert sum(shop.refunds) == (5000 if cod else 15000)
    assert [e.order_ends for e in shop.bench.said_of(CaseClosed)] == [False, False, True]
    assert not shop.bench.said_of(ApprovalRequested)


@pytest.mark.requirement("A6")
async def test_the_parcel_that_does_not_come_is_paid_when_its_own_time_is_up() -> None:
    shop = await canceled("POT", "TEA", "CUP")
    await shop.bench.pass_time(10 * DAY)
    await box(shop, 1, "TEA")
    assert shop.refunds == [5000]
    await shop.bench.pass_time(13 * DAY)
    assert shop.refunds == [5000]
    await shop.bench.pass_time(DAY)
    assert shop.refunds == [5000, 3000]
    assert [e.kind for e in shop.bench.said_of(CaseRejected)] == [CaseKind.LATE_CANCEL], (
        "the buyer kept the pot"
    )


@pytest.mark.requirement("A1")
async def test_a_box_of_the_buyer_settles_nothing_that_a_courier_brings() -> None:
    shop = await canceled("TEA", "CUP")
    await box(shop, 1, "TEA")
    assert shop.refunds == [5000]
    assert awaited(shop) == [(CaseKind.RETURNED_PARCEL, "b", "1 CUP")]
    await box(shop, 2)
    assert shop.refunds == [5000, 3000], "what is not in the courier's box was lost with it"


@pytest.mark.requirement("A1")
@pytest.mark.parametrize(
    ("found", "paid", "others"),
    [
        (["CUP"], 8000, [("c", "1 POT")]),  # the tea of its parcel was lost
        (["CUP", "POT"], 5000, [("b", "1 TEA")]),
        (["TEA", "CUP", "POT"], 10000, []),
        ([], 8000, [("c", "1 POT")]),
    ],
)
async def test_an_incomplete_box_is_the_parcel_of_which_there_is_most(
    found: list[str], paid: int, others: list[tuple[str, str]]
) -> None:
    shop = await canceled("", "TEA CUP", "POT")
    await box(shop, 1, *found)
    assert sum(shop.refunds) == paid
    assert awaited(shop) == [(CaseKind.RETURNED_PARCEL, *one) for one in others]


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("lost", [False, True])
async def test_of_one_article_nobody_can_tell_whose_box_came_so_a_person_says_what_became_of_the_other(
    lost: bool,
) -> None:
    """The box may be the buyer's, and what its courier brings back lost."""
    shop = await canceled("TEA", "TEA")
    await box(shop, 1, "TEA")
    if not lost:
        await box(shop, 2, "TEA")
        assert shop.refunds == [5000, 5000]
        return
    await shop.bench.pass_time(14 * DAY)
    assert not shop.bench.said_of(CaseRejected)
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.case_id, asked.reason) == (shop.case(2).case_id, MoneyQuestion.NO_WORD)
    await shop.bench.ask(ApproveCase(case_id=asked.case_id), actor=SUPERVISOR)
    assert shop.refunds == [5000, 5000]
    assert shop.bench.said_of(CaseClosed)[-1].order_ends


async def one_of_two_came() -> Shop:
    """Canceled: of two TEA one was delivered and one turned round, and one came in a box; of the CUP nothing was heard."""
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 5000), ("CUP", 1, 3000)))
    await shop.cancel_refused(13000)
    await shop.delivered(last=False, TEA=1)
    await shop.returned(last=False, TEA=1)
    await box(shop, 1, "TEA")
    return shop


@pytest.mark.requirement("A6")
async def test_where_of_another_article_nothing_was_heard_each_question_is_a_case_of_its_own() -> None:
    shop = await one_of_two_came()
    await shop.bench.pass_time(14 * DAY)
    assert not shop.bench.said_of(CaseRejected)
    asked = [shop.bench.row("cases", e.case_id).lines for e in shop.bench.said_of(ApprovalRequested)]
    assert asked == [goods(CUP=1), goods(TEA=1)]


@pytest.mark.requirement("A6", "W11")
async def test_word_of_one_article_leaves_the_question_about_another_to_its_person() -> None:
    shop = await one_of_two_came()
    await shop.bench.pass_time(15 * DAY)
    tea, cup = shop.case(2), shop.case(3)
    assert [(one.lines, one.no_word) for one in (tea, cup)] == [(goods(TEA=1), True), (goods(CUP=1), True)]
    await shop.delivered(CUP=1)
    assert [shop.case(n).state for n in (2, 3)] == ["awaiting_approval", "waiting_buyer"]
