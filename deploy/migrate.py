"""Migrations of one service's database, and the protection that every version of it must have."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.waiting import Told, patiently

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


async def migrate(service: str, url: str, *, patience: float = 60, waiting: Told | None = None) -> str:
    """Bring the database to the newest version, then protect it: append-only tables refuse UPDATE, DELETE and TRUNCATE from
    everyone, the service's user may not change tables (O12). One that a newer version has migrated is left as it is, for older
    services run on it: so says, in a sentence, what is returned.

    Waits up to `patience` seconds for the database; `waiting` is told each time why, and how many seconds are left.
    """
    return await _run(url, lambda c: _upgrade(c, service), patience, waiting)


def awaited(error: BaseException) -> str | None:
    """What is waited for after this error, in words; None when waiting does not help."""
    if isinstance(error, OSError):
        return "it cannot be reached"
    return _AWAITED.get(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


_AWAITED = {
    "57P03": "it is starting or stopping",
    # provision may be at work just now: before it made the role, and the password, PostgreSQL calls the password wrong
    "28P01": "it refuses the role or its password, which `handover provision` sets",
    "3D000": "it does not exist, `handover provision` makes it",
}


async def differences(service: str, url: str) -> list[Any]:
    """What the tables in the code have that the migrated database has not, and the other way round."""
    found: list[Any] = []

    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection)
        found.extend(compare_metadata(context, _metadata(service)))

    await _run(url, compare, 5)
    return found


async def _run(url: str, work: Callable[[Connection], T], patience: float, waiting: Told | None = None) -> T:
    # a host that swallows packets must leave time for another try
    engine = create_async_engine(
        f"postgresql+asyncpg://{url.partition('://')[2]}", connect_args={"timeout": 10}
    )

    async def attempt() -> T:
        async with engine.connect() as connection:
            found = await connection.run_sync(work)
            await connection.commit()
            return found

    try:
        return await patiently(attempt, awaited, patience, waiting)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, service: str) -> str:
    config = _config(service, connection)
    script = ScriptDirectory.from_config(config)
    was, newest = MigrationContext.configure(connection).get_current_revision(), script.get_current_head()
    if was is None or was in {one.revision for one in script.walk_revisions()}:
        command.upgrade(config, "head")
        said = f"is up to date, at {newest}" if was == newest else f"went from {was or 'nothing'} to {newest}"
    else:
        said = f"is at {was}, newer than this version, which knows up to {newest}: it stays as it is"
    _protect(connection, service)
    return f"The database of {service} {said}."


def _protect(connection: Connection, service: str) -> None:
    user = f"handover_{service}"
    connection.execute(text(_REFUSE))
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {user}"))
    connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}"))
    for table in _metadata(service).tables.values():
        if table.info.get("append_only"):
            connection.execute(text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table.name} FROM {user}"))
            connection.execute(
                text(
                    f"CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
                    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
                )
            )
            connection.execute(text(f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER append_only"))


_REFUSE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""


def _metadata(service: str) -> MetaData:
    tables = import_module(f"services.{service}.tables")
    metadata: MetaData = tables.metadata
    return metadata


def _config(service: str, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "deploy" / "alembic"))
    config.set_main_option("version_locations", str(ROOT / "services" / service / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
