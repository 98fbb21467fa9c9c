"""What is written down for other people holds: examples are taken, references lead somewhere, lifecycles are complete."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.docs import contracts, pages
from deploy.docs.examples import FOLDER, examples
from deploy.docs.schemas import published
from deploy.docs.system import EVENTS, ROOT, lifecycles, services
from deploy.docs.words import WORDS
from shared.events.aftersales import RefundRequested
from shared.events.base import EVENT_TYPES, is_inbox
from shared.events.orders import OrderCanceled, OrderCompleted
from shared.lifecycle import Lifecycle
from shared.values import CODE, TOLD_CODE, Actor, ActorKind
from tests.harness import SHOP
from tests.town import CHECKER, COURIER, PICKER, Town

SENDERS = {
    "scanner-01": PICKER,
    "scanner-02": CHECKER,
    "scanner-03": Actor(kind=ActorKind.OPERATOR, name="wu.jing", device="scanner-03"),
    "sf": COURIER,
    "my-shop": SHOP,
}
BEFORE = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.requirement("X3")
def test_every_event_from_outside_has_one_example() -> None:
    found = [json.loads(file.read_text(encoding="utf-8"))["type"] for file in FOLDER.glob("*.json")]
    assert sorted(found) == sorted(name for name in EVENT_TYPES if ".inbox." in name)


@pytest.mark.requirement("X3")
async def test_the_examples_played_in_order_tell_the_story_of_an_order() -> None:
    town = Town(BEFORE)
    for name, example in examples().items():
        await town.pass_time(datetime.fromisoformat(example["time"]) - town.now)
        if name.endswith("cancel_asked.v1"):  # it is about the next order
            second = examples()["orders.inbox.order_submitted.v1"]["data"] | {"external_number": "1002"}
            await town.outside(EVENT_TYPES["orders.inbox.order_submitted.v1"].model_validate(second))
        event = EVENT_TYPES[name].model_validate_json(json.dumps(example["data"]))
        outcome = await town.outside(event, SENDERS[example["source"]], id=example["id"])
        assert outcome.refusal is None, f"{name}: {outcome.refusal}"
    await town.pass_time(timedelta(days=1))
    assert len(town.said(OrderCompleted)) == len(town.said(OrderCanceled)) == 1
    assert [said.amount.amount for said in town.said(RefundRequested)] == [12800]
    assert town.parked() == []


@pytest.mark.requirement("X3")
async def test_they_can_be_played_at_any_later_time_as_their_page_says() -> None:
    town = Town(BEFORE + timedelta(days=200))
    for name, example in list(examples().items())[:-1]:
        data = example["data"]
        if name.endswith("hand_over_scanned.v1"):
            data = data | {"scanned_at": town.now.isoformat()}
        event = EVENT_TYPES[name].model_validate_json(json.dumps(data))
        outcome = await town.outside(event, SENDERS[example["source"]], id=example["id"])
        assert outcome.refusal is None, f"{name}: {outcome.refusal}"
    assert [said.amount.amount for said in town.said(RefundRequested)] == [12800]


@pytest.mark.requirement("X3")
def test_the_first_order_of_the_readme_is_taken() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    posted = re.search(r"order_submitted\.v1' -d '(\{.*?\})'\n```", readme, re.DOTALL)
    paid = re.search(r"^paid = (\{.*?^\})", readme, re.DOTALL | re.MULTILINE)
    assert posted is not None
    assert paid is not None
    order = EVENT_TYPES["orders.inbox.order_submitted.v1"].model_validate_json(posted[1])
    payment = EVENT_TYPES["orders.inbox.payment_captured.v1"].model_validate_json(
        paid[1].replace(",\n}", "\n}")
    )
    assert order.model_dump()["total"] == payment.model_dump()["amount"]["amount"]


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("described", services(), ids=lambda d: d.name)
def test_every_reference_of_asyncapi_and_openapi_leads_somewhere(described: Any) -> None:
    for document in (contracts.asyncapi(described), contracts.openapi(described)):
        for reference in _references(document):
            place: Any = document
            for step in reference.removeprefix("#/").split("/"):
                place = place.get(step.replace("~1", "/").replace("~0", "~"))
                assert place is not None, reference


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for one in node for found in _references(one)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for one in node.values() for found in _references(one)]


def test_every_event_of_ours_is_said_by_its_service() -> None:
    assert "**nobody**" not in pages.event_map()


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("of_all", ['"X2"', '"X2", "X6"'])
@pytest.mark.parametrize(
    "form", ["pytest.mark.requirement({})", "[pytest.mark.slow, pytest.mark.requirement({})]"]
)
def test_a_test_shows_the_requirements_of_its_module_and_its_own(form: str, of_all: str) -> None:
    """Each is named once on the page of the requirements."""
    module = f"pytestmark = {form.format(of_all)}"
    tests = '@pytest.mark.requirement("X2", "O1")\nasync def test_one(): ...\ndef test_other(): ...'
    found = pages.marked(f"{module}\n{tests}\ndef helper(): ...")
    numbers = of_all.replace('"', "").split(", ")
    assert found == {"test_one": [*numbers, "O1"], "test_other": numbers}


LIFECYCLES = [pytest.param(one, id=f"{service}-{one.name}") for service, one in lifecycles()]


@pytest.mark.parametrize("lifecycle", LIFECYCLES)
def test_every_state_of_a_lifecycle_is_reached(lifecycle: Lifecycle[Any]) -> None:
    first, *others = lifecycle.states.__members__.values()
    alone = set(others) - set(lifecycle.moves.values()) - {first}
    entered_otherwise = {"backordered"}  # decided at the release, beside the table
    assert {state.value for state in alone} <= entered_otherwise


def test_every_lifecycle_stands_on_its_page_as_it_is() -> None:
    written = (ROOT / "docs" / "generated" / "lifecycles.md").read_text(encoding="utf-8")
    assert written == pages.lifecycle_pages(), (
        "a cell changed: run `make docs`, look at what changed, and commit it"
    )


def test_schemas_of_what_others_write_are_closed_and_ours_may_grow() -> None:
    for event in EVENTS.values():
        schema = published(event)
        parts = [schema, *(p for p in schema.get("$defs", {}).values() if "properties" in p)]
        assert {part.get("additionalProperties", True) for part in parts} == {not is_inbox(event.wire_type)}


@pytest.mark.requirement("X3")
def test_each_field_of_each_event_is_said_what_it_says() -> None:
    said = set[str]()
    for event in EVENTS.values():
        fields = published(event)["properties"]
        assert all(field["description"] for field in fields.values())
        said |= fields.keys()
        said |= {f for part in published(event).get("$defs", {}).values() for f in part.get("properties", {})}
    assert WORDS.keys() <= said, "words of no field"


@given(st.from_regex(CODE, fullmatch=True).filter(lambda code: len(code) <= 100))
def test_what_schemas_say_of_a_code_holds_for_each_code(code: str) -> None:
    assert re.fullmatch(TOLD_CODE, code)


@pytest.mark.parametrize(
    "wrong", ["", "a b", "a,b", "-a", ".a", "a<b>", "a'b", 'a"b', "a\\b", "a{b", "a?", "a\n"]
)
def test_what_schemas_say_of_a_code_keeps_out_what_is_none(wrong: str) -> None:
    assert not re.search(TOLD_CODE.removesuffix("$") + r"\Z", wrong)


@pytest.mark.requirement("X3")
def test_whoever_is_refused_finds_the_code_of_it_in_the_guides() -> None:
    guides = "".join(
        (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("integrating.md", "operations.md")
    )
    files = [file for top in ("services", "shared") for file in (ROOT / top).rglob("*.py")]
    codes = {
        c for file in files for c in re.findall(r'\bRefused\(\s*"(\w+)"', file.read_text(encoding="utf-8"))
    }
    assert {"order_exists", "wrong_item", "token_missing"} <= codes
    assert {code for code in codes if f"`{code}`" not in guides} == set()
