"""Tokens that nobody may come in with."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.embedded.keys import Keys
from shared.runtime.auth import create_token, key_bytes, new_key_pair
from shared.values import Actor, Role
from tests.poison.bodies import NAME

Token = tuple[str, str, str]
"""Name of the case, the value of the authorization header, the code of its refusal."""


def forged(keys: Keys, actor: Actor) -> Iterator[Token]:
    """Everything but the actor's token."""
    private = Ed25519PrivateKey.from_private_bytes(key_bytes(keys.token_private_key))
    good = create_token(keys.token_private_key, actor, timedelta(hours=1))
    head, claims, signature = good.split(".")
    payload = json.loads(_bytes(claims))

    def signed(**changes: Any) -> str:
        claims = {k: v for k, v in (payload | changes).items() if v is not None}
        return f"Bearer {jwt.encode(claims, private, algorithm='EdDSA')}"

    def unsigned(header: bytes) -> str:
        return f"Bearer {_text(header)}.{claims}.{signature}"

    yield "nothing but the scheme", "Bearer", "token_missing"
    yield "another scheme", f"Basic {_text(b'admin:admin')}", "token_missing"
    yield "no scheme", good, "token_missing"
    yield "an API key", "Token abc", "token_missing"
    for name, value in {
        "nonsense": "Bearer nonsense", "a null": "Bearer null", "dots": "Bearer ..", "a name": f"Bearer {NAME.split()[1]}",
        "SQL": "Bearer ' OR 1=1 --", "two tokens": f"Bearer {good} {good}", "a comma": f"Bearer {good},{good}",
        "no signature": f"Bearer {head}.{claims}.", "two parts": f"Bearer {head}.{claims}", "four parts": f"Bearer {good}.x",
        "its signature cut": f"Bearer {good[:-4]}", "its signature turned": f"Bearer {head}.{claims}.{signature[::-1]}",
        "its claims changed": f"Bearer {head}.{_text(json.dumps(payload | {'role': 'administrator'}).encode())}.{signature}",
        "the algorithm none": f"Bearer {jwt.encode(payload, None, algorithm='none')}",  # type: ignore[arg-type]
        "signed with the public key": f"Bearer {_hmac(keys.token_public_key, claims)}",
        "HMAC of a secret": f"Bearer {jwt.encode(payload, 'secret' * 10, algorithm='HS256')}",
        "another key": f"Bearer {create_token(new_key_pair()[0], actor, timedelta(hours=1))}",
        "a deep header": unsigned(b'{"alg":' + b"[" * 3000), "a binary header": unsigned(b"\xff\xfe"), "a list for a header": unsigned(b"[]"),
        "a list for an algorithm": unsigned(b'{"alg": []}'), "an empty header": unsigned(b"{}"), "a critical header": unsigned(
            b'{"alg": "EdDSA", "crit": ["exp"], "exp": 1}'), "detached": unsigned(b'{"alg": "EdDSA", "b64": false}'),
        "another issuer": signed(iss="elsewhere"), "no issuer": signed(iss=None), "no end": signed(exp=None), "no name": signed(sub=None),
        "an endless end": signed(exp="never"), "an end that is a list": signed(exp=[1]),
        "not before tomorrow": signed(nbf=time.time() + 86_400), "a timer": signed(kind="timer"), "a service": signed(kind="service"),
        "an unknown kind": signed(kind="god"), "no kind": signed(kind=None), "a kind that is a list": signed(kind=["system"]),
        "an unknown role": signed(role="root"), "no role": signed(role=None), "a name with blanks": signed(sub="a b"),
        "a name with a zero": signed(sub="a\0b"), "a name that is an object": signed(sub={"a": 1}), "a long name": signed(sub="x" * 5000),
        "a system at a device": signed(kind="system", device="scanner-1"), "a device that is no code": signed(device="<b>"),
    }.items():  # fmt: skip
        yield name, value, "token_invalid"
    old = create_token(keys.token_private_key, actor, timedelta(hours=1), now=time.time() - 7200)
    yield "expired", f"Bearer {old}", "token_expired"
    yield "expired at the beginning of time", signed(exp=0), "token_expired"
    yield "the end below zero", signed(exp=-1), "token_expired"


def raised_to(role: Role, keys: Keys) -> Callable[[Actor], str]:
    """Tokens of actors in another role."""
    return lambda actor: create_token(
        keys.token_private_key, actor.model_copy(update={"role": role}), timedelta(hours=1)
    )


def _hmac(key: str, claims: str) -> str:
    head = _text(b'{"alg":"HS256","typ":"JWT"}')
    return f"{head}.{claims}." + _text(
        hmac.digest(key_bytes(key), f"{head}.{claims}".encode(), hashlib.sha256)
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
