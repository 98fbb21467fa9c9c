"""Secrets of one embedded stack: made at its first start, kept in its folder."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from deploy.embedded.child import EmbeddedError
from deploy.provision import roles
from shared.runtime.auth import key_bytes, new_key_pair


@dataclass(frozen=True)
class Keys:
    """Passwords of the database roles, and the pair of keys that tokens are signed and verified with."""

    passwords: dict[str, str]
    token_private_key: str
    token_public_key: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The keys in a folder, made when there are none. Readable by their owner alone. Raises EmbeddedError."""
        if kept := cls.kept(folder):
            return kept
        private, public = new_key_pair()
        keys = cls({role: secrets.token_urlsafe(18) for role in roles()}, private, public)
        file = folder / "keys.json"
        fresh = file.with_suffix(
            ".new"
        )  # moved into place, so that an interrupted start leaves no half of one
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(TypeAdapter(cls).dump_json(keys, indent=1))
        fresh.rename(file)
        return keys

    @classmethod
    def kept(cls, folder: Path) -> Self | None:
        """The keys in a folder, None when there are none. Raises EmbeddedError when they are not ours to read, or broken."""
        file = folder / "keys.json"
        try:
            text = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise EmbeddedError(
                f"The keys in {file} cannot be read ({error.strerror}): be the user whose stack it is, or choose another "
                "folder with HANDOVER_DATA_DIR."
            ) from None
        try:
            keys = TypeAdapter(cls).validate_json(text)
            key_bytes(keys.token_private_key)
            key_bytes(keys.token_public_key)
            whole = keys.passwords.keys() >= set(roles())
        except ValueError:
            whole = False
        if not whole:
            raise EmbeddedError(
                f"{file} does not hold the keys that were made there: put them back. If they are lost, remove the file: the "
                "next start makes new ones, and tokens that were made until then count no more."
            )
        return keys
