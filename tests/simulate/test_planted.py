"""The simulator can fail: faults put into copies of the real steps, one at a time, are found within so many orders (X2)."""

from dataclasses import replace
from functools import cache

import pytest

from deploy.simulate import told
from deploy.simulate.chaos import KINDS
from deploy.simulate.invariants import numbered, unfailing
from deploy.simulate.search import RAISED, Result, play, shortest, towns
from services.notify import handlers as letters
from tests.simulate.plant import Plant
from tests.simulate.wrong_rules import WRONG_RULES
from tests.simulate.wrong_steps import WRONG_STEPS

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.planted, pytest.mark.timeout(600)]

ALL = frozenset(KINDS)
PLANTS = WRONG_STEPS | WRONG_RULES
ROTTEN = {RAISED, unfailing.__doc__}
"""What a plant breaks that does not fit the code any more: in a town where anything raises, nothing else is proof."""

play_well = cache(play)
"""Without any fault: for all plants in the same towns."""


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str):
    found = _found(PLANTS[name])
    assert not play_well(found.run).broken, "nothing is found where nothing was planted"


def _found(plant: Plant) -> Result:
    """The first town that breaks a rule which the plant is to break; villages first, for most shows there already."""
    by = {rule.__doc__ for rule in plant.breaks}
    others: dict[str, str] = {}
    for run in sorted(towns("planted", plant.within, ALL), key=lambda run: len(run.orders)):
        with plant.planted():
            result = play(run)
        rules = {broken.rule: str(broken) for broken in reversed(result.broken)}
        if rules.keys() & by and not rules.keys() & ROTTEN:
            return result
        others = rules | others
    pytest.fail("\n".join([f"{plant.wrong}: not found within {plant.within} orders; but:", *others.values()]))


def test_a_plant_that_does_not_fit_the_code_any_more_proves_nothing():
    rotten = replace(PLANTS["letter-forgotten"], patches=((letters, "plan_for", lambda: None),), within=40)
    with pytest.raises(pytest.fail.Exception, match="takes 0 positional arguments but 1 was given"):
        _found(rotten)


def test_a_fault_is_not_found_by_rules_that_it_does_not_break():
    with pytest.raises(pytest.fail.Exception, match=f"{told.letters.__doc__}: "):
        _found(replace(PLANTS["letter-forgotten"], breaks=(numbered,), within=40))


def test_a_failure_is_shown_by_few_orders():
    plant = PLANTS["check-by-picker"]
    failed = _found(plant)
    with plant.planted():
        least = shortest(failed)
        assert len(least.run.orders) <= 3
        again = play(least.run, traced=True)
    assert {b.rule for b in again.broken} & {b.rule for b in failed.broken}
    assert 0 < len(again.story()) < len(again.trace), "only what is about the orders that it names"
