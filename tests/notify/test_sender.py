"""Sending: once, by leases, with back-off, each channel by itself (N2, N3, N6). On a real database."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.notify import sender as sender_module
from services.notify import troubles as troubles_module
from services.notify.channels import GiveUp, Letter, TryLater, Unsure
from services.notify.handlers import SetOptOut
from services.notify.routing import Routing, Webhook
from services.notify.sender import SENDER
from services.notify.sending import LEASE, TRIES, ClaimMessages, RetryMessage
from services.notify.tables import MessageState
from services.notify.troubles import TroubleGauges, troubles
from shared.events.aftersales import CaseKind
from shared.events.orders import OrderEventParked, PersonalErased
from shared.runtime.running import Runtime
from shared.runtime.tasks import end
from shared.values import Locale, OrderLine
from tests.builders import PERSONAL
from tests.harness import AGENT, SUPERVISOR, refused_by
from tests.notify.house import Box, House, house
from tests.notify.news import ORDER, anomaly, authorized, canceled, for_buyers, placed, shipped
from tests.runtime.waiting import until

OPERATIONS = Path("docs/operations.md").read_text()
HOOK = Webhook("erp", "http://127.0.0.1:1/hook", "whsec_" + "A" * 32, ("orders.*",))


@pytest.fixture
async def home(postgres_url: str) -> AsyncIterator[House]:
    """Notify with the file channel and one webhook."""
    async with house(postgres_url, Routing(webhooks=(HOOK,))) as one:
        yield one


async def states(home: House) -> dict[str, str]:
    return {f"{m.template}>{m.audience}": m.state.value for m in await home.messages()}


@pytest.mark.requirement("O6")
@pytest.mark.parametrize(
    ("locale", "lines"),
    [
        (
            Locale.EN,
            ["{name}, {phone}, {street}, ", "Delivery: to your door", "to pay CN¥100.00 in all"],
        ),
        (
            Locale.ZH_CN,
            ["{name}，{phone}，{region}{city}", "配送方式：送货上门", "收货时付款，共计 ¥100.00"],
        ),
    ],
)
async def test_the_buyer_is_asked_about_the_address_that_stands(
    home: House, locale: Locale, lines: list[str]
) -> None:
    box = Box()
    await home.hear(placed(locale=locale), for_buyers()["address_confirmation"])
    await home.sender(file=box)._send_due("file", box)
    known = PERSONAL.contact.model_dump() | PERSONAL.address.model_dump()
    for line in lines:
        assert line.format(**known) in box.letters[0].body
    assert PERSONAL.address.street not in str(await home.messages()), "looked up when it is sent (X4)"


@pytest.mark.requirement("N1")
async def test_buyers_read_the_names_under_which_they_ordered(home: House) -> None:
    box = Box()
    goods = (OrderLine(line=1, sku="TEA", name="Dragon Well", quantity=2, unit_price=5000),)
    await home.hear(placed(lines=goods), for_buyers()["return_authorized"])
    await home.sender(file=box)._send_due("file", box)
    assert "2 × Dragon Well" in box.letters[0].body
    assert "TEA" not in box.letters[0].body


@pytest.mark.requirement("N1")
async def test_every_buyer_message_leaves_once_in_the_buyers_language_and_with_their_name(
    home: House,
) -> None:
    await home.hear(placed(), *for_buyers().values())
    box = Box()
    sender = home.sender(file=box)
    await sender._send_due("file", box)
    await sender._send_due("file", box)
    assert len(box.letters) == len(for_buyers())
    assert all(
        "T-1" in letter.subject + letter.body
        for letter in box.letters
        if "delivered" not in letter.event_type
    )
    assert all(letter.body.startswith("Dear 王芳") for letter in box.letters)
    assert {letter.recipient for letter in box.letters} == {"wang@example.org"}
    assert {m.state for m in await home.messages() if m.audience == "buyer"} == {MessageState.SENT}


@pytest.mark.requirement("N6")
async def test_no_letter_leaves_before_what_was_said_meanwhile_is_heard(home: House) -> None:
    """Who was erased while notify was down, or called their order off, gets none."""
    await home.hear(placed(), shipped())
    box = Box()
    sender = home.sender(file=box)
    sender.first = lambda: home.hear(PersonalErased(order_id=ORDER, reason="asked for"))
    loop = asyncio.create_task(sender.run())
    await until(lambda: _suppressed(home))
    assert box.letters == []
    await end([loop])


async def _suppressed(home: House) -> bool:
    return (await states(home))["shipped>buyer"] == "suppressed"


async def test_two_senders_never_send_the_same_message(home: House) -> None:
    await home.hear(*(placed(f"o-{i}") for i in range(20)), *(shipped(f"o-{i}") for i in range(20)))
    box = Box()
    one, other = home.sender(file=box), home.sender(file=box)
    await asyncio.gather(*(s._send_due("file", box) for s in (one, other, one, other)))
    sent = [letter.message_id for letter in box.letters]
    assert len(sent) == len(set(sent)) == 20


@pytest.mark.requirement("N6")
async def test_a_message_of_a_sender_that_died_is_sent_by_another_when_the_lease_ends(home: House) -> None:
    await home.hear(placed(), shipped())
    (message_id,) = [m.message_id for m in await home.messages() if m.template == "shipped"]
    await home.commands.tell(ClaimMessages(message_ids=(message_id,)), SENDER)
    box = Box()
    sender = home.sender(file=box)
    assert await sender._send_due("file", box) == 0
    home.clock.move_to(home.clock.now() + LEASE)
    assert await sender._send_due("file", box) == 1


@pytest.mark.requirement("N6")
async def test_a_try_booked_after_its_lease_does_not_take_the_message_from_who_has_it_now(
    home: House,
) -> None:
    await home.hear(placed(), shipped())
    (message_id,) = [m.message_id for m in await home.messages() if m.template == "shipped"]
    box = Box()
    sender = home.sender(file=box)

    class Slow(Box):
        """Fails when another sender has the message already."""

        async def send(self, letter: Letter) -> None:
            home.clock.move_to(home.clock.now() + LEASE)
            await home.commands.tell(ClaimMessages(message_ids=(message_id,)), SENDER)
            raise TryLater("away")

    assert await sender._send_due("file", Slow()) == 1
    home.clock.move_to(home.clock.now() + LEASE - timedelta(seconds=1))
    assert await sender._send_due("file", box) == 0, "another has it until its own lease ends"
    home.clock.move_to(home.clock.now() + timedelta(seconds=1))
    assert await sender._send_due("file", box) == 1


@pytest.mark.requirement("N6")
async def test_a_dead_channel_delays_only_its_own_messages(home: House) -> None:
    await home.hear(placed(), canceled())
    box, dead = Box(), Box(failures=[TryLater("away")] * 2)
    sender = home.sender(**{"file": box, "webhook:erp": dead})
    await sender._send_due("webhook:erp", dead)
    await sender._send_due("file", box)
    found = await states(home)
    assert found["canceled>buyer"] == "sent"
    assert found["event>erp"] == "planned"


@pytest.mark.requirement("N6")
async def test_back_off_grows_the_same_way_each_time_and_ends(home: House) -> None:
    await home.hear(placed(), shipped())
    dead = Box(failures=[TryLater("away")] * TRIES)
    sender = home.sender(file=dead)
    waits: list[float] = []
    for _ in range(TRIES):
        await sender._send_due("file", dead)
        (message,) = [m for m in await home.messages() if m.template == "shipped"]
        if len(waits) == 1:
            stuck = {"channel": "file", "waiting": 1, "tries": 2, "last_error": "away", "away": True}
            assert await troubles(home.runtime) == [stuck | {"unserved": 0, "untaken": 0, "given_up": 0}]
        waits.append((message.due - home.clock.now()).total_seconds())
        home.clock.move_to(max(message.due, home.clock.now()))
    assert message.state is MessageState.FAILED
    of_file = next(one for one in await troubles(home.runtime) if one["channel"] == "file")
    assert (of_file["waiting"], of_file["given_up"]) == (0, 1)
    assert sum(waits[:-1]) > 12 * 3600, "a mail server may be away for a night"
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[:-1] == sorted(waits[:-1])


@pytest.mark.requirement("N6")
async def test_what_can_never_be_sent_is_given_up_at_once_and_staff_can_try_it_again(home: House) -> None:
    await home.hear(placed(), shipped())
    box = Box(failures=[GiveUp("no such mailbox")])
    sender = home.sender(file=box)
    await sender._send_due("file", box)
    (message,) = [m for m in await home.messages() if m.template == "shipped"]
    assert (message.state, message.last_error) == (MessageState.FAILED, "no such mailbox")
    async with home.client(AGENT) as client:
        assert (await client.post(f"/v1/messages/{message.message_id}/retry")).status_code == 403
    async with home.client(SUPERVISOR) as client:
        assert (await client.post("/v1/messages/nothing/retry")).status_code == 404
        assert (await client.post(f"/v1/messages/{message.message_id}/retry")).status_code == 200
        again = await client.post(f"/v1/messages/{message.message_id}/retry")
        assert (again.status_code, again.json()["code"]) == (409, "not_failed")
        listed = (await client.get("/v1/messages", params={"order_id": ORDER})).json()
        (shown,) = [m for m in listed if m["retried_by"] is not None]
        assert (shown["message_id"], shown["retried_by"]) == (message.message_id, str(SUPERVISOR))
        assert datetime.fromisoformat(shown["retried_at"]) == home.clock.now()
    await sender._send_due("file", box)
    assert [letter.message_id for letter in box.letters] == [message.message_id]


@pytest.mark.requirement("X4")
async def test_each_buyer_gets_their_own_letters_and_nobody_elses(home: House) -> None:
    """Sent in one batch, with an alert about no order and the letter of an order that notify does not know."""
    mail = {f"o-{n}": f"buyer-{n}@example.org" for n in range(5)}
    for order, address in mail.items():
        contact = PERSONAL.contact.model_copy(update={"email": address, "name": f"Buyer of {order}"})
        await home.hear(placed(order, personal=PERSONAL.model_copy(update={"contact": contact})))
    parked = OrderEventParked(
        service="orders", parked_id="k", parked_type="t", parked_stream="s", reason="KeyError"
    )
    await home.hear(parked, shipped("unknown"), *(shipped(order) for order in reversed(mail)))
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    to_buyers = [letter for letter in box.letters if letter.recipient != "duty@shop.example"]
    assert {letter.facts["order_id"]: letter.recipient for letter in to_buyers} == mail
    assert all(f"Buyer of {letter.facts['order_id']}" in letter.body for letter in to_buyers)
    assert len(box.letters) == len(mail) + 1


@pytest.mark.requirement("N6")
async def test_who_opted_out_gets_only_what_concerns_contract_and_money(home: House) -> None:
    await home.commands.ask(SetOptOut(buyer_id="buyer-1", opted_out=True), AGENT)
    await home.hear(placed(), *for_buyers().values())
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    kinds = {letter.event_type.split(".")[1] for letter in box.letters}
    assert kinds.isdisjoint({"shipment_shipped", "shipment_delivered", "return_received"})
    assert {"order_canceled", "refund_requested", "case_rejected", "address_confirmation_requested"} <= kinds


@pytest.mark.requirement("N6")
@pytest.mark.parametrize(("source", "letters"), [("shop", 0), (None, 0), ("other-shop", 1)])
async def test_who_opted_out_at_one_shop_is_not_somebody_elses_buyer_of_the_same_number(
    home: House, source: str | None, letters: int
) -> None:
    await home.commands.ask(SetOptOut(buyer_id="buyer-1", source=source, opted_out=True), AGENT)
    await home.hear(placed(), shipped())
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    assert len(box.letters) == letters
    await home.commands.ask(SetOptOut(buyer_id="buyer-1", source=source, opted_out=False), AGENT)
    await home.hear(shipped())
    await home.sender(file=box)._send_due("file", box)
    assert len(box.letters) == letters + 1


@pytest.mark.requirement("X4")
async def test_nothing_more_goes_to_whoever_was_erased_and_staff_hear_of_what_they_need(home: House) -> None:
    await home.hear(
        placed(), PersonalErased(order_id=ORDER, reason="they asked for it"), shipped(), canceled()
    )
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    assert box.letters == []
    told = {m.template: m.state.value for m in await home.messages() if m.audience == "buyer"}
    assert told == {"shipped": "suppressed", "canceled": "failed"}


@pytest.mark.requirement("A1")
@pytest.mark.parametrize(("rejected", "asked"), [(False, True), (True, False)])
async def test_what_was_canceled_and_arrives_is_asked_back_unless_the_order_stands(
    home: House, rejected: bool, asked: bool
) -> None:
    news = for_buyers()
    stands = [news["case_rejected"].model_copy(update={"kind": CaseKind.LATE_CANCEL})] if rejected else []
    await home.hear(placed(), authorized(CaseKind.LATE_CANCEL), *stands, news["delivered"])
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    arrived = next(one for one in box.letters if one.event_type.startswith("warehouse.shipment_delivered"))
    assert ("send the goods back" in arrived.body) is asked


@pytest.mark.requirement("X2")
async def test_an_order_of_which_notify_never_heard_is_erased_all_the_same(home: House) -> None:
    await home.hear(PersonalErased(order_id=ORDER, reason="they asked for it"))


@pytest.mark.requirement("N2")
async def test_staff_are_told_whatever_the_buyer_opted_out_of(home: House) -> None:
    await home.commands.ask(SetOptOut(buyer_id="buyer-1", opted_out=True), AGENT)
    await home.hear(placed(), anomaly())
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    assert [letter.recipient for letter in box.letters] == ["duty@shop.example"]


@pytest.mark.requirement("N6")
async def test_a_letter_of_which_nobody_says_that_it_was_taken_leaves_three_times_at_most(
    home: House,
) -> None:
    await home.hear(placed(), canceled())
    box = Box(failures=[Unsure("no receipt"), TryLater("away"), Unsure("no receipt"), Unsure("no receipt")])
    sender, waits = home.sender(file=box), []
    for _ in range(4):
        await sender._send_due("file", box)
        (message,) = [m for m in await home.messages() if m.template == "canceled"]
        waits.append((message.due - home.clock.now()).total_seconds())
        home.clock.move_to(max(message.due, home.clock.now()))
    assert message.state is MessageState.FAILED
    assert waits[:3] == [3600, 10, 3600]
    failed = "SELECT count(*) FROM event_log WHERE type = 'notify.message_failed.v1'"
    assert await home.pool.fetchval(failed) == 1


@pytest.mark.requirement("N6")
async def test_a_receiver_that_answers_nothing_keeps_no_letter_for_ever(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "SEND_SECONDS", 0.05)
    await home.hear(placed(), shipped())

    class Mute(Box):
        async def send(self, letter: Letter) -> None:
            await asyncio.Event().wait()

    mute = Mute()
    async with asyncio.timeout(10):
        await home.sender(file=mute)._send_due("file", mute)
    (message,) = [m for m in await home.messages() if m.template == "shipped"]
    assert (message.state, message.last_error) == (MessageState.PLANNED, "no answer in 0.05 s")


@pytest.mark.requirement("X6")
async def test_gauges_say_what_each_channel_cannot_send_and_forget_it_once_it_left(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts go by them: one that is mixed up or never falls names the wrong trouble, or wakes somebody for ever."""
    monkeypatch.setattr(troubles_module, "SAMPLE_SECONDS", 0.01)
    looks, look = 0, troubles_module.troubles

    async def counted(runtime: Runtime) -> list[dict[str, Any]]:
        nonlocal looks
        found = await look(runtime)
        looks += 1
        return found

    monkeypatch.setattr(troubles_module, "troubles", counted)
    await home.hear(placed(), canceled())  # one letter to the buyer, two events to the webhook
    renamed = home.under(Routing(buyer="email"))
    for one in (home, renamed):
        one.clock.move_to(one.clock.now() + timedelta(minutes=16))

    async def said() -> set[str]:
        nonlocal looks
        looks = 0
        loop = asyncio.create_task(gauges.run())
        await until(lambda: looks > 1)
        await end([loop])
        lines = renamed.metrics.exposition().decode().splitlines()
        return {
            line.removeprefix("handover_") for line in lines if "_messages{" in line and line[-4:] != " 0.0"
        }

    gauges = TroubleGauges(renamed.runtime)
    lost = 'unserved_messages{channel="webhook:erp"} 2.0'
    assert await said() == {lost, 'untaken_messages{channel="file"} 1.0'}
    box = Box(failures=[TryLater("away"), GiveUp("refused")])
    sender = home.sender(file=box)
    await sender._send_due("file", box)
    assert await said() == {lost, 'unsent_messages{channel="file"} 1.0'}
    home.clock.move_to(home.clock.now() + timedelta(minutes=1))
    await sender._send_due("file", box)
    assert await said() == {lost, 'given_up_messages{channel="file"} 1.0'}
    await sender._send_due("webhook:erp", box)
    assert await said() == {'given_up_messages{channel="file"} 1.0'}


