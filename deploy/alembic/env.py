"""Alembic's environment for all services; the caller hands in the connection."""

from alembic import context

config = context.config
context.configure(connection=config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
