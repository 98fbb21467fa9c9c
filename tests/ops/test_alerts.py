"""The alerts ask for metrics that the services have, name events that exist, and lead to a runbook (X6)."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import Metric

from deploy.commands.doctor import findings_of
from deploy.doctor.judge import RUNBOOKS, Finding
from services.notify.troubles import TroubleGauges
from shared.events import aftersales, notify, orders, warehouse
from shared.runtime.telemetry import Metrics

pytestmark = pytest.mark.requirement("X6")

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load(Path("deploy/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
EVENTS = {
    event.wire_type
    for module in (orders, warehouse, aftersales, notify)
    for event in vars(module).values()
    if hasattr(event, "wire_type")
}
OPERATIONS = Path("docs/operations.md").read_text()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_the_services_say_and_leads_to_a_runbook(rule: dict[str, Any]):
    known = samples()
    asked = set(re.findall(r"handover_\w+", rule["expr"]))
    assert asked <= known
    assert asked or re.search(r"\bup\{|\bnode_textfile_mtime_seconds\{", rule["expr"])
    assert set(re.findall(r'runbook="([^"]+)"', rule["expr"])) <= {*RUNBOOKS}
    assert set(re.findall(r'type="([^"]+)"', rule["expr"])) <= EVENTS
    assert set(re.findall(r'state="([^"]+)"', rule["expr"])) <= {"failed", "queued", "gap"}
    assert f"\n### {rule['annotations']['runbook']}\n" in OPERATIONS


@pytest.mark.parametrize("alert", ["HandoverKafkaAway", "HandoverLoopStands", "HandoverStandsStill"])
def test_what_the_absence_of_the_database_explains_wakes_nobody_a_second_time(alert: str):
    (rule,) = (rule for rule in RULES if rule["alert"] == alert)
    _, _, excuse = rule["expr"].partition("unless ")
    assert re.fullmatch(r'min by \(job\) \(handover_ready(\{part="database"\})?\) == 0\n', excuse)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_no_alert_holds_a_clock_of_ours_against_that_of_prometheus(rule: dict[str, Any]):
    assert not re.search(r"\btime\(\)|timestamp_seconds", rule["expr"])


def test_every_metric_that_the_operations_page_names_exists():
    names = {family.name for family in families()}
    databases = {f"handover_{service}" for service in ("orders", "warehouse", "aftersales", "notify")}
    assert set(re.findall(r"handover_\w+", OPERATIONS)) <= samples() | names | databases


def test_every_metric_of_a_service_stands_on_the_operations_page():
    of_histograms = re.compile(r"_(bucket|sum|count)$")
    assert {of_histograms.sub("", name) for name in samples()} <= set(re.findall(r"handover_\w+", OPERATIONS))


def test_the_file_that_an_alert_expects_is_the_one_that_cron_writes():
    (rule,) = (rule for rule in RULES if rule["alert"] == "HandoverDoctorStopped")
    (file,) = re.findall(r'file=~"([^"]+)"', rule["expr"])
    written = re.findall(r"--textfile (\S+)", OPERATIONS)
    assert [bool(re.fullmatch(file, name)) for name in written] == [True, False]


def samples() -> set[str]:
    """The names of all time series of a service, as Prometheus stores them."""
    suffixes = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_sum", "_count"),
        "info": ("_info",),
        "gauge": ("",),
    }
    return {f"{family.name}{suffix}" for family in families() for suffix in suffixes[family.type]}


def families() -> list[Metric]:
    """All that a service counts, those of notify's channels among them, and what the doctor writes."""
    found = Metrics("any")
    runtime: Any = SimpleNamespace(metrics=found)
    TroubleGauges(runtime)
    finding = Finding("orders", "what", "do", "runbook")
    return [*found.registry.collect(), *findings_of([finding], "quick").collect()]
