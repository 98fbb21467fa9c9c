"""The command line as a whole."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from deploy.cli import app
from deploy.commands.starting import told
from deploy.embedded.child import EmbeddedError


def hears_ctrl_c() -> None:
    """Whoever runs the tests may do so in the background of a shell, where it is ignored, and children are born so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.requirement("X6")
def test_a_command_that_is_stopped_while_it_loads_says_nothing():
    # tells of each module that it has loaded
    command = [sys.executable, "-X", "importtime", "-m", "deploy", "up"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "pydantic" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in rest


LOSES_ONE = """
import signal, sys, time, types
from deploy.__main__ import main

class Cleared:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def app():
    Cleared()
    time.sleep(20)

sys.modules["deploy.cli"] = types.SimpleNamespace(app=app)
main()
"""


@pytest.mark.requirement("X6")
def test_a_command_that_is_stopped_while_python_clears_away_ends_all_the_same():
    ended = subprocess.run(
        [sys.executable, "-c", LOSES_ONE],
        capture_output=True,
        timeout=15,
        check=False,
        preexec_fn=hears_ctrl_c,
    )
    assert (ended.returncode, ended.stderr) == (130, b"")


@pytest.mark.requirement("X6")
def test_two_parts_on_one_port_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HANDOVER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HANDOVER_WAREHOUSE_PORT", "8101")
    monkeypatch.setenv("HANDOVER_KAFKA_PORT", "25432")
    answer = CliRunner().invoke(app, ["up"])
    assert answer.exit_code == 2
    assert answer.output.splitlines() == [
        "The setting HANDOVER_WAREHOUSE_PORT is wrong: it must not be the port of orders too (8101). "
        "Port of warehouse on this machine.",
        "The setting HANDOVER_KAFKA_PORT is wrong: it must not be the port of postgres too (25432). "
        "Port of Kafka on this machine.",
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.requirement("X6")
def test_a_demo_that_is_stopped_says_so_at_once_and_ends_as_a_shell_has_it(monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def stack() -> Iterator[Any]:
        try:
            yield SimpleNamespace()
        finally:
            typer.echo("(all parts are stopped)")

    async def stopped(*args: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.commands.demo.Stack", stack)
    monkeypatch.setattr("deploy.commands.demo.embedded", lambda stack: stack)
    monkeypatch.setattr("deploy.commands.demo.play", stopped)
    answer = CliRunner().invoke(app, ["demo"])
    assert answer.exit_code == 130
    assert answer.output.splitlines()[2:] == ["Stopping …", "(all parts are stopped)", "Stopped."]


def test_what_did_not_start_is_told_as_it_stands_with_where_its_logs_are():
    error = EmbeddedError('PostgreSQL did not start: [/tmp/x] [error    ] {"a": ["b"]}')
    error.add_note("The logs were kept in /tmp/handover-logs.")
    console = Console(file=StringIO())
    with pytest.raises(typer.Exit) as end, told(console):
        raise error
    assert end.value.exit_code == 1
    assert console.file.getvalue().splitlines() == [str(error), *error.__notes__]  # type: ignore[attr-defined]
