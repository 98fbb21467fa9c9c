"""Whatever is broken around the services: nothing is lost, doubled or out of order (X2); and the simulator would notice."""

from unittest.mock import patch

import pytest
from typer import BadParameter
from typer.testing import CliRunner

from deploy.cli import app
from deploy.commands.simulate import numbers
from deploy.simulate.chaos import KINDS
from deploy.simulate.floor import Floor
from deploy.simulate.relay import Relay
from deploy.simulate.search import RAISED, VILLAGES, Run, explained, play

pytestmark = pytest.mark.requirement("X2")

ALL = frozenset(KINDS)
FIXED = {"a": 100, "b": 150} | {f"{name}-{n}": n for name in ("village", "croft") for n in VILLAGES}
"""Seeds and how many orders: in a village of a few, goods never come in, and nothing happens for days."""


@pytest.mark.timeout(600)  # for one that fails the fewest orders are looked for
@pytest.mark.parametrize(("seed", "orders"), FIXED.items())
def test_every_rule_holds_however_things_break(seed: str, orders: int):
    result = play(Run(seed, tuple(range(orders)), ALL))
    assert not result.broken, f"all of it: {result.run}\n{explained(result)}"
    assert result.events > orders * 10, "orders went their whole way"
    assert sum(result.troubles.values()) > orders, "and things did break"


def test_a_run_repeats_exactly_from_its_seed():
    first, second = (play(Run("again", tuple(range(40)), ALL), traced=True) for _ in range(2))
    assert first.trace == second.trace


def _stumble(self: Relay, batch: object) -> object:
    raise ZeroDivisionError("of a turn")


def _drop_it(self: Floor, data: object) -> None:
    raise ZeroDivisionError("of the people")


@pytest.mark.parametrize(
    ("where", "name", "instead"), [(Relay, "send", _stumble), (Floor, "_on_fulfillment_allocated", _drop_it)]
)
def test_what_raises_is_a_failure_like_any_other(where: type, name: str, instead: object):
    with patch.object(where, name, instead):
        failed = play(Run("raises", tuple(range(20)), ALL))
        assert [b.rule for b in failed.broken] == [RAISED]
        told = explained(failed)
    assert f"in {instead.__name__}" in told, "where it was raised"  # type: ignore[attr-defined]
    assert told.endswith("--trouble none"), "and what repeats it"
    assert "raises --only" in told
    assert not play(failed.run).broken


def test_the_command_says_of_a_failure_what_repeats_it():
    with patch.object(Relay, "send", _stumble):
        said = CliRunner().invoke(app, ["simulate", "--seed", "raises", "--orders", "5"])
    assert said.exit_code == 1
    assert "all of it: handover simulate --seed raises-0 --only 0-4 --trouble" in said.output
    assert f"{RAISED}: ZeroDivisionError" in said.output
    assert "Repeat it: handover simulate --seed raises-0 --only " in said.output


def test_a_failure_names_its_orders_as_the_command_takes_them():
    run = Run("again", (3, 7, 8, 9, 12), frozenset(), shake=2)
    assert str(run) == "handover simulate --seed again --only 3,7-9,12 --trouble none --shake 2"
    assert numbers("3,7-9,12") == run.orders


@pytest.mark.parametrize("only", ["9-7", "3,x", "1-2-3", ",", "-4"])
def test_orders_that_are_none_are_refused(only: str):
    with pytest.raises(BadParameter, match="numbers of orders"):
        numbers(only)
