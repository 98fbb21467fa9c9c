"""Bugs that were found once and stay mended."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.notify.app import webhooks
from services.notify.channels import EmailChannel, Letter, TryLater
from services.notify.handlers import SetOptOut, service
from services.notify.routing import Routing, Webhook
from services.notify.sender import AT_ONCE, BATCH, SEND_SECONDS
from services.notify.sending import LEASE
from services.notify.tables import MessageState
from services.notify.texts import STAFF, TemplatesWrong, Texts
from shared.events.notify import MessageFailed, MessageSent, NotifyEventParked
from shared.runtime.memory import MemoryTransaction
from shared.runtime.store import Ask
from shared.values import Locale, Money
from tests.builders import PERSONAL
from tests.harness import AGENT, Bench
from tests.notify.house import Box, House, MailServer, house
from tests.notify.news import ORDER, canceled, for_buyers, for_staff, parked, placed, shipped

NO_E_MAIL = PERSONAL.model_copy(update={"contact": PERSONAL.contact.model_copy(update={"email": None})})
EVERYTHING = Webhook("all", "http://127.0.0.1:1/", "whsec_" + "A" * 32, ("*",))


@pytest.fixture
async def home(postgres_url: str) -> AsyncIterator[House]:
    """Notify with the file channel."""
    async with house(postgres_url) as one:
        yield one


@pytest.mark.requirement("N2")
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("template", STAFF)
def test_every_alert_can_be_rendered(template: str, locale: Locale) -> None:
    event = for_staff()[template]
    facts = event.model_dump(mode="json") | {
        "number": "T-1",
        "name": "",
        "refund_due": False,
    }
    text = Texts("Tea House", "Asia/Shanghai").render(
        template, locale, facts | {"reason": facts.get("reason", "")}
    )
    assert text.subject


@pytest.mark.requirement("N6")
async def test_one_message_that_cannot_be_made_keeps_no_other_from_being_booked(home: House) -> None:
    await home.hear(placed(), shipped(), placed("o-2"), shipped("o-2"))
    box = Box(failures=[RuntimeError("a bug of ours")])
    sender = home.sender(file=box)
    await sender._send_due("file", box)
    assert sorted(m.state for m in await home.messages()) == ["planned", "sent"]


@pytest.mark.requirement("N6")
async def test_what_a_buyer_opted_out_of_is_suppressed_and_not_a_failure(home: House) -> None:
    await home.commands.ask(SetOptOut(buyer_id="buyer-1", opted_out=True), AGENT)
    await home.hear(placed(), shipped())
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    (message,) = await home.messages()
    assert message.state is MessageState.SUPPRESSED
    assert (
        await home.pool.fetchval("SELECT count(*) FROM event_log WHERE type = 'notify.message_failed.v1'")
        == 0
    )


@pytest.mark.requirement("N3")
async def test_a_buyer_without_an_e_mail_address_is_not_mailed_under_a_phone_number(
    postgres_url: str,
) -> None:
    async with house(postgres_url, Routing(buyer="email")) as home:
        await home.hear(placed(personal=NO_E_MAIL), shipped())
        box = Box()
        await home.sender(email=box)._send_due("email", box)
        assert box.letters == []
        (message,) = await home.messages()
        assert message.state is MessageState.SUPPRESSED
        assert message.last_error == "no e-mail address is known"


@pytest.mark.requirement("N6")
async def test_a_letter_that_must_reach_a_buyer_without_an_e_mail_address_is_told_to_staff(
    postgres_url: str,
) -> None:
    async with house(postgres_url, Routing(buyer="email")) as home:
        await home.hear(placed(personal=NO_E_MAIL), canceled())
        await home.sender(email=Box())._send_due("email", Box())
        (message,) = await home.messages()
        assert (message.state, message.last_error) == (MessageState.FAILED, "no e-mail address is known")
        said = await home.pool.fetchval("SELECT data FROM event_log WHERE type = 'notify.message_failed.v1'")
        await home.hear(MessageFailed.model_validate_json(said))
        (_, told) = await home.messages()
        assert (told.template, told.audience) == ("letter_failed", "staff")


@pytest.mark.requirement("N3")
async def test_a_mail_server_that_asks_to_come_back_later_is_asked_later() -> None:
    letter = Letter("m-1", "wang@example.org", "s", "b", "e", "t", {})
    async with MailServer(refuse="450 greylisted, come back in five minutes").running() as server:
        with pytest.raises(TryLater):
            await EmailChannel(f"smtp://127.0.0.1:{server.port}", "shop@tea.example").send(letter)


@pytest.mark.requirement("N2")
async def test_staff_are_told_of_what_notify_itself_set_aside() -> None:
    bench = Bench(service())
    await bench.hear(parked(NotifyEventParked, "notify"))
    assert [m.audience for m in bench.store.rows("messages")] == ["staff"]


@pytest.mark.requirement("N3")
async def test_webhooks_hear_what_was_sent_to_people_and_never_what_was_sent_to_webhooks() -> None:
    bench: Bench[Any] = Bench(service(Routing(webhooks=(EVERYTHING,))))
    about: dict[str, Any] = {"order_id": ORDER, "message_id": "m", "template": "shipped"}
    await bench.hear(
        MessageSent(channel="file", audience="buyer", **about),
        MessageFailed(channel="email", audience="staff", reason="x", **about),
        MessageSent(channel="webhook:all", audience="all", **about),
        MessageFailed(channel="webhook:all", audience="all", reason="x", **about),
    )
    assert len(bench.store.rows("messages")) == 2


async def test_a_batch_costs_one_look_at_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    load = MemoryTransaction.load

    async def counted(self: MemoryTransaction, asks: Sequence[Ask]) -> Any:
        looks.extend(len(ask.keys) for ask in asks if ask.rows.name == "messages")
        return await load(self, asks)

    monkeypatch.setattr(MemoryTransaction, "load", counted)
    bench = Bench(service())
    await bench.hear(*(placed(f"o-{i}") for i in range(20)), *(shipped(f"o-{i}") for i in range(20)))
    assert looks == [20]


@pytest.mark.requirement("N6")
def test_a_lease_outlasts_the_slowest_batch() -> None:
    assert LEASE.total_seconds() > SEND_SECONDS * -(-BATCH // AT_ONCE)


@pytest.mark.requirement("N4")
def test_a_rejection_is_explained_in_the_buyers_language() -> None:
    facts = for_buyers()["case_rejected"].model_dump(mode="json")
    facts |= {"name": "王芳", "number": "T-1", "refund_due": False}
    body = Texts("Tea House", "Asia/Shanghai").render("case_rejected", Locale.ZH_CN, facts).body
    assert "not as agreed" not in body
    assert "与约定不符" in body


@pytest.mark.requirement("N4")
def test_the_shops_name_promises_nothing_either() -> None:
    with pytest.raises(TemplatesWrong, match="the shop's name"):
        Texts("绝对好茶", "Asia/Shanghai")


@pytest.mark.requirement("X7")
def test_money_without_minor_units_is_written_whole() -> None:
    facts = for_buyers()["refund_requested"].model_dump(mode="json")
    facts |= {"amount": Money(amount=1200, currency="JPY").model_dump(), "name": "n", "number": "1"}
    assert "¥1,200" in Texts("T", "Asia/Shanghai").render("refund_requested", Locale.EN, facts).body


@pytest.mark.requirement("N3")
@pytest.mark.parametrize(
    ("secret", "events"),
    [
        ("whsec_", "*"),
        ("whsec_AA==", "*"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8I-PZIo2La_aSw", "*"),  # Base64url: it would be signed with another key
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "order.*"),
    ],
)
def test_a_webhook_that_could_never_work_is_said_at_the_start(
    tmp_path: Path, secret: str, events: str
) -> None:
    file = tmp_path / "webhooks.toml"
    file.write_text(f'[[webhook]]\nname="erp"\nurl="http://x"\nsecret="{secret}"\nevents=["{events}"]')
    with pytest.raises(ValueError, match="webhook 0"):
        webhooks(file)
