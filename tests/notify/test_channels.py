"""Channels against real servers: files, e-mail, signed webhooks; and the settings that name them (N3)."""

import asyncio
import email
import json
import resource
import signal
from dataclasses import replace
from email import policy
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifier

from services.notify import channels
from services.notify.app import NotifySettings, webhooks
from services.notify.channels import (
    EmailChannel,
    FileChannel,
    GiveUp,
    Letter,
    TryLater,
    Unsure,
    WebhookChannel,
)
from services.notify.routing import Webhook
from shared.runtime.settings import load
from tests.notify.house import HookServer, MailServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LETTER = Letter(
    "m-1",
    "wang@example.org",
    "订单 T-1 已发货",
    "您好，包裹已发出。\n.\nTea House",
    "/handover/orders order/1/3",
    "orders.order_canceled.v1",
    {"order_id": "1", "reason": "不要了"},
)


@pytest.mark.requirement("N3")
async def test_the_file_channel_writes_a_line_a_message_under_the_same_id_each_time(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "messages")
    await channel.send(LETTER)
    await channel.send(LETTER)
    assert [(line["id"], line["subject"], line["body"]) for line in _lines(tmp_path / "messages")] == [
        ("m-1", LETTER.subject, LETTER.body)
    ] * 2


@pytest.mark.requirement("X4")
async def test_letters_are_for_whoever_runs_the_service_alone(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "messages")
    await channel.send(LETTER)
    (file,) = (tmp_path / "messages").iterdir()
    assert [f"{one.stat().st_mode & 0o777:o}" for one in (file.parent, file)] == ["700", "600"]


@pytest.mark.requirement("N3")
async def test_a_line_that_a_full_disk_cut_off_spoils_none_after_it(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "messages")
    await channel.send(LETTER)
    (file,) = (tmp_path / "messages").iterdir()
    with file.open("ab") as torn:
        torn.write(b'{"id": "m-2", "to": "wa')
    await channel.send(LETTER)
    whole, cut, after = file.read_text().splitlines()
    assert json.loads(whole)["id"] == json.loads(after)["id"] == "m-1"
    assert cut == '{"id": "m-2", "to": "wa'


@pytest.mark.requirement("N3")
async def test_a_disk_that_takes_half_a_line_is_tried_again(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "messages")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        with pytest.raises(TryLater, match="cannot be written"):
            await channel.send(LETTER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    await channel.send(LETTER)
    (file,) = (tmp_path / "messages").iterdir()
    assert json.loads(file.read_text().splitlines()[-1])["id"] == "m-1"


@pytest.mark.requirement("N3")
async def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "messages").write_text("a file stands where the folder should be")
    with pytest.raises(TryLater) as refusal:
        await FileChannel(tmp_path / "messages").send(LETTER)
    assert "example.org" not in str(refusal.value)


@pytest.mark.requirement("N3")
async def test_e_mail_carries_the_same_message_id_each_time() -> None:
    async with MailServer().running() as server:
        channel = EmailChannel(f"smtp://127.0.0.1:{server.port}", "Tea House <shop@tea.example>")
        await channel.send(LETTER)
        await channel.send(LETTER)
    assert [to for to, _ in server.mails] == ["wang@example.org"] * 2
    mails = [email.message_from_string(text, policy=policy.default) for _, text in server.mails]
    assert {m["Message-ID"] for m in mails} == {"<m-1@tea.example>"}
    assert mails[0]["Subject"] == LETTER.subject
    assert mails[0]["To"] == "wang@example.org"


@pytest.mark.requirement("N3")
async def test_e_mail_says_that_a_machine_wrote_it_who_sends_it_and_where_replies_go() -> None:
    async with MailServer().running() as server:
        url = f"smtp://127.0.0.1:{server.port}"
        await EmailChannel(url, "茶舍 <shop@tea.example>", "客服 <desk@tea.example>").send(LETTER)
        await EmailChannel(url, "shop@tea.example").send(LETTER)
    named, plain = (email.message_from_string(text, policy=policy.default) for _, text in server.mails)
    assert named["Auto-Submitted"] == plain["Auto-Submitted"] == "auto-generated"
    assert (named["From"], named["Reply-To"]) == ("茶舍 <shop@tea.example>", "客服 <desk@tea.example>")
    assert (plain["From"], plain["Reply-To"]) == ("shop@tea.example", None)