@pytest.mark.requirement("N2")
async def test_a_channel_by_which_others_leave_is_not_away(home: House) -> None:
    """One full mailbox is no reason to wake anybody."""
    await home.hear(placed(), shipped())
    box = Box(failures=[TryLater("a full mailbox")])
    await home.sender()._send_due("file", box)
    (failing,) = await troubles(home.runtime)
    assert (failing["waiting"], failing["away"]) == (1, True)
    home.clock.move_to(home.clock.now() + timedelta(seconds=1))
    await home.hear(canceled())
    await home.sender()._send_due("file", box)
    (failing,) = [one for one in await troubles(home.runtime) if one["channel"] == "file"]
    assert (failing["waiting"], failing["away"], len(box.letters)) == (1, False, 1)


@pytest.mark.requirement("N2")
async def test_a_letter_that_is_being_sent_is_no_trouble(home: House) -> None:
    await home.hear(placed(), shipped())
    (message_id,) = [m.message_id for m in await home.messages() if m.template == "shipped"]
    await home.commands.tell(ClaimMessages(message_ids=(message_id,)), SENDER)
    assert await troubles(home.runtime) == []


@pytest.mark.requirement("N2")
async def test_letters_that_nobody_takes_are_seen(home: House) -> None:
    await home.hear(placed(), canceled())
    assert await troubles(home.runtime) == [], "they are due now"
    home.clock.move_to(home.clock.now() + timedelta(minutes=16))
    assert {one["channel"]: one["untaken"] for one in await troubles(home.runtime)} == {
        "file": 1,
        "webhook:erp": 2,
    }


