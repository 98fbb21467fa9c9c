"""Channels: how a message leaves the house (N3). Each is told a deterministic id, so that whoever gets a message twice after
a crash can drop the second.
"""

import asyncio
import contextlib
import errno
import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import NonASCIILocalPartDefect
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import aiosmtplib
import httpx
import orjson
from standardwebhooks import Webhook as Signer

from services.notify.routing import Webhook
from services.notify.words import NO_MAILBOX, NO_RECEIPT, REFUSED

ANSWER_SECONDS = 18.0
"""How long a mail server has for one letter, from the connection on. With the goodbye it is less than a sender waits for a try:
what ran out there would not say whether the letter was handed over."""
GOODBYE_SECONDS = 1.0
"""How long whoever has taken a message is listened to."""


class TryLater(Exception):
    """The channel is away or busy; says so without naming the recipient."""


class Unsure(Exception):
    """It was handed over, and whether it was taken was not said: it may have left."""


class GiveUp(Exception):
    """Trying again cannot help; says why without naming the recipient."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent to one recipient."""

    message_id: str
    recipient: str
    subject: str
    body: str
    event_id: str
    event_type: str
    facts: dict[str, Any]


class Channel(Protocol):
    """Sends one letter. Raises TryLater, Unsure or GiveUp."""

    async def send(self, letter: Letter) -> None:
        """Send it."""


class FileChannel:
    """Messages as lines of JSON under a folder, one file a day (UTC): the default, for trying things out. A message that is
    sent twice stands there twice, under the same id. They hold personal data: the folder is for whoever runs the service alone
    (X4)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def send(self, letter: Letter) -> None:
        """Add a line; replicas may write to one folder."""
        now = datetime.now(UTC)
        line = orjson.dumps(
            {
                "id": letter.message_id,
                "at": now,
                "to": letter.recipient,
                "subject": letter.subject,
                "body": letter.body,
                "event": letter.event_id,
            }
        )
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            of_today = os.open(
                self.folder / f"{now:%Y-%m-%d}.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600
            )
            with os.fdopen(of_today, "a+b", buffering=0) as file:
                if (end := file.seek(0, os.SEEK_END)) and _last_byte(file, end) != b"\n":
                    line = b"\n" + line  # the disk was full in the middle of the line before
                if file.write(line + b"\n") != len(line) + 1:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise TryLater(f"the messages folder cannot be written: {error.strerror}") from None


def _last_byte(file: io.FileIO, end: int) -> bytes:
    file.seek(end - 1)
    return file.read(1)


class _Server(aiosmtplib.SMTP):
    """Remembers whether it was given the letter itself: one that looks into mails may take long to say that it took it."""

    handed_over = False

    async def data(self, *arguments: Any, **options: Any) -> Any:
        """See `aiosmtplib.SMTP.data`."""
        self.handed_over = True
        return await super().data(*arguments, **options)


class EmailChannel:
    """E-mail over SMTP, by a URL smtp[s]://user:password@host:port."""

    def __init__(self, url: str, sender: str, reply_to: str | None = None) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or "localhost"
        self.tls = parts.scheme == "smtps"
        self.port = parts.port or (465 if self.tls else 587)
        self.username = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else None
        self.sender = sender
        self.reply_to = reply_to

    async def send(self, letter: Letter) -> None:
        """Hand the letter to the SMTP server; a recipient refused for good (5xx) is final, all else is tried again."""
        mail = EmailMessage()
        mail["From"], mail["Subject"] = self.sender, letter.subject
        if self.reply_to:
            mail["Reply-To"] = self.reply_to
        mail["Auto-Submitted"] = "auto-generated"  # nobody's holiday notice is to answer it
        _address(mail, letter.recipient)
        domain = mail["From"].addresses[0].domain
        mail["Message-ID"] = f"<{letter.message_id}@{domain}>"
        mail["Date"] = datetime.now(UTC)
        mail.set_content(letter.body)
        server = _Server(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.tls,
            start_tls=True if self.password and not self.tls else None,  # no password goes in the clear
            timeout=20,
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await server.connect()
                await server.send_message(mail)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            if any(one.code < 500 for one in refused.recipients):  # greylisting, a full mailbox
                raise TryLater("the mail server does not take the recipient now") from None
            raise GiveUp(REFUSED) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            if server.handed_over and isinstance(error, OSError):  # no answer, or its connection broke
                raise Unsure(NO_RECEIPT) from None
            raise TryLater(f"the mail server: {type(error).__name__}") from None
        finally:
            await _leave(server)


async def _leave(server: aiosmtplib.SMTP) -> None:
    """Say goodbye; whether it has the letter was said before."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await server.quit()
    server.close()


def _address(mail: EmailMessage, recipient: str) -> None:
    """To the recipient and nobody else: `a,b@c` is two people to a mail server, `<a>@c` one that was not meant."""
    try:
        mail["To"] = recipient
        odd = [d for d in mail["To"].defects if not isinstance(d, NonASCIILocalPartDefect)]
    except (ValueError, AttributeError, IndexError):  # how the standard library gives up on some of them
        odd = [recipient]
    if odd:
        raise GiveUp(NO_MAILBOX)


class WebhookChannel:
    """Events to an endpoint outside, signed to the Standard Webhooks specification; `webhook-id` is the event's."""

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook
        self.signer = Signer(webhook.secret)
        self.http = httpx.AsyncClient(timeout=15, follow_redirects=False)

    async def send(self, letter: Letter) -> None:
        """POST the event; 2xx is taken, 410 is final, anything else is tried again."""
        now = datetime.now(UTC)
        body = json.dumps(
            {"type": letter.event_type, "timestamp": now.isoformat(), "data": letter.facts},
            ensure_ascii=False,
        )
        webhook_id = _webhook_id(letter.event_id)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self.signer.sign(webhook_id, now, body),
        }
        try:
            async with self.http.stream(
                "POST", self.webhook.url, content=body.encode(), headers=headers
            ) as answer:
                await _read(answer)
        except httpx.HTTPError as error:
            raise TryLater(f"the endpoint: {type(error).__name__}") from None
        if answer.status_code == 410:
            raise GiveUp("the endpoint is gone (410)")
        if not answer.is_success:
            raise TryLater(f"the endpoint answered {answer.status_code}")


async def _read(answer: httpx.Response) -> None:
    """To its end, if that comes soon, for then the connection serves again; the status says it all."""
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            async for _ in answer.aiter_raw():
                pass


def _webhook_id(event_id: str) -> str:
    """Percent-quoted, for a shop names its SKUs: a header takes ASCII, and a dot parts what is signed."""
    return quote(event_id.replace(" ", ":"), safe="/:@+").replace(".", "%2E")
