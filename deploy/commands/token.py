"""Tokens: who may do what is signed here, with a key that no service has."""

import sys
from datetime import timedelta
from typing import Annotated

import typer
from pydantic import ValidationError

from deploy.access import private_key
from shared.runtime.auth import create_token, new_key_pair
from shared.values import Actor, ActorKind, Role

app = typer.Typer(no_args_is_help=True)


@app.command()
def keygen() -> None:
    """Make a key pair: the public key goes to every service, the private one stays with whoever makes tokens."""
    private, public = new_key_pair()
    print(f"HANDOVER_TOKEN_PRIVATE_KEY={private}\nHANDOVER_TOKEN_PUBLIC_KEY={public}")


@app.command()
def create(
    as_: Annotated[
        str,
        typer.Option("--as", help="operator (a person), device (a scanner) or system (a shop, a courier)"),
    ],
    name: Annotated[str, typer.Option(help="Who it is, for the audit trail: li.wei, scanner-07, shop")],
    role: Annotated[str, typer.Option(help="ordinary, back-office or administrator")] = "ordinary",
    device: Annotated[str | None, typer.Option(help="The scanner that an operator signs in at")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid")] = 30,
) -> None:
    """Make a token, with the key of HANDOVER_TOKEN_PRIVATE_KEY or, where there is none, of `make up` in this folder."""
    try:
        kind = ActorKind(as_)
        if kind in (ActorKind.TIMER, ActorKind.SERVICE):
            raise ValueError(f"--as must be operator, device or system, not {as_}")
        actor = Actor(kind=kind, name=name, role=Role(role), device=device)
        print(create_token(private_key(), actor, timedelta(days=days)))
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            print(f"--{one['loc'][0]}: {one['msg']}", file=sys.stderr)
        raise typer.Exit(2) from None
    except ValueError as error:
        print(f"No token was made: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
