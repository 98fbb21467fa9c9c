"""What the tests of after-sales begin with; one that needs another order says so itself."""

import pytest

from tests.aftersales.desk import Shop


@pytest.fixture
async def shop() -> Shop:
    """An order of 2 × TEA, paid and delivered."""
    shop = Shop()
    await shop.placed()
    await shop.delivered()
    return shop
