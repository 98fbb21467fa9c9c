"""Tokens: who did it is signed, never said."""

import time
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.topics import topics
from shared.events.inbox import INBOX_TOPICS
from shared.runtime import auth
from shared.runtime.auth import LEEWAY, UNREAD, Tokens, create_token, key_bytes, new_key_pair
from shared.runtime.messages import Refused
from shared.values import Actor, ActorKind, Role
from tests.runtime.stand import PRIVATE, PUBLIC, token

MEI = Actor(kind=ActorKind.OPERATOR, name="mei", role=Role.BACK_OFFICE, device="scanner-07")
DAY = 24 * 3600
CLAIMS = {"iss": "handover", "sub": "mei", "kind": "operator", "role": "ordinary", "iat": 0, "exp": 2**40}


def refused(tokens: Tokens, text: str, sent: float | None = None) -> str:
    """The code that it is refused with."""
    with pytest.raises(Refused) as refusal:
        tokens.verify(text, sent)
    assert refusal.value.status == 401
    return refusal.value.code


def signed(**claims: object) -> str:
    """A token with our key and any claims; None leaves one out."""
    kept = {k: v for k, v in (CLAIMS | claims).items() if v is not None}
    return jwt.encode(kept, Ed25519PrivateKey.from_private_bytes(key_bytes(PRIVATE)), algorithm="EdDSA")


@pytest.mark.requirement("X4")
def test_a_token_names_its_actor_again():
    assert Tokens(PUBLIC).verify(create_token(PRIVATE, MEI, timedelta(days=1))) == MEI


@pytest.mark.requirement("X4")
def test_another_key_changed_text_or_an_unsigned_token_is_refused():
    tokens, good = Tokens(PUBLIC), token()
    head, body, signature = good.split(".")
    unsigned = jwt.encode(CLAIMS, "", algorithm="none")
    symmetric = jwt.encode(CLAIMS, PUBLIC, algorithm="HS256")  # the public key taken for a secret
    others = create_token(new_key_pair()[0], MEI, timedelta(days=1))
    for bad in (others, f"{head}.{body}.{signature[::-1]}", unsigned, symmetric, "", "x", "a.b.c"):
        assert refused(tokens, bad) == "token_invalid"


@pytest.mark.parametrize(
    "claims",
    [{"iss": "other"}, {"iss": None}, {"exp": None}, {"exp": "soon"}, {"exp": []},
     {"sub": None}, {"kind": None}, {"role": "king"}, {"sub": "a b"},
     {"kind": "timer"}, {"kind": "service"}, {"kind": "system", "device": "scanner-07"}],
)  # fmt: skip
@pytest.mark.requirement("X4")
def test_claims_that_no_token_of_ours_has_are_refused(claims: dict[str, object]):
    assert refused(Tokens(PUBLIC), signed(**claims)) == "token_invalid"


@pytest.mark.parametrize(
    "actor",
    [Actor(kind=ActorKind.TIMER, name="t"), Actor(kind=ActorKind.SERVICE, name="orders"),
     Actor(kind=ActorKind.DEVICE, name="scanner-07", device="scanner-07")],
)  # fmt: skip
@pytest.mark.requirement("X4")
def test_no_token_is_made_for_timers_services_or_a_device_at_a_device(actor: Actor):
    with pytest.raises(ValueError, match=r"only an operator|a token is for"):
        create_token(PRIVATE, actor, timedelta(days=1))


@pytest.mark.requirement("X4")
def test_a_token_expires_also_when_it_was_verified_before(monkeypatch: pytest.MonkeyPatch):
    tokens, text = Tokens(PUBLIC), create_token(PRIVATE, MEI, timedelta(seconds=60))
    tokens.verify(text)
    later = time.time() + 61 + LEEWAY
    monkeypatch.setattr(time, "time", lambda: later)
    assert refused(tokens, text) == "token_expired"


@pytest.mark.requirement("X4")
def test_a_token_counts_for_a_minute_beyond_its_end():
    tokens, now = Tokens(PUBLIC), time.time()
    ended, long_ended = (
        create_token(PRIVATE, MEI, timedelta(seconds=30), now=now - 30 - LEEWAY + s) for s in (2, -2)
    )
    assert tokens.verify(ended) == MEI
    assert refused(tokens, long_ended) == "token_expired"


@pytest.mark.requirement("X1")
def test_a_service_whose_clock_is_behind_takes_tokens_that_were_just_made():
    made = time.time() + 600  # by the clock of whoever made it, which may well be the right one
    assert Tokens(PUBLIC).verify(create_token(PRIVATE, MEI, timedelta(days=1), now=made), made) == MEI


@pytest.mark.requirement("X1")
def test_a_token_that_expired_while_its_record_waited_for_us_is_good_for_as_long_as_a_record_can_wait():
    tokens, now = Tokens(PUBLIC), time.time()

    def ended(days: float) -> str:
        return create_token(PRIVATE, MEI, timedelta(days=1), now=now - (days + 1) * DAY)

    for days in (0.5, 3, 6.9):
        assert tokens.verify(ended(days), now - (days + 0.1) * DAY) == MEI
        assert refused(tokens, ended(days)) == "token_expired"
        assert refused(tokens, ended(days), now - (days - 0.1) * DAY) == "token_expired"
    assert refused(tokens, ended(7.1), now - 7.2 * DAY) == "token_expired"
    assert refused(tokens, ended(7.1), 0) == "token_expired"


def test_a_record_can_wait_for_as_long_as_kafka_keeps_inboxes():
    kept = {topic.retention_ms for topic in topics(1) if topic.name in INBOX_TOPICS}
    assert kept == {UNREAD * 1000}


@pytest.mark.requirement("X4")
def test_when_a_record_was_sent_is_said_by_kafka_and_not_by_its_sender():
    stamped = {topic.name for topic in topics(1) if topic.stamped}
    assert stamped == set(INBOX_TOPICS)


def test_a_token_that_had_expired_at_its_first_use_is_refused():
    text = create_token(PRIVATE, MEI, timedelta(seconds=-1 - LEEWAY))
    assert refused(Tokens(PUBLIC), text) == "token_expired"


def test_refusals_do_not_gather_tracebacks():
    tokens = Tokens(PUBLIC)
    text = create_token(PRIVATE, MEI, timedelta(seconds=-1 - LEEWAY))
    seen = []
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            tokens.verify(text)
        seen.append(len(refusal.traceback))
    assert seen[0] == seen[1]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auth, "CACHED", 3)
    tokens = Tokens(PUBLIC)
    for number in range(5):
        tokens.verify(token(name=f"mei{number}"))
    assert len(tokens._known) == 3


@pytest.mark.requirement("X4")
def test_the_token_stands_in_the_authorization_header():
    tokens = Tokens(PUBLIC)
    assert tokens.actor_of_headers({"authorization": f"bearer {token()}"}).name == "mei"
    for headers in (
        {},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {token()}"},
    ):
        with pytest.raises(Refused) as refusal:
            tokens.actor_of_headers(headers)
        assert refusal.value.code == "token_missing"


@pytest.mark.parametrize(
    "text",
    ["", "short", "!" * 43, PUBLIC + "AAAA", PUBLIC[:-1] + "!"],
    ids=["none", "short", "signs", "long", "sign"],
)
def test_a_key_that_is_none_is_said_to_be_none(text: str):
    with pytest.raises(ValueError, match="32 bytes in Base64url"):
        Tokens(text)
