"""One-shot jobs before the services start: databases, topics, migrations. All harmless to repeat."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from deploy import migrate as migrations
from deploy import topics as kafka
from deploy.provision import SERVICES
from deploy.provision import provision as run_provision
from deploy.settings import MigrateSettings, ProvisionSettings, TopicSettings
from deploy.waiting import Told
from shared.runtime.settings import load

T = TypeVar("T")


def provision() -> None:
    """Create databases and roles. Needs HANDOVER_ADMIN_URL and, for each service, HANDOVER_<SERVICE>_PASSWORD and
    HANDOVER_<SERVICE>_OWNER_PASSWORD."""
    settings = load(ProvisionSettings)
    url = settings.admin_url.get_secret_value()
    part = _database(url)
    _run(run_provision(url, settings.passwords(), waiting=_telling(part)), part, "HANDOVER_ADMIN_URL")
    print("Databases and roles are there.")


def topics() -> None:
    """Create the topics that are missing. Needs HANDOVER_KAFKA; HANDOVER_TOPIC_PARTITIONS and HANDOVER_TOPIC_REPLICATION say
    how."""
    settings = load(TopicSettings)
    part = f"Kafka at {settings.kafka}"
    made = _run(
        kafka.create_topics(
            settings.kafka,
            partitions=settings.topic_partitions,
            replication=settings.topic_replication,
            waiting=_telling(part),
        ),
        part,
        "HANDOVER_KAFKA",
    )
    print(f"Created {', '.join(made)}." if made else "All topics are there.")


def migrate(service: Annotated[str, typer.Argument(help="orders, warehouse, aftersales or notify")]) -> None:
    """Bring one service's database to the newest version. Needs HANDOVER_MIGRATION_DATABASE_URL (the owner's)."""
    if service not in SERVICES:
        raise typer.BadParameter(f"there is no service {service!r}; take one of {', '.join(SERVICES)}")
    settings = load(MigrateSettings)
    url = settings.migration_database_url.get_secret_value()
    part = _database(url)
    job = migrations.migrate(service, url, waiting=_telling(part))
    print(_run(job, part, "HANDOVER_MIGRATION_DATABASE_URL"))


def _database(url: str) -> str:
    """A database in words, never with its role or password."""
    try:
        where = make_url(url)
    except (ArgumentError, ValueError):  # several hosts, for example, which asyncpg takes
        return "the database"
    return f"the database at {where.host or 'localhost'}:{where.port or 5432}"


def _telling(part: str) -> Told:
    """Says that a part is waited for, once for each reason."""
    told = set()

    def tell(why: str, left: float) -> None:
        if why not in told:
            told.add(why)
            print(f"Waiting up to {left:.0f} s for {part}: {why}.", file=sys.stderr)

    return tell


def _run(job: Coroutine[Any, Any, T], part: str, setting: str) -> T:
    """Run a job; what keeps it from its work is a sentence and status 1, so that whoever started it can try again."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # says the same on every try
    try:
        return asyncio.run(job)
    except (KafkaError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        print(f"Not done: {_why(error, part, setting)}", file=sys.stderr)
        raise typer.Exit(1) from None


def _why(error: Exception, part: str, setting: str) -> str:
    if isinstance(error, OSError | KafkaConnectionError):
        return f"{part} cannot be reached. See whether it runs, and whether {setting} has its address."
    if isinstance(error, KafkaError):
        return str(error)
    why = migrations.awaited(error)
    return f"{part}: {why}. See what {setting} says." if why else str(error)
