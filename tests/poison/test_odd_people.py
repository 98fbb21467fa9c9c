"""Odd names are names: read alike at both doors, printed, told and mailed, to the one who was meant (O1, W5, N1)."""

import json
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest
from pydantic import ValidationError

from services.notify.channels import EmailChannel, GiveUp, Letter
from services.notify.texts import Texts
from services.warehouse import documents
from shared.runtime.inbox import outside
from shared.values import Address, Contact, Locale
from tests.harness import SHOP
from tests.poison.people import NAMES, odd_order
from tests.town import Town

MONEY = {"amount": 100, "currency": "CNY"}
FACTS = {
    "number": "1001", "refund_due": True, "refund": MONEY, "amount": MONEY, "detail": "", "courier": "sf",
    "reason": "x", "last": True, "tracking_number": "SF1", "case_id": "C-1", "lines": [], "return_address": "",
}  # fmt: skip


@pytest.mark.requirement("O1")
@pytest.mark.parametrize("name", NAMES)
def test_they_are_read_as_they_were_written(name: str) -> None:
    event = odd_order("odd", name)
    assert event.personal.contact.name == name.strip().replace("\n", " ").replace("\t", " ")
    for body in (event.model_dump_json(), json.dumps(event.model_dump(mode="json"))):  # raw, and as escapes
        read = outside(
            {"ce_id": "1", "ce_source": "shop", "ce_type": event.wire_type},
            body.encode(),
            SHOP,
            inbox="orders.inbox",
        )
        assert read.message == event


@pytest.mark.requirement("O1")
@pytest.mark.parametrize("broken", ["Wang\nFang", "Wang\r\nFang", "\tWang\tFang\n"])
def test_people_and_addresses_stand_on_one_line(broken: str) -> None:
    contact = Contact(name=broken, phone="+8613800000000")
    address = Address(country="CN", region=broken, city=broken, district=broken, street=broken)
    parts = (contact.name, address.region, address.city, address.district, address.street)
    assert set(parts) == {"Wang Fang"}


def test_a_remark_keeps_its_lines() -> None:
    assert odd_order("odd", "two\nlines").remark == "two\nlines"


@pytest.mark.requirement("O1")
@pytest.mark.parametrize("phone", ["138\n0000 0000", "138\t0000 0000", "13800000000\n"])
def test_a_phone_with_a_line_break_is_refused(phone: str) -> None:
    with pytest.raises(ValidationError):
        Contact(name="Wang Fang", phone=phone)


@pytest.mark.requirement("W5")
async def test_they_stand_on_labels_and_notes() -> None:
    town = Town()
    await town.stock("TEA", 1000)
    for number, name in enumerate(NAMES):
        odd = odd_order(f"odd-{number}", name)
        order = await town.release(f"odd-{number}", lines=odd.lines, remark=odd.remark, personal=odd.personal)
        parcel = await town.ship(order)
        work = town.row("warehouse", "fulfillments", order)
        shipment = next(
            s for s in town.benches["warehouse"].store.rows("shipments") if s.tracking_number == parcel
        )
        assert work.personal == odd.personal
        assert documents.label(shipment, work, "顺丰速运").startswith(b"%PDF-")
        assert documents.shipping_note(shipment, work).startswith(b"%PDF-")
    assert town.parked() == []


@pytest.mark.requirement("N4")
@pytest.mark.parametrize("locale", Locale)
def test_they_are_told_by_their_names(locale: Locale) -> None:
    texts = Texts("Tea House", "Asia/Shanghai")
    for name in NAMES:
        told = texts.render("canceled", locale, FACTS | {"name": name})
        assert name.strip() in told.body
        assert "\n" not in told.subject


@pytest.fixture
def mailed(monkeypatch: pytest.MonkeyPatch) -> list[EmailMessage]:
    """What goes to the mail server."""
    mails: list[EmailMessage] = []

    async def connect(server: Any) -> None: ...

    async def send(server: Any, mail: EmailMessage) -> None:
        mails.append(mail)

    monkeypatch.setattr(aiosmtplib.SMTP, "connect", connect)
    monkeypatch.setattr(aiosmtplib.SMTP, "send_message", send)
    return mails


def letter(recipient: str, name: str = "王芳") -> Letter:
    return Letter("m-1", recipient, " ".join(f"To {name}".split()), name, "e-1", "t", {})


@pytest.mark.requirement("N3")
async def test_they_are_mailed(mailed: list[EmailMessage]) -> None:
    for name in NAMES:
        await EmailChannel("smtp://localhost", "shop@shop.example").send(letter("wang@example.org", name))
    assert [m["To"].addresses[0].addr_spec for m in mailed] == ["wang@example.org"] * len(NAMES)
    assert all(len(m.as_bytes()) > 100 for m in mailed)


@pytest.mark.requirement("N3")
@pytest.mark.parametrize(
    "good", ["a+b@x.org", "王芳@例子.example", "o'neil@x.org", '"a b"@x.org', "Duty <duty@shop.example>"]
)
async def test_an_address_of_one_person_is_mailed_to(mailed: list[EmailMessage], good: str) -> None:
    await EmailChannel("smtp://localhost", "shop@shop.example").send(letter(good))
    assert len(mailed[0]["To"].addresses) == 1


@pytest.mark.requirement("N3")
@pytest.mark.parametrize(
    "odd",
    [
        "a,b@x.org",
        "a;b@x.org",
        "<a>@x.org",
        "(a)@x.org",
        "a:b@x.org",
        "a@b>c",
        '"a@x.org',
        "a@[x",
        "all:;a@x",
        "=?utf-8?q?x?=@x.org",
    ],
)
async def test_an_address_that_means_somebody_else_is_given_up(mailed: list[EmailMessage], odd: str) -> None:
    with pytest.raises(GiveUp, match="no e-mail address"):
        await EmailChannel("smtp://localhost", "shop@shop.example").send(letter(odd))
    assert mailed == []
