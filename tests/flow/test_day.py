"""A day in a shop on real parts: four processes, a broker, a database, and everything through the public edges."""

import asyncio
import subprocess
import sys

import pytest

from deploy.commands.demo import Killer, play
from deploy.embedded.stack import Stack
from deploy.migrate import differences
from deploy.play.targets import embedded
from deploy.provision import SERVICES
from tests.collector import Collector, Span


@pytest.mark.timeout(240)
@pytest.mark.requirement("X1")
@pytest.mark.requirement("X2")
@pytest.mark.requirement("X6")
def test_a_day_ends_as_its_stories_go_although_every_service_is_killed() -> None:
    # whoever is killed takes the spans along that it has not sent yet
    often = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
    with (
        Collector() as collector,
        Stack(settings={"HANDOVER_OTLP_ENDPOINT": collector.url} | often) as stack,
    ):
        killer = Killer(stack)
        assert asyncio.run(play(embedded(stack), 40, 7, killer))
        assert killer.kills == len(SERVICES)
        for service in SERVICES:
            url = stack.database_url(service, owner=True)
            assert asyncio.run(differences(service, url)) == [], (
                f"the migrations of {service} lag behind its tables"
            )
            logs = stack.log_of(service).read_text()
            assert "王芳" not in logs
            assert "@example.org" not in logs
    assert "王芳" not in str(collector.spans)
    assert any(whole(trace) for trace in collector.traces()), "one trace leads through all services"


def whole(trace: list[Span]) -> bool:
    """One root, from which spans of all services are reached."""
    roots = [span for span in trace if span.parent is None]
    reached = {span.id for span in roots}
    while more := {span.id for span in trace if span.parent in reached} - reached:
        reached |= more
    services = {span.service for span in trace if span.id in reached}
    return len(roots) == 1 and services == {f"handover-{service}" for service in SERVICES}


def test_a_missing_setting_stops_the_start_with_a_sentence() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "services.orders.app"],
        capture_output=True,
        text=True,
        env={"PATH": ""},
        check=False,
    )
    assert process.returncode == 2
    assert "HANDOVER_DATABASE_URL is missing" in process.stderr
    assert "Traceback" not in process.stderr
