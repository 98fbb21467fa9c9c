"""The simulator can fail: faults put into copies of the real steps, one at a time, are found within so many orders (X2)."""

import pytest

from deploy.simulate.chaos import KINDS
from deploy.simulate.search import play, shortest, towns
from tests.simulate.wrong_rules import WRONG_RULES
from tests.simulate.wrong_steps import WRONG_STEPS

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.planted, pytest.mark.timeout(600)]

ALL = frozenset(KINDS)
PLANTS = WRONG_STEPS | WRONG_RULES


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str):
    plant = PLANTS[name]
    with plant.planted():
        for run in towns(f"plant-{name}", plant.within, ALL):
            if play(run).broken:
                return
    pytest.fail(f"{plant.wrong}: not found within {plant.within} orders")


def test_a_failure_is_shown_by_few_orders():
    plant = PLANTS["check-by-picker"]
    with plant.planted():
        failed = next(r for run in towns("short", 600, ALL) if (r := play(run)).broken)
        least = shortest(failed)
        assert len(least.run.orders) <= 3
        again = play(least.run, traced=True)
        assert {b.rule for b in again.broken} & {b.rule for b in failed.broken}
        assert 0 < len(again.story()) < len(again.trace), "only what is about the orders that it names"
