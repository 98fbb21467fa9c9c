"""One-shot jobs before the services start: databases, topics, migrations. All harmless to repeat."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from deploy.migrate import migrate as run_migrations
from deploy.provision import SERVICES
from deploy.provision import provision as run_provision
from deploy.settings import MigrateSettings, ProvisionSettings, TopicSettings
from deploy.topics import create_topics
from shared.runtime.settings import load

T = TypeVar("T")


def provision() -> None:
    """Create databases and roles. Needs HANDOVER_ADMIN_URL and, for each service, HANDOVER_<SERVICE>_PASSWORD and
    HANDOVER_<SERVICE>_OWNER_PASSWORD."""
    settings = load(ProvisionSettings)
    _run(run_provision(settings.admin_url.get_secret_value(), settings.passwords()))
    print("Databases and roles are there.")


def topics() -> None:
    """Create the topics that are missing. Needs HANDOVER_KAFKA; HANDOVER_TOPIC_PARTITIONS and HANDOVER_TOPIC_REPLICATION say
    how."""
    settings = load(TopicSettings)
    made = _run(
        create_topics(
            settings.kafka, partitions=settings.topic_partitions, replication=settings.topic_replication
        )
    )
    print(f"Created {', '.join(made)}." if made else "All topics are there.")


def migrate(service: Annotated[str, typer.Argument(help="orders, warehouse, aftersales or notify")]) -> None:
    """Bring one service's database to the newest version. Needs HANDOVER_MIGRATION_DATABASE_URL (the owner's)."""
    if service not in SERVICES:
        raise typer.BadParameter(f"there is no service {service!r}; take one of {', '.join(SERVICES)}")
    settings = load(MigrateSettings)
    _run(run_migrations(service, settings.migration_database_url.get_secret_value()))
    print(f"The database of {service} is up to date.")


def _run(job: Coroutine[Any, Any, T]) -> T:
    """Run a job; what keeps it from its work is a sentence and status 1, so that whoever started it can try again."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # says the same on every try
    try:
        return asyncio.run(job)
    except (KafkaError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        print(f"Not done: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
