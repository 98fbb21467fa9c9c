"""Databases and roles: each service has a database of its own, an owner that migrates it and a user that runs on it (X1)."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

SERVICES = ("orders", "warehouse", "aftersales", "notify")


async def provision(admin_url: str, passwords: Mapping[str, str], *, patience: float = 60) -> None:
    """Create (or give new passwords to) the roles and databases of all services; harmless to repeat.

    `passwords` has one for each role: `handover_<service>` and `handover_<service>_owner`. Neither is a superuser; the owner
    alone may change tables.
    """
    connection = await _connect(admin_url, patience)
    try:
        for service in SERVICES:
            database = user = f"handover_{service}"
            owner = f"{user}_owner"
            for role in (user, owner):
                await _role(connection, role, passwords[role])
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await connection.execute(f"CREATE DATABASE {database} OWNER {owner}")
            await connection.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
            await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {user}, {owner}")
    finally:
        await connection.close()


async def _role(connection: Any, role: str, password: str) -> None:
    verb = "ALTER" if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    statement = await connection.fetchval(
        "SELECT format($1 || ' ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', $2::text, $3::text)",
        verb,
        role,
        password,
    )
    await connection.execute(statement)


async def _connect(url: str, patience: float) -> Any:
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await asyncpg.connect(url, timeout=10)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.5)
