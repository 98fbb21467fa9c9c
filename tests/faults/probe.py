"""How long until the system serves again: all replicas ready, and orders placed after the fault released."""

import asyncio
import time

from deploy.play.day import PAYMENTS, SHOP
from deploy.play.script import CATALOG, SOURCE, write
from shared.events import inbox
from shared.values import Money, PaymentMethod
from tests.faults.cluster import Cluster
from tests.faults.edges import Step, kind, now
from tests.faults.load import Load

PROBES = 2
"""Orders at once, so that they meet several partitions and both replicas."""


class Prober:
    """Places probe orders."""

    def __init__(self, cluster: Cluster, load: Load) -> None:
        self.cluster = cluster
        self.load = load
        self._count = 0
        self._run = f"probe-{now():%H%M%S}"

    async def recovered(self, patience: float) -> float:
        """Seconds from now until all is well. Raises TimeoutError."""
        began = time.monotonic()
        await asyncio.gather(
            self.cluster.until_ready(patience), *(self._released(patience) for _ in range(PROBES))
        )
        return time.monotonic() - began

    async def _released(self, patience: float) -> None:
        """One order over Kafka, paid and confirmed: until the event that it was released can be read."""
        self._count += 1
        script = write(f"{self._run}-{self._count}", 1, self._count, now())[0]
        sku = next(iter(CATALOG))
        line = script.order.lines[0].model_copy(update={"sku": sku, "quantity": 1, "unit_price": 12800})
        order = script.order.model_copy(
            update={"lines": (line,), "total": 12800, "cod_fee": 0, "payment_method": PaymentMethod.PREPAID,
                    "address_confirmed": True}
        )  # fmt: skip
        paid = inbox.PaymentCaptured(
            source=SOURCE, external_number=script.number, payment_id=f"{script.number}-0",
            amount=Money(amount=12800, currency="CNY"), captured_at=now(),
        )  # fmt: skip
        released = kind("order_released")
        steps = [
            Step(order, SHOP, f"{script.number}-order", released),
            Step(paid, PAYMENTS, f"{script.number}-pay", released),
        ]
        async with asyncio.timeout(patience):
            await self.load.hand_in(script, steps, over_http=False)
        self.load.forget(script)
