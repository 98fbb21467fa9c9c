"""Problem details: every failure has the one form, and none repeats what was sent."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.exceptions import HTTPException
from structlog.testing import capture_logs

from shared.runtime.commands import Busy
from shared.runtime.messages import Refused
from shared.runtime.problems import LARGEST_BODY
from shared.runtime.store import Unavailable
from tests.runtime.stand import Stand

SECRET = "13800138000"


@pytest.fixture
async def stand():
    stand = Stand()
    stand.commands.start()
    yield stand
    await stand.commands.stop()


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    """True for problem details of this status and code that say nothing of what was sent."""
    body = answer.json()
    return (
        answer.status_code == body["status"] == status
        and answer.headers["content-type"] == "application/problem+json"
        and (body["code"], body["type"]) == (code, f"/problems/{code}")
        and bool(body["title"] and body["detail"])
        and SECRET not in answer.text
    )


async def test_a_refusal_names_its_rule_and_field(stand: Stand):
    async with stand.client() as http:
        answer = await http.post("/v1/add", json={"tally_id": "t", "number": -1})
    assert is_problem(answer, 409, "negative")
    assert answer.json()["field"] == "number"


@pytest.mark.requirement("X4")
async def test_wrong_input_names_each_field_and_rule(stand: Stand):
    async with stand.client() as http:
        answer = await http.post("/v1/add", json={"number": f"tel {SECRET}", "phone": SECRET})
    assert is_problem(answer, 422, "invalid")
    assert {e["field"] for e in answer.json()["errors"]} == {"tally_id", "number", "phone"}


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_called_json_is_said_not_to_be(stand: Stand, kind: str):
    async with stand.client() as http:
        answer = await http.post("/v1/add", content=b'{"tally_id": "t"}', headers={"content-type": kind})
    assert is_problem(answer, 422, "invalid")
    assert answer.json()["detail"].endswith("with the header `content-type: application/json`")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"a":'])
async def test_what_is_not_json_is_said_not_to_be(stand: Stand, body: bytes):
    async with stand.client(**{"content-type": "application/json"}) as http:
        answer = await http.post("/v1/add", content=body)
    assert is_problem(answer, 400, "not_json")


async def test_unknown_paths_and_methods(stand: Stand):
    async with stand.client() as http:
        assert is_problem(await http.get("/nothing/here"), 404, "not_found")
        wrong = await http.delete("/v1/add")
    assert is_problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Busy("too many"), 503, "busy"), (Unavailable(SECRET), 503, "unavailable"),
     (Refused("unknown_order", "there is none", status=404), 404, "unknown_order"),
     (HTTPException(418, "tea"), 418, "http_error")],
)  # fmt: skip
async def test_each_kind_of_failure_has_its_status(stand: Stand, error: Exception, status: int, code: str):
    stand.raises = error
    async with stand.client() as http:
        answer = await http.get("/v1/raises/it")
    assert is_problem(answer, status, code)
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.requirement("X4")
@pytest.mark.parametrize("in_handler", [True, False])
async def test_a_bug_gets_a_number_that_is_in_the_log_and_nothing_personal_is(
    stand: Stand, in_handler: bool, caplog: pytest.LogCaptureFixture
):
    stand.raises = ValueError(SECRET)
    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        async with stand.client() as http:
            answer = await (
                http.post("/v1/add", json={"tally_id": SECRET, "number": 13})
                if in_handler
                else http.get(f"/v1/raises/{SECRET}")
            )
    assert is_problem(answer, 500, "internal")
    (line,) = [entry for entry in logs if entry["event"] == "request failed"]
    assert line["incident"] == answer.json()["incident"]
    assert line["error"] == "ValueError"
    assert line["where"][0].startswith("ValueError in ")
    assert SECRET not in str(logs)


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body without a Content-Length."""
    for _ in range(size // 1024):
        yield b" " * 1024


async def test_a_body_above_the_limit_is_refused_announced_or_not(stand: Stand):
    async with stand.client(**{"content-type": "application/json"}) as http:
        announced = await http.post("/v1/add", content=b" " * (LARGEST_BODY + 1))
        streamed = await http.post("/v1/add", content=chunks(LARGEST_BODY + 1024))
    assert is_problem(announced, 413, "too_large")
    assert is_problem(streamed, 413, "too_large")


async def test_a_body_at_the_limit_is_taken(stand: Stand):
    body = b'{"tally_id": "t"}'
    async with stand.client(**{"content-type": "application/json"}) as http:
        answer = await http.post("/v1/add", content=body + b" " * (LARGEST_BODY - len(body)))
    assert answer.json() == {"count": 1}
