"""Databases and roles: each service has a database of its own, an owner that migrates it and a user that runs on it (X1).

The one place that creates them, for the embedded stack, for the containers and for a database server that ops run.
"""

from collections.abc import Iterator, Mapping

import asyncpg

from deploy.waiting import Told, patiently

SERVICES = ("orders", "warehouse", "aftersales", "notify")

_DATABASE = (
    "CREATE DATABASE {name} OWNER {owner} ENCODING 'UTF8' TEMPLATE template0 "
    # sorts the same on every platform and after every upgrade of the system, so indexes never rot (PostgreSQL 17 and later)
    "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
)


def database_of(service: str) -> str:
    """Name of a service's database."""
    return f"handover_{service}"


def owner_of(service: str) -> str:
    """The role that migrations of a service run under: it alone may change tables."""
    return f"handover_{service}_owner"


def user_of(service: str) -> str:
    """The role that a service runs under: it may use tables, not change them."""
    return f"handover_{service}"


def roles() -> Iterator[str]:
    """All roles; each needs a password."""
    for service in SERVICES:
        yield user_of(service)
        yield owner_of(service)


async def provision(
    admin_url: str,
    passwords: Mapping[str, str],
    *,
    patience: float = 60,
    waiting: Told | None = None,
) -> None:
    """Create the roles and databases of all services, or give the roles new passwords; harmless to repeat.

    `passwords` has one for each of `roles()`. None is a superuser, and only the two roles of a service may connect to its
    database. Waits up to `patience` seconds for the server, then raises what it last answered; `waiting` is told each time
    why, and how many seconds are left.
    """
    connection = await connect(admin_url, patience, waiting)
    try:
        for role in roles():
            await _role(connection, role, passwords[role])
        for service in SERVICES:
            await _database(connection, database_of(service), owner_of(service), user_of(service))
    finally:
        await connection.close()


async def _role(connection: "asyncpg.Connection[asyncpg.Record]", role: str, password: str) -> None:
    verb = (
        "ALTER" if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    )
    statement = await connection.fetchval(  # DDL takes no parameters: the server quotes them
        "SELECT format('%s ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', $1::text, $2::text, $3::text)",
        verb,
        role,
        password,
    )
    await connection.execute(statement)


async def _database(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str, owner: str, user: str
) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        # an administrator that is no superuser (a managed server) must be a member of a role to give it a database
        await connection.execute(f"GRANT {owner} TO CURRENT_USER")
        await connection.execute(_DATABASE.format(name=name, owner=owner))
    await connection.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC")
    await connection.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {user}, {owner}")


async def connect(
    url: str, patience: float, waiting: Told | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection, waiting up to `patience` seconds for a server that is starting."""
    return await patiently(lambda: asyncpg.connect(url, timeout=10), _awaited, patience, waiting)


def _awaited(error: Exception) -> str | None:
    starting = (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)
    return "it cannot be reached" if isinstance(error, starting) else None
