"""The quick copy is what `dataclasses.replace` gives, and as strict about names."""

import dataclasses
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from shared.replacing import replace


@dataclass(frozen=True)
class Row:
    key: str
    count: int = 0
    parts: tuple[str, ...] = ()


def test_a_copy_has_the_new_parts_and_all_others_of_the_row() -> None:
    row = Row("a", 1, ("x",))
    copy = replace(row, count=2)
    assert copy == dataclasses.replace(row, count=2) == Row("a", 2, ("x",))
    assert row == Row("a", 1, ("x",))
    assert hash(copy) == hash(Row("a", 2, ("x",)))


def test_a_copy_is_frozen_like_its_row() -> None:
    copy: Any = replace(Row("a"), count=2)
    with pytest.raises(FrozenInstanceError):
        copy.count = 3


def test_a_row_with_slots_is_copied_too() -> None:
    @dataclass(frozen=True, slots=True)
    class Small:
        key: str
        count: int = 0

    assert replace(Small("a"), count=2) == Small("a", 2)
    with pytest.raises(TypeError, match="coun"):
        replace(Small("a"), coun=2)  # type: ignore[call-arg]


def test_a_part_that_the_row_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="Row has no coun"):
        replace(Row("a"), coun=2)  # type: ignore[call-arg]
