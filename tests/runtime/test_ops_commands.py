"""`handover parked …` against a service that runs: what ops do with a message that was set aside (X2, X6)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from deploy.cli import app
from deploy.commands import parked as parked_command
from shared.runtime.messages import Raw
from shared.runtime.running import Runtime
from tests.runtime.answering import answering
from tests.runtime.probe import Note, Probe, decoded, note, outside, paid, parked, raw, receipt_of
from tests.runtime.stand import token
from tests.runtime.waiting import until

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.requirement("X6")]


@pytest.fixture
async def reader(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """A reader that answers over HTTP, with three messages of order a of which the second fails, and one of order b."""
    reader = await probe.reader()
    probe.broken.add("a")
    reader.commands.start()
    events = [raw(paid("a", n), n) for n in (1, 2, 3)] + [raw(paid("b", 1), 1)]
    await reader.turns.run(decoded(reader, *events))
    loops = asyncio.create_task(reader.parking.run())
    async with answering(reader, monkeypatch):
        yield reader
    loops.cancel()
    await asyncio.gather(loops, return_exceptions=True)


async def run(*arguments: str) -> tuple[int, str]:
    answer = await asyncio.to_thread(CliRunner().invoke, app, ["parked", *arguments])
    return answer.exit_code, answer.output


async def key(reader: Runtime) -> str:
    """The key of the first failed message, as the list has it."""
    code, said = await run("list", "--service", "warehouse", "--state", "failed")
    assert code == 0
    assert "failed" in said
    return said.splitlines()[-1].removeprefix("1 ")


def drained(reader: Runtime, *amounts: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await note(reader, "a") == Note("a", sum(amounts), amounts) and await parked(reader) == []

    return look


async def test_list_show_and_retry(reader: Runtime, probe: Probe):
    assert await parked(reader) == [("order/a", "failed"), ("order/a", "queued"), ("order/a", "queued")]
    first = await key(reader)
    code, said = await run("show", "warehouse", first)
    assert code == 0
    shown = json.loads(said)
    assert (shown["stream"], shown["sequence"], shown["body"]["order_id"]) == ("order/a", 1, "a")
    assert "ZeroDivisionError" in shown["traceback"][-1]
    assert await run("retry", "warehouse", first) == (
        1,
        f"0 done, 3 still parked.\nStill parked: {shown['type']}, {shown['reason']}\n",
    )
    probe.broken.clear()
    assert await run("retry", "warehouse", first) == (0, "3 done, 0 still parked.\n")
    assert await drained(reader, 1, 2, 3)()
    assert await run("list", "--service", "warehouse") == (0, "warehouse: nothing is parked.\n")


async def test_a_retry_tells_what_was_refused_and_why(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    writer = await probe.writer()
    probe.broken.add("n")
    records = [Raw("orders.inbox", 0, n, None, tuple(outside(f"id-{n}")), receipt_of("n")) for n in (1, 2)]
    await writer.turns.run(decoded(writer, *records))
    async with answering(writer, monkeypatch):
        _, listed = await run("list", "--service", "orders", "--state", "failed")
        first = listed.splitlines()[-1].removeprefix("1 ")
        _, shown = await run("show", "orders", first)
        assert json.loads(shown)["actor"]["name"] == "shop"
        probe.broken.clear()
        probe.forbidden.add("n")
        assert await run("retry", "orders", first) == (
            0,
            "0 done, 2 refused, 0 still parked.\n" + 2 * "Refused, its sender is told: closed: n [closed]\n",
        )


async def test_skip_lets_the_rest_go_on_by_itself(reader: Runtime, probe: Probe):
    first = await key(reader)
    probe.broken.clear()
    assert (await run("skip", "warehouse", first, "--reason", "paid twice"))[0] == 0
    await until(drained(reader, 2, 3))
    code, said = await run("list", "--state", "skipped", "--service", "warehouse")
    assert code == 0
    assert "skipped" in said
    assert await run("retry", "warehouse", first) == (
        2,
        "warehouse refused: this message is not parked any more: it was skipped\n",
    )


async def test_the_list_says_since_when_and_that_there_is_more(
    reader: Runtime, monkeypatch: pytest.MonkeyPatch
):
    since = (await reader.parking.list_())[0].parked_at
    monkeypatch.setattr(parked_command, "console", Console(width=200))
    _, said = await run("list", "--service", "warehouse")
    assert f"{since:%Y-%m-%d %H:%M:%S}" in said
    assert "there are more" not in said
    monkeypatch.setattr(parked_command, "SHOWN", 2)
    _, said = await run("list", "--service", "warehouse")
    assert said.splitlines()[-1].startswith("These are the first 2, there are more;")
    assert said.splitlines()[-2].startswith("2 ")


@pytest.mark.parametrize(
    ("reason", "told"),
    [("", "not be empty"), ("   ", "not be empty"), ("x" * 1001, "have at most 1000 characters")],
)
async def test_a_reason_has_1_to_1000_characters(reader: Runtime, reason: str, told: str):
    assert await run("skip", "warehouse", await key(reader), "--reason", reason) == (
        2,
        f"warehouse refused: reason: must {told}\n",
    )


async def test_mend_and_retry(reader: Runtime, tmp_path: Path, probe: Probe):
    first = await key(reader)
    corrected = tmp_path / "body.json"
    corrected.write_text(paid("a", 9).model_dump_json())
    mending = ("mend", "warehouse", first, "--body", str(corrected), "--reason", "wrong amount")
    code, said = await run(*mending)
    assert code == 0
    assert f"handover parked retry warehouse {first}" in said.splitlines()
    probe.broken.clear()
    assert await run("retry", "warehouse", first) == (0, "3 done, 0 still parked.\n")
    assert await drained(reader, 9, 2, 3)()
    for wrong in ("not json", '{"amount": NaN}'):
        corrected.write_text(wrong)
        code, said = await run(*mending)
        assert code == 2
        assert said.startswith(f"{corrected} is not JSON: ")


async def test_what_is_wrong_is_said(reader: Runtime, monkeypatch: pytest.MonkeyPatch):
    for wrong, why in (
        ("bm9uZQ", "no message is parked under this key"),
        ("bm9u\nZQ", "this is not the key of a parked message"),
    ):
        assert await run("retry", "warehouse", wrong) == (2, f"warehouse refused: {why}; list them again\n")
    behind = await reader.pool.fetchval("SELECT parked_key FROM parked WHERE place = 2")
    assert behind
    monkeypatch.setenv("HANDOVER_TOKEN", token())
    code, said = await run("list", "--service", "warehouse")
    assert code == 2
    assert "role" in said
    monkeypatch.setenv("HANDOVER_WAREHOUSE_URL", "http://127.0.0.1:1")
    assert await run("list", "--service", "warehouse") == (
        2,
        "warehouse does not answer at http://127.0.0.1:1: ConnectError.\n",
    )
    code, said = await run("list", "--service", "wherehouse")
    assert code == 2
    assert "There is no service 'wherehouse'" in said
