"""What must be refused over HTTP is refused with its stated problem document; nothing changes, nobody waits (O1, X2, X4)."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import chain
from urllib.parse import quote

import httpx
import pytest

from deploy.embedded.stack import Stack
from deploy.provision import SERVICES
from shared.runtime.http import ProblemDocument
from tests.builders import oid, submitted
from tests.poison.bodies import carries, numbered
from tests.poison.commands import everything
from tests.poison.inboxes import INBOXES, ORDERS
from tests.poison.keyed import under_one_key
from tests.poison.people import NAMES, odd_order
from tests.poison.requests import AGENT, JSON, Ask, binary, firsts
from tests.poison.scene import Rows, leaked, settled, stored, unwell

pytestmark = [pytest.mark.requirement("O1"), pytest.mark.timeout(240)]

AT_ONCE = 4
"""More make httpx slow, which looks at every connection for every request."""
HANGING = 200
"""Requests at once that never come to the end of their bodies."""
EVERY = 25
"""After so many requests a good order is handed in."""


@dataclass(repr=False)  # asyncio.run makes one, which takes seconds for that many megabytes
class Aftermath:
    """What the requests did."""

    answers: list[tuple[Ask, httpx.Response]]
    tokens: set[str]
    """All that requests came with, good ones and bad ones."""
    good: list[httpx.Response]
    before: Rows
    after: Rows


@pytest.fixture(scope="module")
def aftermath(stack: Stack) -> Aftermath:
    return asyncio.run(_ask(stack))


async def _ask(stack: Stack) -> Aftermath:
    gate = asyncio.Semaphore(AT_ONCE)
    asks = list(everything(stack))
    tokens = {actor: f"Bearer {stack.token(actor)}" for actor in {a.actor for a in asks} | {ORDERS.sender}}

    async def answer(number: int, ask: Ask) -> tuple[Ask, httpx.Response]:
        async with gate:
            if number % EVERY == 0:
                good.append(await hand_in(f"good-{number}"))
            try:
                return ask, await request(replace(ask, body=numbered(ask.body, number)))
            except httpx.TransportError as error:
                return ask, httpx.Response(599, text=repr(error))

    async def request(ask: Ask) -> httpx.Response:
        headers = {"authorization": tokens[ask.actor], **(JSON if ask.headers is None else ask.headers)}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        url = httpx.URL(stack.url(ask.service)).copy_with(raw_path=quote(ask.path, safe="/%?=&").encode())
        return await tried(lambda: http.request(ask.method, url, content=ask.body, headers=raw))

    async def hand_in(number: str) -> httpx.Response:
        headers = binary(ORDERS, number) | {"authorization": tokens[ORDERS.sender]}
        body = submitted(number).model_dump_json().encode()
        return await tried(
            lambda: http.post(f"{stack.url('orders')}/v1/events", content=body, headers=headers)
        )

    good: list[httpx.Response] = []
    async with httpx.AsyncClient(timeout=60) as http:
        await hand_in("resident")
        for first in (*chain(*map(firsts, INBOXES)), *(first for first, _ in under_one_key())):
            await request(first)
        await settled(stack)
        before = await stored(stack, books=True)
        answers = await asyncio.gather(*(answer(n, ask) for n, ask in enumerate(asks)))
    await settled(stack)
    used = {*tokens.values(), *((ask.headers or {}).get("authorization", "") for ask in asks)}
    return Aftermath(answers, used, good, before, await stored(stack, books=True))


async def tried(asking: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The answer; asked for twice where the connection had lain idle for so long that the service was just closing it."""
    try:
        return await asking()
    except (httpx.ReadError, httpx.RemoteProtocolError):
        return await asking()


@pytest.mark.parametrize("service", SERVICES)
def test_each_bad_request_is_refused_by_the_stated_rule(aftermath: Aftermath, service: str) -> None:
    wrong, number = [], 0
    for ask, response in aftermath.answers:
        if ask.service == service:
            number += 1
            said = _problem(response)
            stated = (ask.status, ask.code, ask.field)
            if said != stated:
                wrong.append(f"{ask}: {said} instead of {stated}")
    assert wrong == [], "\n".join(wrong)
    assert number > 150


