"""The stories of a day: for each order what its buyer, payer and courier will do, drawn from a seed."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.events.identity import order_id as id_of
from shared.events.inbox import OrderSubmitted
from shared.values import (
    Address,
    Contact,
    DeliveryMethod,
    Locale,
    OrderLine,
    PaymentMethod,
    Personal,
)


class Story(StrEnum):
    """What happens to an order."""

    PLAIN = "bought, paid, delivered"
    COD = "paid on delivery"
    TWO_PAYMENTS = "paid in two parts"
    AGENT_CORRECTS = "address corrected by an agent"
    OVERPAID_ACCEPTED = "overpaid, accepted by a supervisor"
    OVERPAID_HELD = "overpaid, left for tomorrow"
    UNPAID = "not paid today"
    CANCELED_EARLY = "canceled before release"
    CANCELED_PICKING = "canceled while being picked"
    CANCELED_LATE = "canceled after shipping"
    RETURNED = "delivered and sent back"
    COD_REFUSED = "refused at the door"
    BOUGHT_TWICE = "bought twice by mistake"
    UNREACHABLE = "no courier reaches the address at first"
    MISCOUNTED = "failed the check once"
    TWO_PARCELS = "sent in two parcels"


class End(StrEnum):
    """Where an order stands when the day is over."""

    COMPLETED = "completed"
    REFUNDED = "completed, goods back and refunded"
    CANCELED = "canceled"
    HELD = "held: payment anomaly"
    UNPAID = "awaiting payment"


_WEIGHTS = {
    Story.PLAIN: 46, Story.COD: 8, Story.TWO_PAYMENTS: 4, Story.AGENT_CORRECTS: 4, Story.OVERPAID_ACCEPTED: 2,
    Story.OVERPAID_HELD: 2, Story.UNPAID: 4, Story.CANCELED_EARLY: 4, Story.CANCELED_PICKING: 4,
    Story.CANCELED_LATE: 3, Story.RETURNED: 6, Story.COD_REFUSED: 2, Story.BOUGHT_TWICE: 2, Story.UNREACHABLE: 3,
    Story.MISCOUNTED: 3, Story.TWO_PARCELS: 3,
}  # fmt: skip

END = {
    Story.OVERPAID_HELD: End.HELD, Story.UNPAID: End.UNPAID, Story.CANCELED_EARLY: End.CANCELED,
    Story.CANCELED_PICKING: End.CANCELED, Story.CANCELED_LATE: End.CANCELED, Story.COD_REFUSED: End.CANCELED,
    Story.RETURNED: End.REFUNDED,
}  # fmt: skip
"""How each story ends; all others end completed."""

CATALOG = {
    "TEA-LJ-250": ("龙井茶 250g", 12800), "TEA-PU-357": ("普洱茶饼 357g", 23800), "CUP-PORC": ("瓷杯", 4900),
    "POT-CLAY": ("紫砂壶 Clay teapot", 35900), "SCARF-SILK": ("真丝围巾 Silk scarf", 19900), "LAMP-DESK": ("Desk lamp", 15900),
    "BOOK-HIST": ("中国通史", 8800), "FAN-BAMBOO": ("竹扇", 3900), "CHAIR-OAK": ("Oak chair", 68000), "MAT-YOGA": ("瑜伽垫", 9900),
    "KETTLE-S": ("Steel kettle", 14900), "SOAP-ROSE": ("玫瑰皂", 2600),
}  # fmt: skip
"""SKU → name and price in fen."""

_PEOPLE = (
    ("王芳", "浙江省", "杭州市", "文三路 {} 号", "310012", Locale.ZH_CN), ("李伟", "上海市", "上海市", "南京西路 {} 号", "200040", Locale.ZH_CN),
    ("张敏", "广东省", "深圳市", "深南大道 {} 号", "518000", Locale.ZH_CN), ("刘洋", "四川省", "成都市", "人民南路 {} 号", "610041", Locale.ZH_CN),
    ("陈静", "北京市", "北京市", "中关村大街 {} 号", "100080", Locale.ZH_CN), ("Emma Schmidt", "上海市", "上海市", "Huaihai Road {}", "200031", Locale.EN),
    ("James O'Neill", "广东省", "广州市", "Tianhe Road {}", "510620", Locale.EN), ("赵强", "陕西省", "西安市", "长安北路 {} 号", "710061", Locale.ZH_CN),
)  # fmt: skip

SOURCE = "demo-shop"


@dataclass(frozen=True)
class Script:
    """One order of the day and its story."""

    number: str
    story: Story
    order: OrderSubmitted
    corrected: Personal | None = None

    @property
    def order_id(self) -> str:
        """Our id of the order."""
        return id_of(SOURCE, self.number)

    @property
    def end(self) -> End:
        """How it ends."""
        return END.get(self.story, End.COMPLETED)


def write(run: str, orders: int, seed: int, now: datetime) -> list[Script]:
    """The scripts of a day; the same seed gives the same day, `run` keeps two days on one system apart."""
    draw = random.Random(seed)
    stories = list(Story)[:orders] + draw.choices(
        list(_WEIGHTS), list(_WEIGHTS.values()), k=max(orders - len(Story), 0)
    )
    draw.shuffle(stories)
    return [_script(f"{run}-{i:05d}", story, draw, now) for i, story in enumerate(stories, 1)]


def _script(number: str, story: Story, draw: random.Random, now: datetime) -> Script:
    skus = draw.sample(list(CATALOG), draw.choice([1, 1, 1, 2, 3]))
    lines = tuple(
        OrderLine(
            line=i, sku=sku, name=CATALOG[sku][0], quantity=draw.choice([1, 1, 2]), unit_price=CATALOG[sku][1]
        )
        for i, sku in enumerate(skus, 1)
    )
    if story is Story.RETURNED:  # worth little enough to be authorized by rule
        lines = (OrderLine(line=1, sku="SOAP-ROSE", name="玫瑰皂", quantity=2, unit_price=2600),)
    if story is Story.TWO_PARCELS:
        lines = (OrderLine(line=1, sku="FAN-BAMBOO", name="竹扇", quantity=2, unit_price=3900),)
    name, region, city, street, postcode, locale = draw.choice(_PEOPLE)
    home = Personal(
        contact=Contact(
            name=name,
            phone=f"+8613{draw.randrange(10**9):09d}",
            email=f"buyer{draw.randrange(10**6)}@example.org",
        ),
        address=Address(
            country="CN",
            region=region,
            city=city,
            street=street.format(draw.randrange(1, 400)),
            postcode=postcode,
        ),
    )
    far = home.model_copy(
        update={"address": home.address.model_copy(update={"country": "AQ", "postcode": ""})}
    )
    cod = story in (Story.COD, Story.COD_REFUSED)
    fee = 1000 if cod else 0
    total = sum(line.quantity * line.unit_price for line in lines) + fee
    order = OrderSubmitted(
        source=SOURCE,
        external_number=number,
        placed_at=now,
        buyer_id=f"buyer-{number}",
        lines=lines,
        currency="CNY",
        total=total,
        cod_fee=fee,
        payment_method=PaymentMethod.COD if cod else PaymentMethod.PREPAID,
        delivery_method=DeliveryMethod.COURIER,
        ship_by=now + timedelta(days=2),
        deliver_by=now + timedelta(days=5),
        locale=locale,
        agent=draw.choice([None, "agent.mei", "agent.sun"]),
        personal=far if story is Story.UNREACHABLE else home,
    )
    corrected = home if story is Story.UNREACHABLE else None
    if story is Story.AGENT_CORRECTS:
        corrected = home.model_copy(
            update={"address": home.address.model_copy(update={"district": "三单元 502"})}
        )
    return Script(number, story, order, corrected)
