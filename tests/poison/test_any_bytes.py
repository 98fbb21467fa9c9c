"""Bytes that were a good record before something happened to them: reading never raises; what was read is whole or refused."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.orders.desk import OrdersDesk
from services.orders.handlers import service as orders
from shared.runtime.auth import Tokens
from shared.runtime.envelope import Malformed
from shared.runtime.intake import Intake
from shared.runtime.messages import Incoming, Raw, Refused, Status
from shared.runtime.settings import Settings
from shared.values import ActorKind
from tests.builders import submitted
from tests.harness import Bench
from tests.poison.inboxes import ORDERS
from tests.poison.ours import SAMPLES, ours
from tests.poison.records import headers
from tests.poison.seeds import fuzz, seeded
from tests.runtime.stand import PUBLIC, token

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.timeout(240)]

EXAMPLES = 200
"""For each test, from each seed."""
EVENT, FIELDS = SAMPLES["warehouse"]
GOOD = (
    Raw(
        "orders.inbox", 0, 0, b"T-1", tuple(headers(ORDERS, token(kind=ActorKind.SYSTEM, name="shop"), "1")),
        submitted().model_dump_json().encode(),
    ),
    Raw("warehouse", 0, 0, b"order/venom", tuple(ours("warehouse", "order/venom", EVENT.wire_type)), json.dumps(FIELDS).encode()),
)  # fmt: skip
"""One of an inbox and one of ours."""

Accident = tuple[int, int, bytes]
"""Where, how much is lost there, what is found there instead."""


def reader() -> tuple[Intake, Bench[OrdersDesk]]:
    """The intake of orders over a store in memory; it is not connected to anything."""
    bench = Bench(orders())
    unused = Settings(
        database_url=SecretStr("postgresql://nowhere/none"),
        kafka="nowhere:1",
        http_port=1,
        token_public_key=PUBLIC,
    )
    return Intake(bench.turns, unused, Tokens(PUBLIC), None), bench


def accidents() -> st.SearchStrategy[list[Accident]]:
    """A few places where bytes are lost, doubled, turned or come in between."""
    odd = st.sampled_from(
        (
            b"\0",
            b"\xff",
            b'"',
            b"{",
            b"}",
            b"[",
            b"\\",
            b"\\u0000",
            b"\\ud800",
            b"1e999",
            b"NaN",
            b"\xed\xa0\x80",
            b"null",
        )
    )
    return st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 8), st.binary(max_size=6) | odd),
        min_size=1,
        max_size=4,
    )


def hurt(text: bytes, found: list[Accident]) -> bytes:
    for at, lost, instead in found:
        place = at % (len(text) + 1)
        text = text[:place] + instead + text[place + lost :]
    return text


def judged(incoming: Incoming) -> None:
    """Read, or refused (an inbox), or malformed (one of ours, parked): never an error that nobody foresaw."""
    if incoming.error is not None:
        assert isinstance(incoming.error, Refused | Malformed), incoming.error
        assert incoming.message is None
        assert str(incoming.error).isprintable() or "\n" not in str(incoming.error)


@seeded
@pytest.mark.parametrize("good", GOOD, ids=lambda raw: raw.topic)
def test_a_body_that_was_hurt(good: Raw, seed: str) -> None:
    intake, bench = reader()

    @fuzz(seed, EXAMPLES)
    @given(found=accidents())
    def reads(found: list[Accident]) -> None:
        incoming = intake.decode(replace(good, body=hurt(good.body, found)))
        judged(incoming)
        asyncio.run(_ends(bench, incoming))

    reads()


@seeded
@pytest.mark.parametrize("good", GOOD, ids=lambda raw: raw.topic)
def test_a_header_that_was_hurt(good: Raw, seed: str) -> None:
    intake, bench = reader()

    @fuzz(seed, EXAMPLES)
    @given(which=st.integers(0, len(good.headers) - 1), found=accidents(), name=st.booleans())
    def reads(which: int, found: list[Accident], name: bool) -> None:
        key, value = good.headers[which]
        changed = (
            (hurt(key.encode(), found).decode(errors="replace"), value) if name else (key, hurt(value, found))
        )
        raw = replace(good, headers=(*good.headers[:which], changed, *good.headers[which + 1 :]))
        incoming = intake.decode(raw)
        judged(incoming)
        asyncio.run(_ends(bench, incoming))

    reads()


@seeded
def test_noise(seed: str) -> None:
    intake, _ = reader()

    @fuzz(seed, EXAMPLES)
    @given(
        body=st.binary(max_size=300),
        made=st.lists(st.tuples(st.text(max_size=20), st.none() | st.binary(max_size=30)), max_size=8),
    )
    def reads(body: bytes, made: list[tuple[str, bytes]]) -> None:
        for good in GOOD:
            judged(intake.decode(replace(good, headers=tuple(made), body=body)))
            judged(intake.decode(replace(good, headers=(*good.headers, *made), body=body)))

    reads()


async def _ends(bench: Bench[OrdersDesk], incoming: Incoming) -> None:
    (outcome,) = await bench.turns.run([incoming])
    assert outcome.status is not Status.FAILED
    if incoming.error is None:
        assert outcome.status is not Status.PARKED, outcome.error
