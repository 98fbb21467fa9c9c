"""A lifecycle answers each cell once: it moves, it is overtaken, or it is not allowed."""

from enum import StrEnum

import pytest

from shared.lifecycle import NotAllowed, lifecycle


class Door(StrEnum):
    """A thing of two states."""

    OPEN = "open"
    SHUT = "shut"


class Pushed:
    """It may shut a door."""


class Pulled:
    """It may open a door."""


def test_what_happens_moves_a_thing_or_comes_too_late_or_is_refused() -> None:
    door = lifecycle("door", Door, (Door.OPEN, Pushed, Door.SHUT), overtaken=[(Door.SHUT, Pushed)])
    assert door.next(Door.OPEN, Pushed) is Door.SHUT
    assert door.next(Door.SHUT, Pushed) is None
    assert (door.allows(Door.OPEN, Pushed), door.allows(Door.SHUT, Pushed)) == (True, False)
    with pytest.raises(NotAllowed, match=r"^Pulled is not possible while the door is shut$"):
        door.next(Door.SHUT, Pulled)


def test_one_row_may_be_about_several_states() -> None:
    door = lifecycle("door", Door, (Door, Pushed, Door.SHUT), overtaken=[(Door, Pulled)])
    assert [door.next(state, Pushed) for state in Door] == [Door.SHUT, Door.SHUT]
    assert [door.next(state, Pulled) for state in Door] == [None, None]


def test_a_cell_of_two_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^door: two answers for Pushed while open$"):
        lifecycle("door", Door, (Door.OPEN, Pushed, Door.SHUT), (Door, Pushed, Door.OPEN))


def test_a_cell_that_moves_and_is_overtaken_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^door: cells both move and are overtaken: "):
        lifecycle("door", Door, (Door.OPEN, Pushed, Door.SHUT), overtaken=[(Door, Pushed)])
