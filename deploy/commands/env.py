"""`handover env`: fresh secrets for the containers."""

import re
import secrets
from importlib.resources import files

from shared.runtime.auth import new_key_pair


def env() -> None:
    """Print a `.env` for docker compose, with fresh passwords and keys in it."""
    private, public = new_key_pair()
    keys = {"HANDOVER_TOKEN_PRIVATE_KEY": private, "HANDOVER_TOKEN_PUBLIC_KEY": public}
    example = files("deploy").joinpath("env.example").read_text()
    print(
        re.sub(r"(?m)^(\w+)=$", lambda m: f"{m[1]}={keys.get(m[1]) or secrets.token_hex(16)}", example),
        end="",
    )
