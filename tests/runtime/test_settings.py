"""Settings: from the environment, checked at the start, explained in sentences."""

import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from pydantic import Field

from deploy.docs.system import ROOT, settings_of
from deploy.settings import CommandSettings, MigrateSettings, ProvisionSettings
from shared.runtime.auth import new_key_pair
from shared.runtime.settings import PREFIX, Settings, Span, load, misspelled, settings_page
from shared.values import Currency


class ShopSettings(Settings):
    """A service's own settings."""

    closes_after: Span = Field(timedelta(minutes=30), description="Closed so long after.")
    carriers: list[str] = Field([], description="Carriers | in order.")
    limits: Mapping[Currency, int] = Field({"CNY": 5}, description="By currency.")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch):
    values = {
        "DATABASE_URL": "postgresql://u:s3cret@db/x", "KAFKA": "broker:9092", "HTTP_PORT": "8101",
        "TOKEN_PUBLIC_KEY": new_key_pair()[1],
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"HANDOVER_{name}", value)


def sentences(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is printed when the start is refused."""
    with pytest.raises(SystemExit) as end:
        load(ShopSettings)
    assert end.value.code == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.requirement("X6")
def test_the_required_ones_are_enough():
    settings = load(ShopSettings)
    assert (settings.http_host, settings.clock, settings.otlp_endpoint) == ("127.0.0.1", "wall", None)
    assert "s3cret" not in repr(settings)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HANDOVER_OTLP_ENDPOINT", "")
    assert load(ShopSettings).otlp_endpoint is None


@pytest.mark.requirement("X6")
@pytest.mark.parametrize(
    ("name", "meant"),
    [("HANDOVER_CLOSE_AFTER", "CLOSES_AFTER"), ("HANDOVER_KAKFA", "KAFKA"), ("HANDOVER_CLCK", "CLOCK")],
)
def test_a_misspelled_name_is_told_and_does_not_stop_the_start(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(name, "PT1M")
    load(ShopSettings)
    told = f"{name} is no setting and is ignored; is HANDOVER_{meant} meant?"
    assert capsys.readouterr().err.splitlines() == [told]


@pytest.mark.requirement("X6")
def test_no_setting_of_any_service_or_of_compose_is_taken_for_a_misspelled_one():
    everywhere = {f"{PREFIX}{name.upper()}" for _, c in settings_of() for name in c.model_fields}
    compose = re.findall(
        r"HANDOVER_\w+", (ROOT / "docker-compose.yml").read_text() + (ROOT / "deploy/env.example").read_text()
    )
    for _, of_service in settings_of():
        assert misspelled({*everywhere, *compose}, of_service) == []


@pytest.mark.requirement("X6")
def test_each_missing_one_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("HANDOVER_KAFKA")
    monkeypatch.delenv("HANDOVER_HTTP_PORT")
    assert sentences(capsys) == [
        "The setting HANDOVER_KAFKA is missing. Bootstrap servers, host:port, several separated by commas.",
        "The setting HANDOVER_HTTP_PORT is missing. Port to listen on.",
    ]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("DATABASE_URL", "mysql://u:s3cret@db/x", "must begin with postgresql://"),
        (
            "DATABASE_URL",
            "postgresql://u:s3cret@db:abc/x",
            "it must have a number for its port; / : @ ? # in a",
        ),
        ("DATABASE_URL", "postgresql://u:s3@c/ret@db:5432/x", "/ : @ ? # in a password are written %2F %3A"),
        ("DATABASE_URL", "postgresql://u:s3#cret@db:5432/x", "/ : @ ? # in a password are written %2F %3A"),
        ("TOKEN_PUBLIC_KEY", "s3cret" * 7 + "!", "a token key is 32 bytes in Base64url"),
        ("HTTP_PORT", "99999", "it must be 65535 or less"),
        ("HTTP_PORT", "s3cret", "it must be a whole number."),
        ("CLOSES_AFTER", "s3cret", "it must be an ISO 8601 duration, such as PT30M or P3D."),
        ("CLOCK", "s3cret", "'wall' or 'driven'"),
        ("CLOCK_START", "2026-01-01T00:00:00", "it must have timezone info"),
        ("CLOSES_AFTER", "P999999999D", "it must be 3650 days"),
        ("CLOSES_AFTER", "-P1D", "it must be 0 seconds or more"),
        ("IDS_KEPT_FOR", "P999999999D", "it must be 3650 days"),
        ("STATEMENT_TIMEOUT_MS", "99999999999", "it must be 86400000 or less"),
        ("KAFKA", "s3cret", "it is not host:port"),
        ("KAFKA", "broker:9092,s3cret:99999", "it is not host:port"),
        ("OTLP_ENDPOINT", "s3cret:4318", "it must begin with http:// or https:// and name a host"),
        ("CARRIERS", "s3cret", "it must be JSON"),
        ("LIMITS", "1000", "it must be a JSON object"),
        ("LIMITS", '{"s3cret": 1}', "it must be three capital letters (ISO 4217)"),
    ],
)
@pytest.mark.requirement("X6")
def test_a_wrong_one_is_explained_without_its_value(
    name: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(f"HANDOVER_{name}", value)
    (line,) = sentences(capsys)
    assert line.startswith(f"The setting HANDOVER_{name} is wrong: ")
    assert rule in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("settings", "name"), [(MigrateSettings, "MIGRATION_DATABASE_URL"), (ProvisionSettings, "ADMIN_URL")]
)
@pytest.mark.requirement("X6")
def test_commands_refuse_another_database_with_the_sentence_of_services(
    settings: type[CommandSettings],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv(f"HANDOVER_{name}", "mysql://u:s3cret@db/x")
    with pytest.raises(SystemExit) as end:
        load(settings)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert f"The setting HANDOVER_{name} is wrong: it must begin with postgresql://." in said
    assert "s3cret" not in said


def test_the_page_lists_every_setting_once_with_type_default_and_services():
    page = settings_page([("shop", ShopSettings), ("other", Settings)]).splitlines()
    rows = {line.split("`")[1]: line for line in page[2:]}
    assert len(rows) == len(page) - 2 == len(ShopSettings.model_fields)
    assert "| secret text | required |" in rows["HANDOVER_DATABASE_URL"]
    assert "| true or false | `true` |" in rows["HANDOVER_KAFKA_IDEMPOTENT"]
    assert "| ISO 8601 duration | `PT30M` | Closed so long after. | shop |" in rows["HANDOVER_CLOSES_AFTER"]
    assert "| `wall` or `driven` | `wall` |" in rows["HANDOVER_CLOCK"]
    assert '| JSON | `{"CNY": 5}` | By currency. |' in rows["HANDOVER_LIMITS"]
    assert "| time with its offset |" in rows["HANDOVER_CLOCK_START"]
    assert rows["HANDOVER_OTLP_ENDPOINT"].endswith("| all |")
    assert r"Carriers \| in order." in rows["HANDOVER_CARRIERS"]


def test_every_setting_says_what_it_is_for():
    assert all(field.description for field in Settings.model_fields.values())
