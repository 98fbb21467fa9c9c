"""Whatever is broken around the services: nothing is lost, doubled or out of order (X2); and the simulator would notice."""

import secrets

import pytest

from deploy.simulate.chaos import KINDS
from deploy.simulate.plants import PLANTS
from deploy.simulate.search import Run, play, shortest, towns

pytestmark = pytest.mark.requirement("X2")

ALL = frozenset(KINDS)


@pytest.mark.parametrize("seed", ["a", "b", "c", "fresh"])
def test_every_rule_holds_however_things_break(seed: str):
    if seed == "fresh":
        seed = secrets.token_hex(4)
    result = play(Run(seed, tuple(range(150)), ALL))
    assert not result.broken, f"repeat it: {result.run}\n" + "\n".join(map(str, result.broken[:5]))
    assert result.events > 150 * 15, "orders went their whole way"
    assert sum(result.troubles.values()) > 100, "and things did break"


def test_a_run_repeats_exactly_from_its_seed():
    first, second = (play(Run("again", tuple(range(40)), ALL), traced=True) for _ in range(2))
    assert first.trace == second.trace


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str):
    plant = PLANTS[name]
    with plant.planted():
        for run in towns(f"plant-{name}", plant.within, ALL):
            if play(run).broken:
                return
    pytest.fail(f"{plant.wrong}: not found within {plant.within} orders")


@pytest.mark.timeout(300)
def test_a_failure_is_shown_by_few_orders():
    plant = PLANTS["check-by-picker"]
    with plant.planted():
        failed = next(r for run in towns("short", 600, ALL) if (r := play(run)).broken)
        least = shortest(failed)
        assert len(least.run.orders) <= 3
        assert {b.rule for b in play(least.run).broken} & {b.rule for b in failed.broken}
