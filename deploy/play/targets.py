"""Where a system under play is, and how its outsiders get their tokens."""

import os
import sys
from datetime import timedelta

import typer
from dotenv import dotenv_values

from deploy.access import PORTS
from deploy.embedded.stack import Stack
from deploy.play.edges import Target
from deploy.provision import SERVICES, database_of, owner_of
from shared.runtime.auth import create_token


def embedded(stack: Stack) -> Target:
    """A stack of our own."""
    return Target(
        kafka=stack.broker.bootstrap,
        urls={service: stack.url(service) for service in SERVICES},
        token=stack.token,
        databases={service: stack.database_url(service, owner=True) for service in SERVICES},
        idempotent=False,
    )


def compose() -> Target:
    """Containers that run on this machine, reached through the ports that they publish on loopback.

    Their secrets and ports are read where compose reads them: from the environment, or else from `.env`.
    """
    env = {name: value for name, value in dotenv_values(".env").items() if value} | dict(os.environ)
    key = env.get("HANDOVER_TOKEN_PRIVATE_KEY", "")
    if not key:
        print(
            "There is no HANDOVER_TOKEN_PRIVATE_KEY, neither set nor in .env; `make env` makes one.",
            file=sys.stderr,
        )
        raise typer.Exit(2)
    databases = {}
    for service in SERVICES:
        password = env.get(f"HANDOVER_{service.upper()}_OWNER_PASSWORD")
        port = env.get("HANDOVER_POSTGRES_PORT", "25432")
        if password:
            databases[service] = (
                f"postgresql://{owner_of(service)}:{password}@127.0.0.1:{port}/{database_of(service)}"
            )
    return Target(
        kafka=env.get("HANDOVER_KAFKA", f"127.0.0.1:{env.get('HANDOVER_KAFKA_PORT', '29092')}"),
        urls={s: f"http://127.0.0.1:{env.get(f'HANDOVER_{s.upper()}_PORT', p)}" for s, p in PORTS.items()},
        token=lambda actor: create_token(key, actor, timedelta(hours=12)),
        databases=databases,
    )
