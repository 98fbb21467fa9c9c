"""The command line: `handover …`.

A command is a function in a file of `deploy/commands`, a group of commands a file with an `app`; here each is only named.
"""

from typing import Annotated

import typer

from deploy.commands import demo, docs, doctor, env, log, parked, replay, setup, simulate, token, up
from shared.version import running_version

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # their frames show local variables: secrets and personal data
    help="Handover: order fulfillment as event-driven services.",
)


def _version(asked: bool) -> None:
    if asked:
        print(f"handover {running_version()}")
        raise typer.Exit


@app.callback()
def handover(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is")
    ] = False,
) -> None:
    """What all commands have in common."""


for command in (
    setup.provision,
    setup.topics,
    setup.migrate,
    env.env,
    up.up,
    demo.demo,
    replay.replay,
    simulate.simulate,
    doctor.doctor,
    docs.docs,
):
    app.command()(command)

app.add_typer(log.app, name="log", help="The event logs: verify their chains, fill topics again.")
app.add_typer(parked.app, name="parked", help="Messages set aside: list, show, mend, retry, skip.")
app.add_typer(token.app, name="token", help="Tokens for people, devices and systems.")

if __name__ == "__main__":
    app()
