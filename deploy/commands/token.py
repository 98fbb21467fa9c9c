"""Tokens: who may do what is signed here, with a key that no service has."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from deploy.access import private_key, wrong
from shared.runtime.auth import HOLDERS, create_token, new_key_pair
from shared.runtime.wording import rule_of
from shared.values import Actor, ActorKind, Role

T = TypeVar("T", bound=StrEnum)
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
        typer.Option(
            "--as",
            help="operator (a person), device (reads and prints, may not scan) or system (a shop, a courier)",
        ),
    ],
    name: Annotated[str, typer.Option(help="Who it is, for the audit trail: li.wei, scanner-07, shop")],
    role: Annotated[str, typer.Option(help="ordinary, back-office or administrator")] = "ordinary",
    device: Annotated[str | None, typer.Option(help="The scanner that an operator signs in at")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid")] = 30,
) -> None:
    """Make a token, with the key of HANDOVER_TOKEN_PRIVATE_KEY or, where there is none, of `make up` in this folder."""
    kind, holder = _one_of("--as", as_, HOLDERS), _one_of("--role", role, list(Role))
    try:
        actor = Actor(kind=kind, name=name, role=holder, device=device)
        print(create_token(private_key(), actor, timedelta(days=days)))
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            print(f"--{one['loc'][0]}: {_RULES.get(one['type']) or rule_of(one)}", file=sys.stderr)
        raise typer.Exit(2) from None
    except ValueError as error:
        raise wrong(f"No token was made: {error}") from None
    if kind is ActorKind.OPERATOR and device is None:
        print(
            "This token is not for scans: those need the --device that its operator is at.", file=sys.stderr
        )


_RULES = {
    "string_too_short": "it needs 1 to 100 characters",
    "string_too_long": "it needs 1 to 100 characters",
}
"""By the type of pydantic's error: both bounds, whichever was broken. All others are told as they are to senders."""


def _one_of(option: str, value: str, allowed: Sequence[T]) -> T:
    for one in allowed:
        if one == value:
            return one
    raise wrong(f"{option}: it must be {', '.join(allowed[:-1])} or {allowed[-1]}.")
