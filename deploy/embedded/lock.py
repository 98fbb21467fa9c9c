"""One stack per folder: two that write the same data would destroy it."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deploy.embedded.child import EmbeddedError


def held(folder: Path) -> bool:
    """Whether somebody holds a folder now, as far as we may look: what is closed to us is somebody's."""
    try:
        file = (folder / "lock").open()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    with file:
        return not _take(file)


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder for ourselves; the kernel lets go of it when we end, however. Raises EmbeddedError when it is held or
    cannot be written to."""
    if sys.platform == "win32":
        raise EmbeddedError(
            "The embedded parts need Linux or macOS. Use the containers instead: docker compose up --wait."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+")
    except OSError as error:
        why = "it is a file" if folder.is_file() else error.strerror
        raise EmbeddedError(
            f"Data cannot be kept in {folder} ({why}): choose another folder with HANDOVER_DATA_DIR."
        ) from None
    with file:
        if not _take(file):
            file.seek(0)
            holder = file.read().strip()
            raise EmbeddedError(
                f"Handover runs already with the data in {folder} (process {holder}): stop it first, or choose another folder "
                "with HANDOVER_DATA_DIR."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _take(file: IO[str]) -> bool:
    import fcntl  # there is none on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
