"""The notify process: settings in, running service out."""

import sys
import tomllib
from base64 import b64decode
from email import policy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from services.notify import api
from services.notify.channels import Channel, EmailChannel, FileChannel, WebhookChannel
from services.notify.handlers import HEARD, service
from services.notify.routing import Routing, Webhook
from services.notify.sender import Sender
from services.notify.texts import TemplatesWrong, Texts
from services.notify.troubles import TroubleGauges
from shared.runtime.app import serve
from shared.runtime.running import Runtime
from shared.runtime.service import Service
from shared.runtime.settings import Settings
from shared.values import Locale


class NotifySettings(Settings):
    """Settings of notify."""

    shop_name: str = Field("Handover Shop", min_length=1, description="How messages call the shop (N4).")
    shop_timezone: str = Field(
        "Asia/Shanghai", description="IANA zone of the shop, in which letters write times (N4)."
    )
    shop_address: str = Field(
        "",
        description="Where buyers fetch what they ordered for self-pickup; letters name it where it is set (N1).",
    )
    return_address: str = Field(
        "", description="Where buyers send goods back to; letters name it where it is set (N1)."
    )
    messages_dir: Path = Field(
        Path("messages"),
        description="Where the file channel writes, one file a day, a line of JSON for each message (N3).",
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="smtp[s]://user:password@host:port; with it buyers and staff get e-mail instead of files (N3).",
    )
    mail_from: str = Field(
        "shop@localhost", description="Sender of e-mail: shop@tea.example, or Tea House <shop@tea.example>."
    )
    mail_reply_to: str | None = Field(
        None, description="Where replies to e-mail go, which letters ask for; without it to the sender."
    )
    staff_recipient: str = Field("staff@localhost", min_length=1, description="Who gets alerts (N2).")
    staff_locale: Locale = Field(Locale.ZH_CN, description="Language of alerts: zh-CN or en (N2).")
    webhooks_file: Path | None = Field(
        None,
        description="TOML file of endpoints that want events: [[webhook]] with name, url, secret, events (N3).",
    )

    @field_validator("shop_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is not an IANA time zone; take one like Asia/Shanghai or Europe/Berlin")
        return value

    @field_validator("mail_from", "mail_reply_to")
    @classmethod
    def _mailbox(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            header = policy.default.header_factory("From", value)
            one = len(header.addresses) == 1 and not header.defects
        except (ValueError, AttributeError, IndexError):  # how the standard library gives up on some of them
            one = False
        if not one:
            raise ValueError(
                "is not one e-mail address, with a name before it or none; take one like 茶舍 <shop@tea.example>"
            )
        return value

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("smtp://", "smtps://")):
            raise ValueError("must begin with smtp:// or smtps://")
        if value is not None:
            try:
                parts = urlsplit(value.get_secret_value())
                usable = bool(parts.hostname) and parts.port != 0
            except ValueError:
                usable = False
            if not usable:
                raise ValueError("must name a host, and a port from 1 to 65535 where it names one")
        return value


class _Endpoint(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9\-]{0,40}$")
    url: str = Field(pattern=r"^https?://")
    secret: str = Field(pattern=r"^whsec_")
    events: tuple[str, ...] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _of_its_own(cls, value: str) -> str:
        if value in ("buyer", "staff"):  # whom a message is for, by which it is known
            raise ValueError(f"{value} is who gets letters; take another name, like erp")
        return value

    @field_validator("secret")
    @classmethod
    def _signs(cls, value: str) -> str:
        # the signer drops what is no Base64, as - and _ of Base64url, and signs with another key than the receiver has
        try:
            key = b64decode(value.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError("must be whsec_ and a key in Base64") from None
        if not 24 <= len(key) <= 64:
            raise ValueError(f"must be a key of 24 to 64 bytes, not {len(key)}")
        return value

    @field_validator("events")
    @classmethod
    def _heard(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if not any(Webhook("", "", "", (pattern,)).wants(event.wire_type) for event in HEARD):
                raise ValueError(f"no event is called {pattern}")
        return value


def webhooks(file: Path | None) -> tuple[Webhook, ...]:
    """The endpoints of a webhooks file. Raises ValueError with a sentence that never holds a secret."""
    if file is None:
        return ()
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        if unknown := content.keys() - {"webhook"}:
            raise ValueError(
                f"{file}: nobody knows what {', '.join(sorted(unknown))} means; take [[webhook]]"
            )
        endpoints = TypeAdapter(list[_Endpoint]).validate_python(content.get("webhook", []))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{file}: webhook {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if not endpoints:
        raise ValueError(f"{file} describes no webhook; add a table [[webhook]], or leave the setting out")
    if len({e.name for e in endpoints}) != len(endpoints):
        raise ValueError(f"{file}: two webhooks have the same name")
    return tuple(Webhook(**e.model_dump()) for e in endpoints)


def texts_of(settings: NotifySettings) -> Texts:
    """The templates, with what they say of the shop. Raises TemplatesWrong."""
    return Texts(
        settings.shop_name,
        settings.shop_timezone,
        shop_address=settings.shop_address,
        return_address=settings.return_address,
    )


def make(settings: NotifySettings) -> Service[Any]:
    """The service with the shop's channels; ends the process with a sentence when they are wrong."""
    try:
        texts_of(settings)
        channel = "email" if settings.smtp_url else "file"
        return service(Routing(channel, channel, webhooks(settings.webhooks_file)))
    except TemplatesWrong as error:
        print(f"Notify cannot start: {error}.", file=sys.stderr)  # noqa: T201
    except ValueError as error:
        print(f"The setting HANDOVER_WEBHOOKS_FILE is wrong: {error}.", file=sys.stderr)  # noqa: T201
    sys.exit(2)


def sender(runtime: Runtime) -> Sender:
    """The sender with the shop's channels."""
    settings = runtime.settings
    assert isinstance(settings, NotifySettings)
    channels: dict[str, Channel] = {"file": FileChannel(settings.messages_dir)}
    if settings.smtp_url is not None:
        channels["email"] = EmailChannel(
            settings.smtp_url.get_secret_value(), settings.mail_from, settings.mail_reply_to
        )
    for webhook in webhooks(settings.webhooks_file):
        channels[f"webhook:{webhook.name}"] = WebhookChannel(webhook)
    texts, staff = texts_of(settings), settings.staff_recipient
    return Sender(runtime, channels, texts, staff, settings.staff_locale, first=runtime.hear_first)


def main() -> None:
    """Run the service."""
    serve(make, NotifySettings, [api.router], [sender, TroubleGauges])


if __name__ == "__main__":
    main()
