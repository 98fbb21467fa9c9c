"""The stack around the services: ready, killed, restarted, watched, stopped. Small stand-ins take the services' places."""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.embedded.child import EmbeddedError, temporary_folder
from deploy.embedded.lock import only_one
from deploy.embedded.stack import Stack
from deploy.embedded.watch import Watch
from deploy.provision import provision

STAND_IN = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        why = os.environ.get("WHY_NOT")
        body = json.dumps({"checks": {"kafka": why or "ok"}}).encode()
        if self.path == "/ops/lag":
            body = os.environ.get("LAG", "{}").encode()
        self.send_response(503 if why else 200)
        self.end_headers()
        self.wfile.write(body)
print("stand-in starts", flush=True)
if os.environ.get("FAIL"):
    sys.exit("The setting HANDOVER_KAFKA is wrong.")
http.server.HTTPServer(("127.0.0.1", int(os.environ["HANDOVER_HTTP_PORT"])), Handler).serve_forever()
"""


class StandIns(Stack):
    """A stack whose services do nothing but answer; their databases hold no tables, so there is nothing to refill from."""

    def command(self, service: str) -> list[str]:
        return [sys.executable, "-IS", "-c", STAND_IN]

    def republish(self) -> int:
        return 0

    async def _prepare_databases(self) -> None:
        await provision(self.postgres.admin_url, self.keys.passwords)


@pytest.fixture(scope="module")
def stack() -> Iterator[StandIns]:
    with StandIns() as stack:
        yield stack
        assert stack.folder.exists()
    assert not stack.folder.exists()
    assert not stack.postgres.running
    assert not stack.broker.running


def test_a_killed_service_is_noticed_and_restarted(stack: StandIns) -> None:
    assert stack.died() == []
    stack.kill("warehouse")
    assert stack.died() == ["warehouse"]
    assert stack.not_ready("warehouse") == "it does not answer (ConnectError)"
    stack.restart("warehouse")
    stack.wait_ready(["warehouse"])
    assert stack.died() == []


def test_watching_brings_back_what_ended_and_says_so(stack: StandIns) -> None:
    said: list[str] = []
    watch = Watch(stack, said.append)
    for part in ("orders", "postgres", "kafka"):
        pid = {
            "orders": stack.processes["orders"].pid,
            "postgres": stack.postgres.pid,
            "kafka": stack.broker.pid,
        }[part]
        assert pid is not None
        psutil.Process(pid).kill()
        deadline = time.monotonic() + 30
        said.clear()
        while not said and time.monotonic() < deadline:
            watch.look()
        watch.look()
        stack.wait_ready()
        assert stack.postgres.running
        assert stack.broker.running
        assert "started again" in said[0]
    assert "killed by signal 9" not in said[0], "the broker's end is no service's end"


def test_one_that_keeps_ending_is_started_more_and_more_rarely(stack: StandIns) -> None:
    said: list[str] = []
    watch = Watch(stack, said.append)
    stack.settings["FAIL"] = "1"
    stack.restart("notify")
    deadline = time.monotonic() + 30
    while len(said) < 3 and time.monotonic() < deadline:
        watch.look()
        time.sleep(0.02)
    assert "notify ended (status 1)" in said[0]
    assert "The setting HANDOVER_KAFKA is wrong." in said[0]
    assert [sentence.rsplit("\n", 1)[1] for sentence in said] == [
        "It is started again.",
        "It is started again in 1 s.",
        "It is started again in 2 s.",
    ]
    del stack.settings["FAIL"]
    stack.restart("notify")
    stack.wait_ready()


def test_what_keeps_a_service_from_being_ready_is_said(stack: StandIns) -> None:
    stack.settings["WHY_NOT"] = "no partitions yet"
    stack.restart("orders")
    with pytest.raises(EmbeddedError, match="orders: kafka: no partitions yet"):
        stack.wait_ready(["orders"], patience=1)
    del stack.settings["WHY_NOT"]
    stack.settings["FAIL"] = "1"
    stack.restart("orders")
    with pytest.raises(EmbeddedError) as error:
        stack.wait_ready(["orders"])
    assert str(error.value).splitlines() == [
        f"orders ended while starting; see {stack.log_of('orders')}:",
        "stand-in starts",  # this one's words alone: earlier ones wrote into the same log
        "The setting HANDOVER_KAFKA is wrong.",
    ]
    del stack.settings["FAIL"]
    stack.restart("orders")
    stack.wait_ready()


def test_what_lies_unread_in_an_inbox_is_waited_for_and_counted(stack: StandIns) -> None:
    assert stack.finish_reading(30) == (0, [])
    stack.settings["LAG"] = '{"orders.inbox": 3, "warehouse": 7}'
    stack.restart("orders")
    stack.wait_ready(["orders"])
    assert stack.finish_reading(0.5) == (3, []), "ours are filled again from the log"
    stack.kill("orders")
    assert stack.finish_reading(30) == (0, ["orders"]), "it cannot say, and nobody waits for it"
    del stack.settings["LAG"]
    stack.run("orders")
    stack.wait_ready(["orders"])


def test_a_failed_start_leaves_nothing_running_and_keeps_the_logs(stack: StandIns) -> None:
    other = StandIns(settings={"FAIL": "1"})
    with pytest.raises(EmbeddedError) as error:
        other.start()
    kept = Path(error.value.__notes__[0].removeprefix("The logs were kept in ").removesuffix("."))
    # the first that fails ends them all: which one that is, nobody knows
    assert any("stand-in starts" in log.read_text() for log in kept.glob("*.log"))
    assert not other.folder.exists()
    assert not other.postgres.running
    for log in kept.iterdir():
        log.unlink()
    kept.rmdir()


def test_a_folder_is_used_by_one_at_a_time(stack: StandIns) -> None:
    refused = pytest.raises(EmbeddedError, match=r"runs already .*process \d+")
    with temporary_folder() as folder, only_one(folder), refused, only_one(folder):
        pass


def test_children_are_only_started_from_the_main_thread(stack: StandIns) -> None:
    with pytest.raises(RuntimeError, match="main thread"):
        asyncio.run(asyncio.to_thread(stack.run, "orders"))
