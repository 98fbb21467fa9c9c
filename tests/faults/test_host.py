"""What a broken host does to its process is what the faults say of it (X2)."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.orders.tables import metadata
from tests.faults.checker import _dates
from tests.faults.findings import Findings
from tests.faults.host import Host
from tests.faults.witness import TOPICS
from tests.served import emptied

pytestmark = pytest.mark.requirement("X2")


BREAK = """
import sys
from pathlib import Path
from tests.faults.host import POINTS, Host
folder, point, how = Path(sys.argv[1]), *sys.argv[2:]
host = Host(folder)
host.come_to(point, ["orders", 2, 70])
(folder / point).write_text(how)
for each in POINTS:
    host.come_to(each, ["orders", 2, 71])
"""


@pytest.mark.parametrize(
    ("point", "how"), [("before_commit", signal.SIGSTOP), ("before_booking", signal.SIGKILL)]
)
def test_a_process_breaks_at_the_point_that_was_named_and_as_it_was_named(
    tmp_path: Path, point: str, how: signal.Signals
):
    with subprocess.Popen([sys.executable, "-c", BREAK, str(tmp_path), point, how.name]) as child:
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            child.kill()
    broken_by = os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.WTERMSIG(status)
    assert broken_by == how
    assert not (tmp_path / point).exists()
    assert json.loads((tmp_path / "in_hand").read_text()) == ["orders", 2, 71]


def test_a_process_stands_still_only_with_something_in_hand(tmp_path: Path):
    (tmp_path / "before_commit").write_text("SIGSTOP")
    Host(tmp_path).come_to("before_commit")
    assert (tmp_path / "before_commit").exists()


ASK = """
import importlib, sys, time
from datetime import UTC, datetime
from pathlib import Path
from tests.faults.host import Host, shift_clock
importlib.import_module("services.notify.app")
folder = Path(sys.argv[1])
shift_clock(Host(folder))
from services.notify import channels
from shared.runtime import clock, inbox
right = datetime.now(UTC)
def off(): return [round((now - right.timestamp()) / 600) for now in (
    time.time(), time.time_ns() / 1e9, clock.WallClock().now().timestamp(), inbox.datetime.now(UTC).timestamp(),
    channels.datetime.now(UTC).timestamp())]
print(off())
(folder / "clock").write_text("3600")
print(off())
(folder / "clock").unlink()
print(off(), type(channels.datetime.now(UTC)) is datetime)
"""


def test_a_clock_that_jumps_does_so_for_all_that_runs(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{[0] * 5}", f"{[6] * 5}", f"{[0] * 5} True"]


class Nothing:
    """A log that is empty."""

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        return []


async def test_an_event_that_a_wrong_clock_dated_is_found(postgres_url: str):
    await emptied(postgres_url, metadata)
    connection = await asyncpg.connect(postgres_url)
    hour, now = timedelta(hours=1), datetime.now(UTC)
    times = {"ahead": (now - hour, now + hour), "behind": (now, now - hour), "right": (now - hour, now)}
    for stream, dates in times.items():
        for sequence, at in enumerate(dates, 1):
            await connection.execute(
                "INSERT INTO event_log (stream, sequence, type, time, actor_kind, actor_name, data, previous, hash) "
                "VALUES ($1, $2, 'orders.order_paid.v1', $3, 'service', 'orders', '{}', '', '')",
                stream, sequence, at,
            )  # fmt: skip
    found = Findings()
    await _dates({name: Nothing() for name in TOPICS} | {"orders": connection}, found)
    await connection.close()
    assert sorted(found.broken) == [f"log of orders: {s}/2 has a wrong time" for s in ("ahead", "behind")]