@pytest.mark.requirement("N6")
async def test_what_waits_for_a_channel_that_the_settings_lost_is_seen_and_leaves_when_they_name_it_again(
    home: House,
) -> None:
    await home.hear(placed(), canceled())
    renamed = home.under(Routing(buyer="email"))
    lost = {
        "channel": "webhook:erp",
        "waiting": 0,
        "tries": 0,
        "last_error": "",
        "away": False,
        "unserved": 2,
        "untaken": 0,
        "given_up": 0,
    }
    assert await troubles(renamed.runtime) == [lost], "files are written all the same"
    assert await troubles(home.runtime) == []
    box = Box()
    await home.sender()._send_due("webhook:erp", box)
    assert len(box.letters) == 2


async def test_what_waits_for_a_channel_that_is_gone_for_good_can_be_put_away_by_hand(home: House) -> None:
    await home.hear(placed())
    (by_hand,) = re.findall("`(UPDATE messages .*)`", OPERATIONS)
    await home.pool.execute(by_hand)
    assert [m.state for m in await home.messages()] == [MessageState.SUPPRESSED]
    assert await troubles(home.under(Routing()).runtime) == []


@pytest.mark.requirement("N2")
async def test_staff_are_told_of_payment_anomalies_in_their_own_language(home: House) -> None:
    await home.hear(placed(), anomaly())
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    (letter,) = box.letters
    assert letter.recipient == "duty@shop.example"
    assert "T-1" in letter.subject
    assert "120.00" in letter.body
    assert "王芳" not in letter.subject + letter.body


@pytest.mark.requirement("N6")
async def test_a_message_waits_for_news_of_its_buyer(home: House) -> None:
    await home.hear(shipped())
    box = Box()
    sender = home.sender(file=box)
    await sender._send_due("file", box)
    assert box.letters == []
    await home.hear(placed())
    home.clock.move_to(home.clock.now() + timedelta(seconds=5))
    await sender._send_due("file", box)
    assert len(box.letters) == 1


async def test_a_failed_message_is_not_retried_over_a_race_of_results(home: House) -> None:
    await home.hear(placed(), shipped())
    (message,) = [m for m in await home.messages() if m.template == "shipped"]
    refused = await home.commands.tell(RetryMessage(message_id=message.message_id), SUPERVISOR)
    assert refused_by(refused) == "not_failed"
