"""How commands reach a running system: by environment, by `.env` of the containers, or by the folder of `make up`.

Where `make up` runs in this folder it is meant, and `.env` is left alone; a variable that is set counts before both.
"""

import os
import re
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import typer
from dotenv import dotenv_values
from pydantic import TypeAdapter, ValidationError

from deploy.embedded.child import EmbeddedError
from deploy.embedded.keys import Keys
from deploy.embedded.lock import held
from deploy.provision import SERVICES, database_of, user_of
from shared.runtime.auth import create_token
from shared.runtime.postgres import UNAVAILABLE
from shared.runtime.settings import PostgresUrl
from shared.runtime.wording import rule_of
from shared.values import Actor, ActorKind, Role

PORTS = {"orders": 8101, "warehouse": 8102, "aftersales": 8103, "notify": 8104}
_DATABASE = TypeAdapter(PostgresUrl)
_REFUSES = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.QueryCanceledError)
"""What services wait for to end, and whoever asks is told: the server is there, and does not do it."""


def wrong(sentence: str) -> typer.Exit:
    """Say what is wrong; raise what this returns to end the command with status 2."""
    print(sentence, file=sys.stderr)
    return typer.Exit(2)


def named(service: str | None) -> list[str]:
    """The services that a command is for. Ends it with a sentence when there is none of that name."""
    if service is not None and service not in SERVICES:
        raise wrong(f"There is no service {service!r}; take one of {', '.join(SERVICES)}.")
    return [service] if service else list(SERVICES)


def private_key() -> str:
    """The key that makes tokens: HANDOVER_TOKEN_PRIVATE_KEY, or that of `make up` in this folder."""
    return _private_key("HANDOVER_TOKEN_PRIVATE_KEY")


def administrator_token() -> str:
    """A token for ops: HANDOVER_TOKEN, or one made for this command."""
    user = os.environ.get("USER", "")
    name = user if re.fullmatch(r"\w[\w.-]*", user) else "ops"
    actor = Actor(kind=ActorKind.OPERATOR, name=name, role=Role.ADMINISTRATOR)
    settings = (
        "HANDOVER_TOKEN to an administrator's token or HANDOVER_TOKEN_PRIVATE_KEY to the key that makes one"
    )
    try:
        return _setting("TOKEN") or create_token(_private_key(settings), actor, timedelta(minutes=10))
    except ValueError as error:
        raise wrong(f"The setting HANDOVER_TOKEN_PRIVATE_KEY is wrong: {error}.") from None


def _private_key(settings: str) -> str:
    if key := _setting("TOKEN_PRIVATE_KEY"):
        return key
    if keys := _keys():
        return keys.token_private_key
    raise wrong(f"Set {settings}, or run this where .env is or where `make up` keeps its data in .handover.")


def service_url(service: str) -> str:
    """Where a service answers: HANDOVER_<SERVICE>_URL, or the port of HANDOVER_<SERVICE>_PORT on this machine."""
    name = service.upper()
    if url := _setting(f"{name}_URL"):
        if not _is_http(url):
            raise wrong(
                f"The setting HANDOVER_{name}_URL is wrong: it must be an address such as http://127.0.0.1:8101."
            )
        return url
    return f"http://127.0.0.1:{_port(f'{name}_PORT', str(PORTS[service]))}"


def _is_http(url: str) -> bool:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parts.scheme in ("http", "https") and bool(parts.host)


def database_url(service: str) -> str:
    """A service's database: HANDOVER_<SERVICE>_DATABASE_URL, or made of HANDOVER_<SERVICE>_PASSWORD or the folder's keys."""
    name = service.upper()
    if url := _setting(f"{name}_DATABASE_URL"):
        try:
            return _DATABASE.validate_python(url).get_secret_value()
        except ValidationError as error:
            why = rule_of(error.errors()[0])
            raise wrong(f"The setting HANDOVER_{name}_DATABASE_URL is wrong: it {why}.") from None
    user = user_of(service)
    password = _setting(f"{name}_PASSWORD")
    if not password and (keys := _keys()):
        password = keys.passwords[user]
    if not password:
        raise wrong(
            f"Set HANDOVER_{name}_DATABASE_URL, or run this where .env is or where `make up` keeps its data in .handover."
        )
    port = _port("POSTGRES_PORT", "25432")
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/{database_of(service)}"


def failure_of(error: BaseException) -> str:
    """What a command says of a database that did not answer its question."""
    away = isinstance(error, UNAVAILABLE) and not isinstance(error, _REFUSES)
    return f"{'cannot be reached' if away else 'refuses'}: {type(error).__name__}"


def _port(name: str, usual: str) -> str:
    port = _setting(name) or usual
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise wrong(f"The setting HANDOVER_{name} is wrong: it must be a whole number from 1 to 65535.")
    return port


def _setting(name: str) -> str | None:
    name = f"HANDOVER_{name}"
    return os.environ.get(name) or (None if held(_folder()) else dotenv_values(".env").get(name))


def _folder() -> Path:
    return Path(os.environ.get("HANDOVER_DATA_DIR") or ".handover")


def _keys() -> Keys | None:
    try:
        return Keys.kept(_folder())
    except EmbeddedError as error:
        raise wrong(str(error)) from None
