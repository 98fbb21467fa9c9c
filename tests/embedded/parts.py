"""Starts PostgreSQL and the broker in the folder given, says so and waits to be killed: what the test of that runs."""

import sys
import time
from pathlib import Path

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import free_port
from deploy.embedded.postgres import EmbeddedPostgres

if __name__ == "__main__":
    postgres = EmbeddedPostgres(Path(sys.argv[1]), free_port())
    broker = EmbeddedBroker(Path(sys.argv[1]), free_port())
    postgres.start()
    broker.start()
    print("ready", flush=True)  # noqa: T201
    time.sleep(600)
