"""One-shot jobs before the services start: databases, topics, migrations. All harmless to repeat."""

import asyncio
import os
import sys
from typing import Annotated

import typer

from deploy.migrate import migrate as run_migrations
from deploy.provision import SERVICES
from deploy.provision import provision as run_provision
from deploy.topics import PARTITIONS, create_topics


def needed(name: str) -> str:
    """An environment variable that must be set; ends the command with a sentence when it is not."""
    value = os.environ.get(name, "")
    if not value:
        print(f"The setting {name} is missing.", file=sys.stderr)
        raise typer.Exit(2)
    return value


def provision() -> None:
    """Create databases and roles. Needs HANDOVER_ADMIN_URL and, for each service, HANDOVER_<SERVICE>_PASSWORD and
    HANDOVER_<SERVICE>_OWNER_PASSWORD."""
    passwords = {}
    for service in SERVICES:
        passwords[f"handover_{service}"] = needed(f"HANDOVER_{service.upper()}_PASSWORD")
        passwords[f"handover_{service}_owner"] = needed(f"HANDOVER_{service.upper()}_OWNER_PASSWORD")
    asyncio.run(run_provision(needed("HANDOVER_ADMIN_URL"), passwords))
    print("Databases and roles are there.")


def topics(
    partitions: Annotated[int, typer.Option(envvar="HANDOVER_TOPIC_PARTITIONS")] = PARTITIONS,
    replication: Annotated[int, typer.Option(envvar="HANDOVER_TOPIC_REPLICATION")] = 1,
) -> None:
    """Create the topics that are missing. Needs HANDOVER_KAFKA."""
    made = asyncio.run(create_topics(needed("HANDOVER_KAFKA"), partitions=partitions, replication=replication))
    print(f"Created {', '.join(made)}." if made else "All topics are there.")


def migrate(service: Annotated[str, typer.Argument(help="orders, warehouse, aftersales or notify")]) -> None:
    """Bring one service's database to the newest version. Needs HANDOVER_MIGRATION_DATABASE_URL (the owner's)."""
    if service not in SERVICES:
        print(f"There is no service {service!r}; take one of {', '.join(SERVICES)}.", file=sys.stderr)
        raise typer.Exit(2)
    asyncio.run(run_migrations(service, needed("HANDOVER_MIGRATION_DATABASE_URL")))
    print(f"The database of {service} is up to date.")
