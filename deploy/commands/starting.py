"""What commands that start parts of their own tell when these do not start."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from deploy.embedded.child import EmbeddedError


@contextmanager
def told(console: Console) -> Iterator[None]:
    """Say what is wrong, as it stands, and where logs were kept; then end with 1."""
    try:
        yield
    except EmbeddedError as error:
        for sentence, style in (
            (str(error), "red"),
            *((note, "") for note in getattr(error, "__notes__", ())),
        ):
            console.print(sentence, style=style, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
