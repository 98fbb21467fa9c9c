"""Secrets of one embedded stack: made at its first start, kept in its folder."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from deploy.provision import roles
from shared.runtime.auth import new_key_pair


@dataclass(frozen=True)
class Keys:
    """Passwords of the database roles, and the pair of keys that tokens are signed and verified with."""

    passwords: dict[str, str]
    token_private_key: str
    token_public_key: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The keys in a folder, made when there are none. Readable by their owner alone."""
        file = folder / "keys.json"
        if not file.exists():
            private, public = new_key_pair()
            keys = cls({role: secrets.token_urlsafe(18) for role in roles()}, private, public)
            fresh = file.with_suffix(
                ".new"
            )  # moved into place, so that an interrupted start leaves no half of one
            fresh.unlink(missing_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(asdict(keys), indent=1))
            fresh.rename(file)
        return cls(**json.loads(file.read_text()))