def _problem(response: httpx.Response) -> tuple[int, str, str | None]:
    if response.headers.get("content-type") != "application/problem+json":
        return response.status_code, response.text[:100], None
    if not response.content:  # to HEAD and the like
        return response.status_code, "", None
    said = ProblemDocument.model_validate(json.loads(response.content))
    assert said.status == response.status_code
    assert len(said.detail) < 1500
    return said.status, said.code, said.field


def test_good_orders_between_them_are_taken(aftermath: Aftermath) -> None:
    assert len(aftermath.good) > 60
    assert {r.status_code for r in aftermath.good} == {200}


def test_nothing_that_was_there_changed_and_nothing_of_the_poison_stayed(aftermath: Aftermath) -> None:
    assert aftermath.before - aftermath.after == Counter()
    good = [oid(f"good-{n}") for n in range(0, len(aftermath.answers), EVERY)]
    # what was answered is remembered, refusals too; nothing was said of them, set aside or sent
    new = [r for r in aftermath.after - aftermath.before if "good-" not in r[2] and r[1] != "inbox"]
    assert [row for row in new if not any(order in row[2] for order in good)] == []


@pytest.mark.requirement("X6")
def test_all_services_live_and_are_ready(stack: Stack, aftermath: Aftermath) -> None:
    assert unwell(stack) == {}


@pytest.mark.requirement("X4")
def test_no_log_holds_anything_of_a_buyer_a_body_or_a_token(stack: Stack, aftermath: Aftermath) -> None:
    bodies = [ask.body for ask, _ in aftermath.answers if ask.body]
    assert sum(map(carries, bodies)) > 0.8 * len(bodies)
    assert len(aftermath.tokens) > 50
    assert leaked(stack, aftermath.tokens) == {}


@pytest.mark.requirement("X4")
def test_no_refusal_was_worth_a_line_in_the_log(stack: Stack, aftermath: Aftermath) -> None:
    """Anybody could fill the disk with them."""
    assert {s: len(stack.log_of(s).read_text().splitlines()) > 20 for s in SERVICES} == dict.fromkeys(
        SERVICES, False
    )


@pytest.mark.requirement("X2")
async def test_good_orders_are_answered_while_bad_requests_hang(stack: Stack) -> None:
    url, token = httpx.URL(stack.url("orders")), f"Bearer {stack.token(ORDERS.sender)}"
    hangs = f"POST /v1/events HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: {token}\r\nContent-Length: 1000\r\n\r\n{{"
    hanging = [await asyncio.open_connection(url.host, url.port) for _ in range(HANGING)]
    for _, writer in hanging:
        writer.write(hangs.encode())
        await writer.drain()
    async with httpx.AsyncClient() as http:
        headers = binary(ORDERS, "between") | {"authorization": token}
        body = submitted("between").model_dump_json().encode()
        taken = await http.post(url.join("/v1/events"), content=body, headers=headers)
    assert taken.status_code == 200
    for reader, writer in hanging:
        writer.write_eof()
        assert await reader.read() == b"", "it was not answered before: it still hung"
        writer.close()
        await writer.wait_closed()


@pytest.mark.requirement("O1")
def test_odd_but_legal_people_come_out_as_they_went_in(stack: Stack) -> None:
    shop, agent = ({"authorization": f"Bearer {stack.token(a)}"} for a in (ORDERS.sender, AGENT))
    with httpx.Client(base_url=stack.url("orders")) as http:
        for number, name in enumerate(NAMES):
            event = odd_order(f"odd-{number}", name)
            headers = binary(ORDERS, f"odd-{number}") | shop
            taken = http.post("/v1/events", content=event.model_dump_json().encode(), headers=headers)
            assert taken.status_code == 200, (name, taken.text)
            found = http.get(f"/v1/orders/{oid(event.external_number)}", headers=agent).json()
            sent = event.model_dump(mode="json")
            assert [found[n] for n in ("personal", "remark", "lines")] == [
                sent[n] for n in ("personal", "remark", "lines")
            ]
