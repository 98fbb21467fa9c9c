"""The command line as a whole."""

import signal
import subprocess
import sys

import pytest


@pytest.mark.requirement("X6")
def test_a_command_that_is_stopped_while_it_loads_says_nothing():
    # tells of each module that it has loaded
    command = [sys.executable, "-X", "importtime", "-m", "deploy", "up"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "pydantic" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in rest
