"""The command line: `handover …`. Each group of commands has a file of its own in `deploy/commands`."""

import typer

from deploy.commands import docs, embedded, log, parked, setup, token

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Handover: order fulfillment as event-driven services."
)
app.add_typer(token.app, name="token", help="Tokens for people, devices and systems.")
app.add_typer(log.app, name="log", help="The event logs: verify their chains, fill topics again.")
app.add_typer(parked.app, name="parked", help="Messages set aside: list, show, mend, retry, skip.")
for command in (setup.provision, setup.topics, setup.migrate, embedded.up, embedded.demo, embedded.replay, docs.docs):
    app.command()(command)

if __name__ == "__main__":
    app()
