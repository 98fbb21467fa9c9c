"""Whatever is broken around the services: nothing is lost, doubled or out of order (X2); and the simulator would notice."""

import secrets

import pytest
from typer import BadParameter

from deploy.commands.simulate import numbers
from deploy.simulate.chaos import KINDS
from deploy.simulate.search import Run, play

pytestmark = pytest.mark.requirement("X2")

ALL = frozenset(KINDS)


@pytest.mark.parametrize("seed", ["a", "fresh"])
def test_every_rule_holds_however_things_break(seed: str):
    if seed == "fresh":
        seed = secrets.token_hex(4)
    result = play(Run(seed, tuple(range(100)), ALL))
    assert not result.broken, f"repeat it: {result.run}\n" + "\n".join(map(str, result.broken[:5]))
    assert result.events > 100 * 15, "orders went their whole way"
    assert sum(result.troubles.values()) > 100, "and things did break"


def test_a_run_repeats_exactly_from_its_seed():
    first, second = (play(Run("again", tuple(range(40)), ALL), traced=True) for _ in range(2))
    assert first.trace == second.trace


def test_a_failure_names_its_orders_as_the_command_takes_them():
    run = Run("again", (3, 7, 8, 9, 12), frozenset(), shake=2)
    assert str(run) == "handover simulate --seed again --only 3,7-9,12 --trouble none --shake 2"
    assert numbers("3,7-9,12") == run.orders


@pytest.mark.parametrize("only", ["9-7", "3,x", "1-2-3", ",", "-4"])
def test_orders_that_are_none_are_refused(only: str):
    with pytest.raises(BadParameter, match="numbers of orders"):
        numbers(only)
