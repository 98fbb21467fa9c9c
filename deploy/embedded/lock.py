"""One stack per folder: two that write the same data would destroy it."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.embedded.child import EmbeddedError


def held(folder: Path) -> bool:
    """Whether somebody holds a folder now."""
    if not (folder / "lock").exists():
        return False
    try:
        with only_one(folder):
            return False
    except EmbeddedError:
        return True


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder for ourselves; the kernel lets go of it when we end, however. Raises EmbeddedError when it is held."""
    if sys.platform == "win32":
        raise EmbeddedError(
            "The embedded parts need Linux or macOS. Use the containers instead: docker compose up --wait."
        )
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise EmbeddedError(
                f"Handover runs already with the data in {folder} (process {holder}): stop it first, or choose another folder "
                "with HANDOVER_DATA_DIR."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
