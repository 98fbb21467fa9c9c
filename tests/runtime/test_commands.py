"""The HTTP door: many requests share a turn, each gets its own answer, none hangs."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.runtime import commands as module
from shared.runtime.bookkeeper import seen_key
from shared.runtime.bookkeeping import Seen
from shared.runtime.commands import Busy, CommandFailed, Commands, asked
from shared.runtime.messages import Incoming, Outcome, Refused, Status
from shared.runtime.store import Unavailable
from tests.harness import AGENT, SUPERVISOR, refused_by
from tests.runtime.stand import Add, Stand
from tests.runtime.waiting import PATIENCE, until


@pytest.fixture
async def stand():
    stand = Stand()
    stand.commands.start()
    yield stand
    await stand.commands.stop()


class Slow:
    """Turns that wait until they may go on, and say how big they were."""

    def __init__(self, stand: Stand) -> None:
        self.real, self.clock = stand.turns, stand.clock
        self.go = asyncio.Event()
        self.sizes: list[int] = []
        self.failures: list[Exception] = []

    async def run(self, messages: Sequence[Incoming]) -> list[Outcome]:
        self.sizes.append(len(messages))
        await self.go.wait()
        if self.failures:
            raise self.failures.pop()
        return await self.real.run(messages)


def slowly(stand: Stand) -> tuple[Slow, Commands]:
    """Commands of a stand that wait to be let through."""
    slow = Slow(stand)
    return slow, Commands(slow)  # type: ignore[arg-type]


@pytest.mark.requirement("X2")
async def test_each_of_many_at_once_gets_its_own_answer(stand: Stand):
    asking = [stand.commands.ask(Add(tally_id=f"t{n}", number=n), AGENT) for n in (1, 2, 3)]
    assert await asyncio.gather(*asking) == [{"count": 1}, {"count": 2}, {"count": 3}]


@pytest.mark.requirement("X2")
async def test_a_refusal_or_a_bug_stops_only_its_own_command(stand: Stand):
    asking = [stand.commands.ask(Add(tally_id="t", number=n), AGENT) for n in (1, -1, 13, 2)]
    first, refused, failed, last = await asyncio.gather(*asking, return_exceptions=True)
    assert (first, last) == ({"count": 1}, {"count": 3})
    assert isinstance(refused, Refused)
    assert refused.code == "negative"
    assert isinstance(failed, CommandFailed)


async def test_what_waits_goes_into_the_next_turn_together():
    stand = Stand()
    slow, commands = slowly(stand)
    commands.start()
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(commands.ask(Add(tally_id=f"t{number}"), AGENT))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        slow.go.set()
    await commands.stop()
    assert sum(slow.sizes) == 10
    assert len(slow.sizes) <= module.WORKERS + 1


@pytest.mark.requirement("X2")
async def test_a_retry_under_its_key_gets_the_first_answer_and_changes_nothing(stand: Stand):
    for _ in range(3):
        assert await stand.commands.ask(Add(tally_id="t"), AGENT, key="k1") == {"count": 1}
    assert stand.count("t") == 1


@pytest.mark.requirement("X2")
async def test_a_refusal_under_a_key_is_repeated_too(stand: Stand):
    for _ in range(2):
        with pytest.raises(Refused, match="count upwards"):
            await stand.commands.ask(Add(tally_id="t", number=-1), AGENT, key="k1")


@pytest.mark.requirement("X2")
async def test_a_key_used_for_something_else_is_refused_and_keys_are_each_actors_own(stand: Stand):
    await stand.commands.ask(Add(tally_id="t"), AGENT, key="k1")
    with pytest.raises(Refused) as refusal:
        await stand.commands.ask(Add(tally_id="other"), AGENT, key="k1")
    assert (refusal.value.code, refusal.value.field) == ("id_reused", "idempotency-key")
    assert await stand.commands.ask(Add(tally_id="other"), SUPERVISOR, key="k1") == {"count": 1}


@pytest.mark.requirement("X2")
async def test_no_key_can_be_spelled_like_what_is_kept_of_a_key_that_was_used_twice(stand: Stand):
    await stand.commands.ask(Add(tally_id="t"), AGENT, key="k1")
    with pytest.raises(Refused, match="used before"):
        await stand.commands.ask(Add(tally_id="other"), AGENT, key="k1")
    (kept,) = [seen for seen in stand.store.rows("inbox") if "\n" in seen.key]
    digest = kept.key.partition("\n")[2]
    assert await stand.commands.ask(Add(tally_id="other"), AGENT, key=f"k1#{digest}") == {"count": 1}


@pytest.mark.requirement("X2")
async def test_what_an_older_version_kept_of_a_key_that_was_used_twice_is_an_answer_too(stand: Stand):
    other = asked(Add(tally_id="other"), AGENT, stand.clock.now(), key="k1#6f2a")
    kept = Seen(seen_key(other), other.digest, stand.clock.now(), Status.REFUSED, None)
    stand.store.tables["inbox"] = {kept.key: (kept, 1)}
    alone = asked(Add(tally_id="t"), AGENT, stand.clock.now(), key="k2")
    reused, done = await stand.turns.run([other, alone])
    assert (refused_by(reused), done.status) == ("id_reused", Status.DONE)


@pytest.mark.requirement("X2")
async def test_a_bug_in_what_is_kept_of_a_message_stops_that_message_alone(stand: Stand):
    broken = asked(Add(tally_id="other"), AGENT, stand.clock.now(), key="k1")
    kept = Seen(seen_key(broken), broken.digest, stand.clock.now(), Status.REFUSED, {"no": "refusal"})
    stand.store.tables["inbox"] = {kept.key: (kept, 1)}
    alone = asked(Add(tally_id="t"), AGENT, stand.clock.now(), key="k2")
    assert [o.status for o in await stand.turns.run([broken, alone])] == [Status.FAILED, Status.DONE]


async def test_a_shared_refusal_does_not_gather_tracebacks(stand: Stand):
    await stand.commands.ask(Add(tally_id="t"), AGENT, key="k1")
    seen = []
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            await stand.commands.ask(Add(tally_id="other"), AGENT, key="k1")
        seen.append(len(refusal.traceback))
    assert seen[0] == seen[1]


async def test_without_a_key_every_command_is_one_of_its_own(stand: Stand):
    assert await stand.commands.ask(Add(tally_id="t"), AGENT) == {"count": 1}
    assert (await stand.commands.tell(Add(tally_id="t"), AGENT)).status is Status.DONE
    assert stand.count("t") == 2


@pytest.mark.requirement("X2")
async def test_a_database_that_comes_back_is_waited_for():
    stand = Stand()
    slow, commands = slowly(stand)
    slow.go.set()
    slow.failures = [Unavailable("away")]
    commands.start()
    assert await commands.ask(Add(tally_id="t"), AGENT) == {"count": 1}
    await commands.stop()


async def test_a_database_that_stays_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE", -1)
    slow, commands = slowly(Stand())
    slow.go.set()
    slow.failures = [Unavailable("DiskFullError: no space")]
    commands.start()
    assert commands.trouble is None
    with pytest.raises(Unavailable):
        await commands.ask(Add(tally_id="t"), AGENT)
    assert commands.trouble == "the database cannot be reached: DiskFullError: no space"
    assert await commands.ask(Add(tally_id="t"), AGENT) == {"count": 1}
    assert commands.trouble is None, "one went well"
    slow.failures = [Unavailable("away")]
    with pytest.raises(Unavailable):
        await commands.ask(Add(tally_id="t"), AGENT)
    monkeypatch.setattr(module, "REMEMBERED", 0)
    assert commands.trouble is None, "nobody asked for long"
    await commands.stop()


async def test_a_request_that_waits_for_a_lock_again_does_not_make_the_service_well(
    monkeypatch: pytest.MonkeyPatch,
):
    """A statement may wait for longer than a failure is remembered."""
    monkeypatch.setattr(module, "PATIENCE", -1)
    monkeypatch.setattr(module, "REMEMBERED", 0)
    slow, commands = slowly(Stand())
    slow.go.set()
    slow.failures = [Unavailable("QueryCanceledError: statement timeout")]
    commands.start()
    with pytest.raises(Unavailable):
        await commands.ask(Add(tally_id="t"), AGENT)
    slow.go.clear()
    again = asyncio.create_task(commands.ask(Add(tally_id="t"), AGENT))
    await until(lambda: len(slow.sizes) == 2)
    assert commands.trouble == "the database cannot be reached: QueryCanceledError: statement timeout"
    slow.go.set()
    assert await again == {"count": 1}
    assert commands.trouble is None
    await commands.stop()


async def test_more_than_it_holds_is_sent_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    commands = Commands(Stand().turns)  # not started: nothing is taken
    waiting = [asyncio.create_task(commands.ask(Add(tally_id="t"), AGENT)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await commands.ask(Add(tally_id="t"), AGENT)
    await commands.stop()
    assert all(isinstance(e, Busy) for e in await asyncio.gather(*waiting, return_exceptions=True))


async def test_a_stop_leaves_nobody_waiting():
    stand = Stand()
    _, commands = slowly(stand)
    commands.start()
    asked = [asyncio.create_task(commands.ask(Add(tally_id="t"), AGENT)) for _ in range(5)]
    await asyncio.sleep(0.01)
    await commands.stop()
    answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), PATIENCE)
    assert all(isinstance(answer, Busy) for answer in answers)
    with pytest.raises(Busy):
        await commands.ask(Add(tally_id="t"), AGENT)
    assert stand.count("t") == 0


async def test_whoever_has_gone_is_not_waited_for():
    stand = Stand()
    asked = asyncio.create_task(stand.commands.ask(Add(tally_id="t"), AGENT))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    stand.commands.start()
    assert await stand.commands.ask(Add(tally_id="u"), AGENT) == {"count": 1}
    assert stand.count("t") == 0
    await stand.commands.stop()
