"""What is bad costs those behind it no more than its own reading: all go through the turn that they came in, and nothing is
waited for or tried again (X2).
"""

import asyncio
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.embedded.keys import Keys
from shared.runtime.auth import Tokens, create_token
from shared.runtime.intake import Intake
from shared.runtime.messages import Raw, Status
from shared.runtime.settings import Settings
from tests.harness import Bench
from tests.poison.inboxes import INBOXES, Inbox
from tests.poison.ours import SAMPLES, passing, strays
from tests.poison.records import Headers, headers, poison
from tests.town import Town

pytestmark = pytest.mark.requirement("X2")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.of(tmp_path)


async def became(
    bench: Bench[Any], keys: Keys, records: list[Raw], patch: pytest.MonkeyPatch
) -> list[Status]:
    """What became of records that came in one batch; fails where any was waited for."""

    async def waited(*_: Any) -> None:
        raise AssertionError("a turn ran again")

    turns: list[list[Status]] = []
    bench.turns.after_commit.append(lambda _, outcomes, changes: turns.append([o.status for o in outcomes]))
    bench.turns.back_off = waited  # type: ignore[assignment]
    url = SecretStr("postgresql://nowhere/none")
    unused = Settings(
        database_url=url, kafka="nowhere:1", http_port=1, token_public_key=keys.token_public_key
    )
    intake = Intake(bench.turns, unused, Tokens(keys.token_public_key), None)
    messages = [intake.decode(raw) for raw in records]
    patch.setattr(asyncio, "sleep", waited)
    await intake._apply(messages)
    (one,) = turns
    return one


def batch(topic: str, *records: tuple[Headers, bytes | None]) -> list[Raw]:
    """Records as they are read: with what is no text replaced in the names of headers."""
    return [
        Raw(topic, 0, n, None, tuple((k.encode().decode(errors="replace"), v) for k, v in made), body or b"")
        for n, (made, body) in enumerate(records)
    ]


@pytest.mark.parametrize("inbox", INBOXES, ids=lambda inbox: inbox.topic)
async def test_good_records_of_an_inbox_are_answered_with_the_bad_ones_before_them(
    inbox: Inbox, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = create_token(keys.token_private_key, inbox.sender, timedelta(hours=1))
    sent: list[tuple[Headers, bytes | None]] = []
    for n, bad in enumerate(poison(inbox, keys, token)):
        good = headers(inbox, token, f"good-{n}"), json.dumps(inbox.named(f"good-{n}")).encode()
        sent += [(bad.headers, bad.body), good]
    statuses = await became(Town().benches[inbox.owner], keys, batch(inbox.topic, *sent), monkeypatch)
    assert Counter(statuses[1::2]).keys() <= {Status.DONE, Status.REFUSED}
    assert len(statuses) > 300


@pytest.mark.parametrize("topic", SAMPLES)
async def test_good_events_of_ours_pass_with_the_bad_ones_before_them(
    topic: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Headers, bytes | None]] = []
    for n, bad in enumerate(strays(topic)):
        sent += [(bad.headers, bad.body), passing(topic, f"good-{n}")]
    readers = [bench for bench in Town().benches.values() if topic in bench.service.topics]
    assert readers
    for bench in readers:
        statuses = await became(bench, keys, batch(topic, *sent), monkeypatch)
        assert Counter(statuses[1::2]) == {Status.PASSED: len(sent) // 2}
        assert Status.PARKED in statuses[::2]
