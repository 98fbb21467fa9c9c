"""Who did it comes from a signed token (X4): an Ed25519 JWT that only the holder of the private key can make.

Services hold the public key alone. Over HTTP and Kafka the token stands in `authorization: Bearer …`.
"""

import base64
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.runtime.messages import Refused
from shared.values import Actor, ActorKind, Role

ISSUER = "handover"
LEEWAY = 60
"""Seconds that a token counts beyond its end, for clocks differ."""
UNREAD = 7 * 24 * 60 * 60
"""Seconds that a record may lie in an inbox before it is read: as long as Kafka keeps it (`deploy/topics.py`)."""
CACHED = 10_000
HOLDERS = (ActorKind.OPERATOR, ActorKind.DEVICE, ActorKind.SYSTEM)
"""Who can hold a token: timers and our own services never come from outside, whatever was signed."""


def new_key_pair() -> tuple[str, str]:
    """A fresh (private, public) key pair, Base64url."""
    key = Ed25519PrivateKey.generate()
    return _text(key.private_bytes_raw()), _text(key.public_key().public_bytes_raw())


def create_token(private_key: str, actor: Actor, lifetime: timedelta, *, now: float | None = None) -> str:
    """A signed token for an operator, device or system, valid for `lifetime`.

    Raises ValueError for a bad key, another kind of actor, or a device on anyone but an operator.
    """
    _may_hold(actor)
    issued = time.time() if now is None else now
    claims = {
        "iss": ISSUER,
        "sub": actor.name,
        "kind": actor.kind.value,
        "role": actor.role.value,
        "iat": int(issued),
        "exp": int(issued + lifetime.total_seconds()),
    }
    if actor.device:
        claims["device"] = actor.device
    return jwt.encode(claims, Ed25519PrivateKey.from_private_bytes(key_bytes(private_key)), algorithm="EdDSA")


class Tokens:
    """Verifies tokens. What was verified once is remembered until it expires, for a scan's sake."""

    def __init__(self, public_key: str) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(key_bytes(public_key))
        self._known: OrderedDict[str, tuple[Actor, float]] = OrderedDict()

    def verify(self, token: str, sent: float | None = None) -> Actor:
        """Whose token it is. Raises Refused (401) with `token_invalid` or `token_expired`.

        `sent` is when the record was sent that holds it: it may have waited for us (X1), and its token was good then. That time
        is its sender's word where a topic was not made as we make them, so it is believed for no longer than a record can wait.
        """
        actor, expires = self._known.get(token) or self._read(token)
        now, until = time.time(), expires + LEEWAY
        if now < until or (sent is not None and sent < until and now < until + UNREAD):
            return actor
        raise _expired()

    def _read(self, token: str) -> tuple[Actor, float]:
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["EdDSA"],
                issuer=ISSUER,
                # when it ends is judged by whoever asks. One from the future says that clocks differ, and maybe ours is the one
                # that is behind: then every token that was just made would be refused, and what it came with lost
                options={"require": ["exp", "iat", "sub"], "verify_exp": False, "verify_iat": False},
            )
            actor = Actor(
                kind=ActorKind(claims["kind"]),
                name=claims["sub"],
                role=Role(claims["role"]),
                device=claims.get("device"),
            )
            _may_hold(actor)
            known = actor, float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            raise Refused(
                "token_invalid",
                "the token was not signed for this system; ask for one",
                field="authorization",
                status=401,
            ) from None
        self._known[token] = known
        if len(self._known) > CACHED:
            self._known.popitem(last=False)
        return known

    def actor_of_headers(self, headers: Mapping[str, str], sent: float | None = None) -> Actor:
        """Whose token stands in the `authorization` header; see `verify`. Raises Refused (401)."""
        value = headers.get("authorization") or headers.get("Authorization") or ""
        scheme, _, token = value.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused(
                "token_missing", "send `authorization: Bearer <token>`", field="authorization", status=401
            )
        return self.verify(token.strip(), sent)


def _expired() -> Refused:
    return Refused(
        "token_expired", "the token has expired; ask for a new one", field="authorization", status=401
    )


def _may_hold(actor: Actor) -> None:
    if actor.kind not in HOLDERS:
        raise ValueError(f"a token is for an operator, a device or a system, not for a {actor.kind.value}")
    if actor.device is not None and actor.kind is not ActorKind.OPERATOR:
        raise ValueError("only an operator signs in at a device")


def key_bytes(text: str) -> bytes:
    """The 32 bytes of a key written in Base64url, padded or not. Raises ValueError for anything else."""
    try:
        raw = base64.b64decode(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True
        )
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ValueError("a token key is 32 bytes in Base64url; `handover token keygen` makes a pair")
    return raw


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
