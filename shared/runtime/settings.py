"""Settings come from the environment (`HANDOVER_…`); a wrong or missing one ends the start with a sentence."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from shared.runtime.auth import key_bytes
from shared.runtime.wording import rule_of

PREFIX = "HANDOVER_"
LIKE = 0.92
"""How much alike (difflib) two names are that are taken for one and its misspelling: no two settings are."""


def _postgres(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    authority, _, rest = value.get_secret_value().partition("://")[2].partition("/")
    whom, _, hosts = authority.rpartition("@")
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts.split(",")]
    ended_early = "@" in rest or not {*"?#"}.isdisjoint(whom)
    if ended_early or not all(port.isdecimal() for port in ports if port):
        signs = "/ : @ ? # in a password are written %2F %3A %40 %3F %23"
        raise ValueError(f"must have a number for its port; {signs}")
    return value


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres)]
"""Where a database is, and with which role and password."""


Span = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=3650))]
"""How long something may take. Never would be ten years: times are reckoned from it, and they end in the year 9999."""


class Settings(BaseSettings):
    """What every service needs to run. A service adds its own in a subclass."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: PostgresUrl = Field(
        description="Database of the service, postgresql://user:password@host:port/name."
    )
    database_pool: int = Field(6, ge=2, le=100, description="Most connections that one process opens.")
    statement_timeout_ms: int = Field(
        30_000,
        ge=100,
        le=24 * 3600 * 1000,
        description="A statement that takes longer is given up and its turn runs again.",
    )
    kafka: str = Field(description="Bootstrap servers, host:port, several separated by commas.")
    kafka_idempotent: bool = Field(
        True, description="Idempotent producer. Switch off only for the embedded broker, which cannot do it."
    )
    kafka_fetch_wait_ms: int = Field(
        200,
        ge=1,
        le=5000,
        description="How long the broker may hold a fetch while nothing comes. Longer costs an idle service less; a partition "
        "whose records waited for a busy service is read again only when the fetch of the others ends.",
    )
    kafka_session_ms: int = Field(
        10_000,
        ge=1000,
        le=300_000,
        description="After so long without a sign of life a replica's partitions go to another. A rebalance waits for "
        "half of it for a turn in progress.",
    )
    kafka_batch: int = Field(500, ge=1, le=5000, description="Most messages that one turn takes from Kafka.")
    ids_kept_for: Span = Field(
        timedelta(days=90),
        ge=timedelta(days=9),
        description="So long a message from outside is known by its id; one that comes again later is a new one. "
        "Longer than Kafka keeps the inboxes (8 days at most).",
    )
    http_host: str = Field("127.0.0.1", description="Address to listen on.")
    http_port: int = Field(ge=1, le=65535, description="Port to listen on.")
    token_public_key: str = Field(
        description="Public key that tokens are verified with; `handover token keygen` makes a pair.",
    )
    clock: Literal["wall", "driven"] = Field(
        "wall",
        description="`driven` follows the `clock` topic instead of the computer's clock: tests, demos, replays.",
    )
    clock_start: AwareDatetime = Field(
        datetime(2026, 1, 1, tzinfo=UTC), description="Where a driven clock stands before its first tick."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )
    otlp_endpoint: str | None = Field(
        None,
        description="Where traces go by OTLP over HTTP, as `http://collector:4318`; `/v1/traces` is asked for where no path is "
        "named. Without it no traces are made.",
    )

    @field_validator("kafka")
    @classmethod
    def _servers(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
                raise ValueError("is not host:port, or several of these separated by commas")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _endpoint(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/]", value):
            raise ValueError("must begin with http:// or https:// and name a host")
        return value

    @field_validator("token_public_key")
    @classmethod
    def _key(cls, value: str) -> str:
        key_bytes(value)
        return value


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Settings from the environment; ends the process with status 2 and a sentence for each that is wrong or missing."""
    for line in misspelled(os.environ, settings):
        print(line, file=sys.stderr)  # noqa: T201  before logging is set up, and for a person to read
    try:
        return settings()
    except ValidationError as error:
        lines = problems(error, settings)
    except SettingsError as error:
        # a list or mapping that is not JSON; the text names the field, not the value
        found = re.search(r'field "(\w+)"', str(error))
        lines = [_sentence(found[1] if found else "", "it must be JSON", settings)]
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201  before logging is set up, and for a person to read
    sys.exit(2)


def misspelled(environment: Iterable[str], settings: type[BaseSettings]) -> list[str]:
    """One sentence for each name that is nearly a setting's: it would be ignored. Names of other services' settings are not."""
    known = {PREFIX + name.upper() for name in settings.model_fields}
    lines = []
    for name in sorted(set(environment) - known):
        near = get_close_matches(name, known, 1, LIKE) if name.startswith(PREFIX) else []
        if near:
            lines.append(f"{name} is no setting and is ignored; is {near[0]} meant?")
    return lines


def problems(error: ValidationError, settings: type[BaseSettings]) -> list[str]:
    """One sentence a setting, never with its value: it may be a secret."""
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        name = str(one["loc"][0]) if one["loc"] else ""
        rule = "" if one["type"] == "missing" else rule_of(one)
        rule = f"it {rule}" if rule.startswith(("must ", "is ")) else rule
        lines.append(_sentence(name, rule, settings))
    return lines


def _sentence(name: str, rule: str, settings: type[BaseSettings]) -> str:
    field = settings.model_fields.get(name)
    what = f"is wrong: {rule}." if rule else "is missing."
    return f"The setting {PREFIX}{name.upper()} {what} {field.description if field else ''}".rstrip()


def settings_page(classes: Iterable[tuple[str, type[Settings]]]) -> str:
    """A Markdown table of all settings of (service, settings class): name, type, default, meaning, services."""
    classes = list(classes)
    rows: dict[str, tuple[FieldInfo, list[str]]] = {}
    for service, cls in classes:
        for name, field in cls.model_fields.items():
            rows.setdefault(name, (field, []))[1].append(service)
    lines = ["| setting | type | default | what it is for | services |", "|---|---|---|---|---|"]
    for name, (field, services) in rows.items():
        where = "all" if len(services) == len(classes) else ", ".join(services)
        cells = (
            f"`{PREFIX}{name.upper()}`",
            _type(field.annotation),
            _default(field),
            field.description or "",
            where,
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


_TYPES = {
    str: "text",
    SecretStr: "secret text",
    int: "integer",
    float: "number",
    bool: "true or false",
    timedelta: "ISO 8601 duration",
    datetime: "time with its offset",
    AwareDatetime: "time with its offset",
}


def _type(annotation: Any) -> str:
    """The type in words, for someone who writes an environment variable."""
    arguments = [a for a in get_args(annotation) if a is not NoneType]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if NoneType in get_args(annotation):
        return " or ".join(_type(a) for a in arguments)
    if get_origin(annotation) in (list, tuple, Mapping, set, frozenset):
        return "JSON"
    return _TYPES.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    """The default as one would write it into the environment."""
    if field.is_required():
        return "required"
    default = to_jsonable_python(field.get_default(call_default_factory=True, validated_data={}))
    if default is None or default == "":
        return "none"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"
