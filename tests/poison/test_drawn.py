"""The HTTP edges of a running system, fuzzed from their own description: never a 5xx, every refusal a problem document.

Seeded: a run asks the same as the one before. Data that fit the description and data that do not, for every operation.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from deploy.embedded.stack import Stack
from deploy.provision import SERVICES
from shared.runtime.http import ProblemDocument
from shared.values import Actor, ActorKind, Role
from tests.poison.scene import logs, personal, unwell

pytestmark = [pytest.mark.requirement("X3"), pytest.mark.timeout(240)]

EXAMPLES = 4
"""For each operation, of each kind."""
SCANNER = Actor(kind=ActorKind.OPERATOR, name="li.wei", role=Role.ADMINISTRATOR, device="scanner-1")
"""May ask for everything, scans too."""
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def session(stack: Stack) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {stack.token(SCANNER)}"
        yield session


@pytest.mark.parametrize("service", SERVICES)
def test_no_request_is_our_fault_and_every_refusal_says_why(
    stack: Stack, session: requests.Session, service: str
) -> None:
    schema = schemathesis.openapi.from_url(f"{stack.url(service)}/openapi.json")
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in GenerationMode:

            @SETTINGS
            @given(case=operation.as_strategy(generation_mode=mode))
            def fits(case: Any) -> None:
                nonlocal asked
                asked += 1
                response = case.call(session=session, timeout=20)
                said = f"{case.as_curl_command()}\n{response.status_code} {response.text[:500]}"
                assert response.status_code < 500 or case.path == "/health/ready", said
                if response.status_code >= 400 and case.method != "HEAD":
                    assert response.headers["content-type"] == ["application/problem+json"], said
                    problem = ProblemDocument.model_validate(response.json())
                    assert problem.status == response.status_code, said

            with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
                fits()
    assert asked > 80
    assert unwell(stack) == {}


@pytest.mark.requirement("X4")
def test_no_log_holds_anything_of_a_buyer_or_of_a_bug(stack: Stack) -> None:
    text = "\n".join(logs(stack).values())
    assert personal(text) == []
    assert "request failed" not in text
    assert "message parked" not in text
