"""One order as those around it see it, and how they reach the system. What one does next follows from what the system said,
from a look at its screens, and from dice of its own for each of these and for all that is done later because of it. An order
can be left out of a run without changing what the others do, and what somebody does does not hang on what came between.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from deploy.simulate.edges import SHOP, Edges
from shared.events.base import Event
from shared.events.identity import order_id as id_of
from shared.events.inbox import CancelAsked, OrderSubmitted
from shared.events.warehouse import Condition
from shared.runtime.messages import Command
from shared.values import Actor, Address, Contact, DeliveryMethod, Money, OrderLine, PaymentMethod, Personal

SOURCE = "shop"
SKUS = tuple(f"SKU-{n}" for n in range(12))
HOURS, DAYS, MINUTES = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)

NAME, PHONE, STREET, MAIL = "王芳", "+8613800000000", "文三路 1 号", "@example.org"
PERSONAL = (NAME, PHONE, STREET, MAIL)
"""What no event says but in its personal part."""

LOOKS = 1000
"""How often somebody looks after an order in the warehouse before giving it up; far more than any needs."""


def number_of(order: int) -> str:
    """What the shop calls an order of the town."""
    return f"O-{order}"


def order_of(order: int) -> str:
    """Its id."""
    return id_of(SOURCE, number_of(order))


class Story:
    """What those around one order share."""

    def __init__(self, edges: Edges, seed: str, number: int) -> None:
        self.edges = edges
        self.seed = f"{seed}/{number}"
        self.dice = Random(self.seed)  # noqa: S311
        self.number = number_of(number)
        self.order_id = order_of(number)
        self.looks = 0
        self.scans = 0
        self.submission = self._submission(
            1 if number % 9 else 20
        )  # some need more authority than an agent's
        self.captured: dict[str, Money] = {}
        """What was taken from the buyer, by payment."""
        self.has: Counter[str] = Counter()
        """What reached the buyer and is with them, by SKU."""
        self.turned: Counter[str] = Counter()
        """What a courier brings back, by SKU."""
        self.parcels_back: dict[str, Counter[str]] = {}
        """The same by parcel, also once it is here."""
        self.awaited: Counter[str] = Counter()
        """What of it comes under cases of couriers."""
        self.stands = False
        """The buyer was told that the order stands, and that they may ask for a return of what they have."""
        self.after_all: set[str] = set()
        """Parcels that a courier delivers although it says that it brings them back."""
        self.sent_back: dict[str, Counter[tuple[str, Condition]]] = {}
        """What the buyer sent back under a case, and in what condition the dock found it."""

    def after(self, delay: timedelta, act: Callable[[], None]) -> None:
        """Do something later."""
        own = self.dice.getrandbits(64)

        def then() -> None:
            self.dice.seed(own)
            act()

        self.edges.later(delay, then)

    def send(self, event: Event, actor: Actor, name: str) -> None:
        """Hand in an event under a name of its own."""
        self.edges.send(event, actor, f"{self.number}-{name}")

    def scan(self, scan: type[Event], actor: Actor, **parts: Any) -> None:
        """Scan, now if `parts` does not say when."""
        self.scans += 1
        event = scan.model_validate({"scanned_at": self.edges.now(), **parts})
        self.send(event, actor, f"scan-{self.scans}")

    def ask(self, service: str, command: Command, actor: Actor) -> None:
        """Give a service a command."""
        self.scans += 1
        self.edges.ask(service, command, actor, f"{self.number}-ask-{self.scans}")

    def tell(self, event: Event, actor: Actor) -> None:
        """Hand in an event that may be one of several."""
        self.scans += 1
        self.send(event, actor, f"{type(event).__name__}-{self.scans}")

    def cancel(self, name: str) -> None:
        """The buyer wants out."""
        cancel = CancelAsked(source=SOURCE, external_number=self.number, reason="changed my mind")
        self.send(cancel, SHOP, name)
        if self.dice.random() < 0.1:  # by mistake another one under the same
            other = cancel.model_copy(update={"reason": "the other one"})
            delay = self.dice.uniform(0, 2) * DAYS
            self.after(delay, lambda: self.edges.reuse(other, SHOP, f"{self.number}-{name}"))

    def _submission(self, dearness: int) -> OrderSubmitted:
        dice = self.dice
        skus = dice.sample(SKUS[: 3 if dice.random() < 0.5 else len(SKUS)], dice.randint(1, 3))
        if dice.random() < 0.15:  # one article at two prices
            skus.append(skus[0])
        lines = tuple(
            OrderLine(
                line=n,
                sku=sku,
                quantity=dice.randint(1, 3),
                unit_price=dearness * (0 if dice.random() < 0.03 else dice.randint(90, 9000)),
            )
            for n, sku in enumerate(skus, 1)
        )
        goods = sum(line.quantity * line.unit_price for line in lines)
        cod = dice.random() < 0.15
        discount = dice.choice((0, 0, 0, goods // 7, goods // 3, goods if dice.random() < 0.1 else 0))
        fee, cod_fee = dice.choice((0, 0, 600, 1250)), dice.choice((0, 510)) if cod else 0
        far = dice.random() < 0.03
        return OrderSubmitted(
            source=SOURCE,
            external_number=self.number,
            placed_at=self.edges.now() + dice.uniform(0, 1) * DAYS,
            buyer_id=f"B-{dice.randint(1, 40)}",
            lines=lines,
            currency="CNY",
            total=goods + fee + cod_fee - discount,
            delivery_fee=fee,
            cod_fee=cod_fee,
            discount=discount,
            delivery_method=DeliveryMethod.SELF_PICKUP if dice.random() < 0.1 else DeliveryMethod.COURIER,
            payment_method=PaymentMethod.COD if cod else PaymentMethod.PREPAID,
            address_confirmed=dice.random() < 0.3,
            personal=self.personal_at("999078" if far else "310000"),
        )

    def personal_at(self, postcode: str) -> Personal:
        """The order's buyer at an address, reached in another way at each."""
        return Personal(
            contact=Contact(name=NAME, phone=PHONE, email=f"{self.number}-{postcode}{MAIL}"),
            address=Address(country="CN", region="浙江省", city="杭州市", street=STREET, postcode=postcode),
        )
