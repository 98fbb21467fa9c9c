"""What `make bench` is told is checked before anything starts, and a broker that somebody uses is left alone (X6)."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import typer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

import shared.runtime
from benchmarks import __main__, broker, machine, profiled
from benchmarks.parts import growth
from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import free_port

pytestmark = pytest.mark.requirement("X6")

OURS = ("orders", "scans.inbox")


def bench(*arguments: str, history: str | None = None, docker: str | None = None) -> str:
    """What the command says when it refuses, in one line."""
    app = typer.Typer()
    app.command()(__main__.main)
    env = {"HANDOVER_BENCH_HISTORY": history, "HANDOVER_BENCH_KAFKA": None, "DOCKER_HOST": docker}
    answer = CliRunner().invoke(app, arguments, env=env)
    assert answer.exit_code == 2, answer.output
    return " ".join(answer.output.replace("│", " ").split())


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def place(*_: object) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr(__main__, "place", place)


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("kafka", ["localhost", "localhost:abc", "localhost:0", "localhost:65536", ":9092"])
def test_what_is_no_address_of_a_broker_is_refused(kafka: str):
    said = bench("scan", "--kafka", kafka)
    assert "--kafka" in said
    assert f"'{kafka}' is no host:port, such as 127.0.0.1:9092" in said


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize(
    ("history", "why"),
    [
        ("abc", "'abc' is no number of orders from 1"),
        ("0", "'0' is no number of orders from 1"),
        ("-5", "'-5' is no number of orders from 1"),
        ("1000000,aftersales", "'aftersales' does not give one of"),
        ("1000000,billing=5", "'billing=5' does not give one of"),
        ("1000000,aftersales=many", "'many' is no number of orders from 1"),
    ],
)
def test_a_history_that_cannot_be_made_is_refused_where_growth_is_measured(history: str, why: str):
    for parts in ((), ("growth",)):
        said = bench(*parts, history=history)
        assert "HANDOVER_BENCH_HISTORY" in said
        assert why in said
    assert "there is no part nothing" in bench("nothing", history=history)


def test_one_service_can_have_more_history_than_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HANDOVER_BENCH_HISTORY", "1000,aftersales=5000")
    assert growth.asked() == {"orders": 1000, "warehouse": 1000, "aftersales": 5000, "notify": 1000}


@pytest.mark.parametrize(
    ("orders", "name"),
    [
        (100_000, "growth-short"),
        (999_999, "growth-short"),
        (1_000_000, "growth"),
        (9_999_999, "growth"),
        (10_000_000, "growth-10m"),
    ],
)
def test_what_a_history_of_one_size_showed_takes_the_place_of_no_other(orders: int, name: str):
    assert growth.kept_as({"history_orders": orders}) == name


def test_without_docker_a_broker_is_asked_for():
    said = bench("scan", docker="tcp://127.0.0.1:1")
    assert "Docker does not start one" in said
    assert "--kafka host:port" in said


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[str]:
    """A broker that runs."""
    server = EmbeddedBroker(tmp_path, free_port())
    server.start()
    yield server.bootstrap
    server.stop()


async def make(kafka: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()


async def topics(kafka: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    there = set(await admin.list_topics())
    await admin.close()
    return there


async def test_a_broker_with_topics_of_a_system_is_refused_and_left_as_it_is(kafka: str):
    await make(kafka, "orders")
    with pytest.raises(typer.BadParameter) as refused:
        await broker.claim(kafka, OURS)
    assert refused.value.message.startswith(
        f"the broker at {kafka} has the topics orders, and no topic handover-benchmarks"
    )
    assert refused.value.message.endswith(
        f"kafka-topics.sh --bootstrap-server {kafka} --create --topic handover-benchmarks"
    )
    assert await topics(kafka) == {"orders"}


async def test_a_broker_without_such_topics_is_marked_and_serves_again(kafka: str):
    await make(kafka, "elsewhere")
    await broker.claim(kafka, OURS)
    assert await topics(kafka) == {"elsewhere", broker.MARK}
    await make(kafka, "orders")
    await broker.claim(kafka, OURS)


async def test_who_made_the_mark_goes_on_with_the_topics_that_are_there(kafka: str):
    await make(kafka, "orders")
    await make(kafka, broker.MARK)
    await broker.claim(kafka, OURS)


def test_cpu_is_asked_of_a_broker_on_this_machine_only(kafka: str, monkeypatch: pytest.MonkeyPatch):
    port = kafka.rpartition(":")[2]
    assert broker.process(kafka) is not None
    assert broker.process(f"localhost:{port}") == broker.process(kafka)
    assert broker.process(f"kafka.example.org:{port}") is None
    monkeypatch.setattr(psutil.Process, "name", lambda _: "docker-proxy")
    assert broker.process(kafka) is None


@pytest.mark.parametrize(
    ("class_path", "version"),
    [
        ("/opt/kafka/libs/zstd-jni-1.5.jar:/opt/kafka/libs/kafka_2.13-4.1.1.jar", "4.1.1"),
        ("{folder}/*", "3.9.0"),
        ("/opt/else/*:/opt/kafka-4.1.1", None),
    ],
)
def test_kafkas_version_is_that_of_the_jars_it_runs(
    class_path: str, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "kafka_2.12-3.9.0.jar").touch()
    line = ["java", "-cp", class_path.format(folder=tmp_path), "kafka.Kafka"]
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: line)
    assert broker.version(os.getpid()) == version
    assert broker.version(None) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="without git no commit is named")
def test_what_a_run_writes_does_not_make_its_commit_another(tmp_path: Path):
    code, result, page = (
        tmp_path / name for name in ("benchmarks/parts/scan.py", "benchmarks/results/scan.json", "docs/performance.md")
    )  # fmt: skip
    for file in (code, result, page):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("before")
    assert machine.commit(tmp_path) is None
    by = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    for line in (("init", "--quiet"), ("add", "."), (*by, "commit", "--quiet", "-m", "Measure")):
        subprocess.run(["git", *line], cwd=tmp_path, check=True)
    clean = machine.commit(code.parent)
    assert clean is not None
    for file in (result, page):
        file.write_text("after")
    assert machine.commit(code.parent) == clean
    code.write_text("after")
    assert machine.commit(code.parent) == f"{clean}-dirty"


async def test_a_broker_that_does_not_answer_is_named():
    with pytest.raises(typer.BadParameter) as refused:
        await broker.answers("127.0.0.1:1", patience=0)
    assert refused.value.message.startswith("no Kafka answers at 127.0.0.1:1: ")


RUNTIME = Path(shared.runtime.__file__).parent


@pytest.mark.parametrize(("file", "function"), [step for step in profiled.STEPS if "/" not in step[0]])
def test_a_step_of_the_profile_is_of_code_that_there_is(file: str, function: str):
    text = (RUNTIME / file).read_text(encoding="utf-8")
    assert not function or re.search(rf"def {function}\(", text)


def test_reading_records_is_no_part_of_the_turn_itself():
    def step(file: str, function: str) -> str | None:
        frame: Any = SimpleNamespace(file_path=str(RUNTIME / file), function=function)
        return profiled.step_of(frame)

    assert (
        step("gathering.py", "_look")
        == step("intake.py", "_next")
        == step("places.py", "commit")
        == "consume"
    )
    assert step("outbox.py", "unsent") == "relay"
    assert step("turn.py", "run") == "the turn itself"
    assert step("rows.py", "load") is None  # of whoever calls it
