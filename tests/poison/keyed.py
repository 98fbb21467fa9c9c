"""Commands under one Idempotency-Key: the first is done or refused by its own rules, the second is not done, whatever it is."""

import json
from collections.abc import Iterator
from typing import Any

from deploy.provision import SERVICES
from tests.builders import oid
from tests.poison.bodies import CANARY
from tests.poison.requests import AGENT, JSON, Ask
from tests.poison.scene import OPS

HOLD = {"hold": "customer_request", "reason": CANARY}
SKU = {"name": CANARY, "weight_grams": 1}
REFUND = {"kind": "refund_only", "order_id": "nobody", "amount": 1, "reason": CANARY}
OPT_OUT = {"buyer_id": "spent", "opted_out": True}
ORDER, NO_SUCH_MESSAGE = f"/v1/orders/{oid('resident')}", "/ops/parked/bm9ib2R5/skip"

PAIRS: tuple[tuple[str, str, str, dict[str, Any], str, dict[str, Any]], ...] = (
    ("orders", "POST", f"{ORDER}/holds", HOLD, f"{ORDER}/holds", HOLD | {"hold": "awaiting_audit"}),
    ("orders", "POST", f"{ORDER}/holds", HOLD, f"{ORDER}/cancel", {"reason": CANARY}),
    ("warehouse", "PUT", "/v1/skus/spent", SKU, "/v1/skus/spent", SKU | {"weight_grams": 2}),
    ("warehouse", "PUT", "/v1/skus/spent", SKU, "/v1/skus/other", SKU),
    ("aftersales", "POST", "/v1/cases", REFUND, "/v1/cases", REFUND | {"amount": 2}),
    ("notify", "POST", "/v1/opt-outs", OPT_OUT, "/v1/opt-outs", OPT_OUT | {"opted_out": False}),
    ("notify", "POST", "/v1/opt-outs", OPT_OUT, "/v1/opt-outs", OPT_OUT | {"buyer_id": "other"}),
    *((service, "POST", NO_SUCH_MESSAGE, {"reason": "why"}, NO_SUCH_MESSAGE, {"reason": CANARY}) for service in SERVICES),
)  # fmt: skip
"""Service, method, path and body of the first; path and body of the second."""


def under_one_key() -> Iterator[tuple[Ask, Ask]]:
    """Each first and its second, with the stated answer to that."""
    for number, (service, method, path, body, path_then, body_then) in enumerate(PAIRS):
        actor = OPS if path == NO_SUCH_MESSAGE else AGENT
        headers = {**JSON, "idempotency-key": f"spent-{number}"}

        def ask(path: str, body: dict[str, Any]) -> Ask:
            raw = json.dumps(body).encode()
            return Ask(service, method, path, "idempotency-key", raw, actor, 409, "id_reused", headers)  # noqa: B023

        yield ask(path, body), ask(path_then, body_then)
