"""Settings come from the environment (`HANDOVER_…`); a wrong or missing one stops the start with a sentence."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AwareDatetime, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HANDOVER_"


class Settings(BaseSettings):
    """What every service needs to run. A service adds its own in a subclass."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    database_url: SecretStr = Field(description="Database of the service, postgresql://user:password@host:port/name.")
    database_pool: int = Field(6, ge=2, le=100, description="Most connections that one process opens.")
    statement_timeout_ms: int = Field(
        30_000, ge=100, description="A statement that takes longer is given up and its turn runs again."
    )
    kafka: str = Field(description="Bootstrap servers, host:port, several separated by commas.")
    kafka_idempotent: bool = Field(
        True, description="Idempotent producer. Switch off only for the embedded broker, which cannot do it."
    )
    kafka_fetch_wait_ms: int = Field(
        50, ge=1, le=5000, description="How long the broker may hold back a fetch to fill it."
    )
    kafka_batch: int = Field(500, ge=1, le=5000, description="Most messages that one turn takes from Kafka.")
    http_host: str = Field("127.0.0.1", description="Address to listen on.")
    http_port: int = Field(ge=1, le=65535, description="Port to listen on.")
    token_public_key: str = Field(
        min_length=43,
        max_length=44,
        description="Public key that tokens are verified with; `handover token keygen` makes a pair.",
    )
    clock: Literal["wall", "driven"] = Field(
        "wall",
        description="`driven` follows the `clock` topic instead of the computer's clock: tests, demos, replays.",
    )
    clock_start: AwareDatetime = Field(
        datetime(2026, 1, 1, tzinfo=UTC), description="Where a driven clock stands before its first tick."
    )
    shop_timezone: str = Field("Asia/Shanghai", description="IANA zone of the shop: cutoffs, hours, snapshots.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    otlp_endpoint: str | None = Field(
        None, description="Where traces go, an OTLP HTTP endpoint; without it no traces are made."
    )

    @field_validator("shop_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is not an IANA time zone; take one like Asia/Shanghai or Europe/Berlin")
        ZoneInfo(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value


S = TypeVar("S", bound=Settings)


def load(settings: type[S]) -> S:
    """Settings from the environment; ends the process with status 2 and a sentence for each that is wrong or missing."""
    try:
        return settings()
    except ValidationError as error:
        for line in problems(error):
            print(line, file=sys.stderr)  # noqa: T201  before logging is set up, and for a person to read
        sys.exit(2)


def problems(error: ValidationError) -> list[str]:
    """One sentence a setting, never with its value: it may be a secret."""
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        name = PREFIX + "_".join(str(part) for part in one["loc"]).upper()
        if one["type"] == "missing":
            lines.append(f"The setting {name} is missing. {_description(error, one['loc'])}".rstrip())
        else:
            lines.append(f"The setting {name} is wrong: {one['msg']}.")
    return lines


def _description(error: ValidationError, location: tuple[int | str, ...]) -> str:
    for cls in Settings.__subclasses__() + [Settings]:
        if cls.__name__ == error.title and (field := cls.model_fields.get(str(location[0]))):
            return field.description or ""
    return ""


def settings_page(classes: Iterable[tuple[str, type[Settings]]]) -> str:
    """A Markdown table of all settings: name, default, meaning."""
    lines = ["| setting | default | what it is for | services |", "|---|---|---|---|"]
    rows: dict[str, tuple[str, str, list[str]]] = {}
    for service, cls in classes:
        for name, field in cls.model_fields.items():
            default = "required" if field.is_required() else f"`{field.default}`"
            rows.setdefault(name, (default, field.description or "", []))[2].append(service)
    for name, (default, text, services) in rows.items():
        where = "all" if len(services) == 4 else ", ".join(services)
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {text} | {where} |")
    return "\n".join(lines)