@pytest.mark.requirement("N3", "X6")
@pytest.mark.parametrize("setting", ["MAIL_FROM", "MAIL_REPLY_TO"])
@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("shop@localhost", True),
        ("茶舍 <shop@tea.example>", True),
        ("Tea House <shop@tea.example>", True),
        ('"Tea, House" <shop@tea.example>', True),
        ("Tea, House <shop@tea.example>", False),
        ("a@tea.example, b@tea.example", False),
        ("shop", False),
        ("Tea House <shop@tea.example", False),
    ],
)
def test_who_sends_e_mail_and_who_gets_replies_is_one_address_with_a_name_or_without(
    setting: str,
    value: str,
    accepted: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(f"HANDOVER_{setting}", value)
    with pytest.raises(SystemExit):  # other settings are missing
        load(NotifySettings)
    assert (
        f"HANDOVER_{setting} is wrong: it is not one e-mail address" in capsys.readouterr().err
    ) != accepted


@pytest.mark.requirement("N3")
async def test_a_recipient_refused_for_good_is_given_up_without_being_named() -> None:
    async with MailServer(refuse="550 no <wang@example.org> here").running() as server:
        with pytest.raises(GiveUp) as refusal:
            await EmailChannel(f"smtp://127.0.0.1:{server.port}", "shop@tea.example").send(LETTER)
    assert "wang" not in str(refusal.value)


@pytest.mark.requirement("N6")
async def test_a_mail_server_that_is_away_is_tried_again() -> None:
    with pytest.raises(TryLater):
        await EmailChannel("smtp://127.0.0.1:1", "shop@tea.example").send(LETTER)


@pytest.mark.requirement("X4")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_neither_password_nor_letter_goes_in_the_clear(scheme: str) -> None:
    """Where a password is set, or smtps is asked for, a server that cannot encrypt is given nothing."""
    async with MailServer().running() as server:
        url = f"{scheme}://shop:s3cret@127.0.0.1:{server.port}"
        with pytest.raises(TryLater):
            await EmailChannel(url, "shop@tea.example").send(LETTER)
        await asyncio.sleep(0.1)  # it notices that its caller has gone
    assert {line[:4].upper() for line in server.heard}.isdisjoint({b"AUTH", b"MAIL", b"DATA"})
    assert server.mails == []


@pytest.mark.requirement("N3")
@pytest.mark.parametrize(
    ("scheme", "at", "port"), [("smtp", "mail", 587), ("smtps", "mail", 465), ("smtps", "mail:25", 25)]
)
def test_the_address_of_a_mail_server_is_read_as_it_is_meant(scheme: str, at: str, port: int) -> None:
    channel = EmailChannel(f"{scheme}://shop%40tea:p%40ss%2F@{at}", "shop@tea.example")
    assert (channel.host, channel.port) == ("mail", port)
    assert (channel.username, channel.password) == ("shop@tea", "p@ss/")


@pytest.mark.requirement("N6")
async def test_what_a_receiver_has_taken_is_sent_however_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server that answers no goodbye, an endpoint whose answer does not end: who waited would send again."""
    monkeypatch.setattr(channels, "GOODBYE_SECONDS", 0.05)
    async with MailServer(mute=True).running() as mails, HookServer(200, endless=True).running() as hooks:
        async with asyncio.timeout(10):
            await EmailChannel(f"smtp://127.0.0.1:{mails.port}", "shop@tea.example").send(LETTER)
            await WebhookChannel(Webhook("erp", hooks.url, SECRET, ("*",))).send(LETTER)
        await asyncio.sleep(0.1)  # they notice that it has gone
    assert len(mails.mails) == len(hooks.got) == 1


@pytest.mark.requirement("N6")
async def test_a_mail_server_that_was_given_a_letter_and_says_nothing_may_have_taken_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "ANSWER_SECONDS", 0.3)
    async with MailServer(slow=True).running() as server:
        with pytest.raises(Unsure):
            await EmailChannel(f"smtp://127.0.0.1:{server.port}", "shop@tea.example").send(LETTER)
        await asyncio.sleep(0.1)
    assert len(server.mails) == 1


@pytest.mark.requirement("N3")
async def test_webhooks_are_signed_and_named_by_the_event_each_time() -> None:
    async with HookServer().running() as server:
        channel = WebhookChannel(Webhook("erp", server.url, SECRET, ("*",)))
        await channel.send(LETTER)
        await channel.send(LETTER)
    verified = [Verifier(SECRET).verify(body, headers) for headers, body in server.got]
    assert [v["type"] for v in verified] == ["orders.order_canceled.v1"] * 2
    assert verified[0]["data"] == LETTER.facts
    assert len({headers["webhook-id"] for headers, _ in server.got}) == 1


@pytest.mark.requirement("N3")
@pytest.mark.parametrize(
    ("sku", "quoted"),
    [
        ("TEA-1/a:b@c+d_e", "TEA-1/a:b@c+d_e"),
        ("茶叶-1", "%E8%8C%B6%E5%8F%B6-1"),
        ("tea.1", "tea%2E1"),
        ("tea%2E1", "tea%252E1"),
    ],
)
async def test_a_webhook_is_named_in_ascii_without_a_dot_whatever_a_shop_calls_its_wares(
    sku: str, quoted: str
) -> None:
    async with HookServer().running() as server:
        channel = WebhookChannel(Webhook("erp", server.url, SECRET, ("*",)))
        await channel.send(replace(LETTER, event_id=f"/handover/warehouse sku/{sku}/3"))
    ((headers, body),) = server.got
    assert headers["webhook-id"] == f"/handover/warehouse:sku/{quoted}/3"
    Verifier(SECRET).verify(body, headers)


@pytest.mark.requirement("N6")
@pytest.mark.parametrize(
    ("status", "outcome"), [(500, TryLater), (429, TryLater), (302, TryLater), (410, GiveUp)]
)
async def test_what_an_endpoint_answers_decides_whether_it_is_asked_again(
    status: int, outcome: type[Exception]
) -> None:
    async with HookServer(status=status).running() as server:
        with pytest.raises(outcome):
            await WebhookChannel(Webhook("erp", server.url, SECRET, ("*",))).send(LETTER)


@pytest.mark.requirement("N6")
async def test_an_event_is_not_carried_to_where_an_endpoint_points() -> None:
    """Whoever follows asks there without the event, and takes the answer for the endpoint's."""
    async with (
        HookServer().running() as elsewhere,
        HookServer(status=302, location=elsewhere.url).running() as server,
    ):
        with pytest.raises(TryLater, match="302"):
            await WebhookChannel(Webhook("erp", server.url, SECRET, ("*",))).send(LETTER)
    assert elsewhere.got == []


@pytest.mark.requirement("N3")
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[[webhook", "is not TOML"),
        ("", "describes no webhook; add a table"),
        ('[[webhooks]]\nname = "erp"', "nobody knows what webhooks means"),
        ('[[webhook]]\nname = "erp"', "url: Field required"),
        ('[[webhook]]\nname="erp"\nurl="ftp://x"\nsecret="SECRET"\nevents=["*"]', "url"),
        ('[[webhook]]\nname="erp"\nurl="http://x"\nsecret="hunter2"\nevents=["*"]', "secret"),
        ('[[webhook]]\nname="erp"\nurl="http://x"\nsecret="SECRET"\nevents=[]', "events"),
        ('[[webhook]]\nname="e"\nurl="http://x"\nsecret="SECRET"\nevents=["*"]\n' * 2, "same name"),
        (
            '[[webhook]]\nname="buyer"\nurl="http://x"\nsecret="SECRET"\nevents=["*"]',
            "buyer is who gets letters",
        ),
        (
            '[[webhook]]\nname="staff"\nurl="http://x"\nsecret="SECRET"\nevents=["*"]',
            "staff is who gets letters",
        ),
    ],
)
def test_a_wrong_webhooks_file_is_a_sentence_without_secrets(
    tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "webhooks.toml"
    file.write_text(content.replace("SECRET", SECRET))
    with pytest.raises(ValueError, match=complaint) as refusal:
        webhooks(file)
    assert SECRET not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_without_a_webhooks_file_there_are_no_webhooks(tmp_path: Path) -> None:
    assert webhooks(None) == ()
    with pytest.raises(ValueError, match="cannot be read"):
        webhooks(tmp_path / "nothing.toml")


def _lines(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]
