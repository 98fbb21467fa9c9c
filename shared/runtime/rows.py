"""Rows: how a frozen dataclass lies in its table.

A field with a column of its own name is stored in that column; all other fields go into the JSONB column `doc`. Every shelf
table has one text primary key and a `version`, which guards against two writers (also where no row exists yet to lock).
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter
from sqlalchemy import Table
from typing_extensions import TypedDict

R = TypeVar("R")

_BARE = (str, int, bytes, bool, datetime)


class RowMap(Generic[R]):
    """The mapping of one dataclass to one table.

    `groups` names further columns to find rows by: column → (order column, most rows a look).
    Raises TypeError when table and dataclass do not fit.
    """

    def __init__(
        self, row: type[R], table: Table, *, groups: Mapping[str, tuple[str, int]] | None = None
    ) -> None:
        self.table = table
        self.name = table.name
        self.groups = dict(groups or {})
        self.adapter = TypeAdapter(row)
        names = [f.name for f in fields(row)]  # type: ignore[arg-type]
        self.columns = [c.name for c in table.columns if c.name in names]
        self.in_doc = dict.fromkeys(n for n in names if n not in self.columns)
        self.has_doc = "doc" in table.columns
        self.key_column = next(iter(table.primary_key.columns)).name
        plumbing = {"doc", "version", "position"}
        if extra := {c.name for c in table.columns} - set(self.columns) - plumbing:
            raise TypeError(f"{self.name}: columns {sorted(extra)} are not fields of {row.__name__}")
        if self.in_doc and not self.has_doc:
            raise TypeError(f"{self.name}: no column for {[*self.in_doc]} of {row.__name__}")
        # a type of the document alone: leaving the columns out of a whole row takes six times as long
        hints = get_type_hints(row, include_extras=True)
        doc = TypedDict("doc", {name: hints[name] for name in self.in_doc})  # type: ignore[misc]
        self._doc = TypeAdapter(doc).serializer
        self._in_doc = _getter([*self.in_doc])
        self.key: Callable[[R], str] = attrgetter(self.key_column)
        """The primary key of a row."""
        self._values: Callable[[R], tuple[Any, ...]] = _getter(self.columns)
        self._make = None if self.has_doc else _maker(row)

    def load(self, record: Mapping[str, Any]) -> R:
        """The row that a database record holds."""
        if self._make is not None:
            return self._make(record)
        values = {c: record[c] for c in self.columns}
        if self.has_doc and record["doc"]:
            values |= record["doc"]
        return self.adapter.validate_python(values)

    def dump(self, row: R) -> tuple[Any, ...]:
        """Values in the order of `stored_columns`."""
        values = self._values(row)
        if not self.has_doc:
            return values
        return *values, self._doc.to_json(dict(zip(self.in_doc, self._in_doc(row), strict=True))).decode()

    @property
    def stored_columns(self) -> list[str]:
        """The columns that `dump` fills, in its order."""
        return [*self.columns, "doc"] if self.has_doc else self.columns


def _maker(row: Callable[..., R]) -> Callable[[Mapping[str, Any]], R] | None:
    """Makes a row of a record without validation, in a third of the time: for rows whose columns the database gives as the
    row holds them, with at most an enum as the last. None for all others."""
    names = [f.name for f in fields(row)]  # type: ignore[arg-type]
    types = [get_type_hints(row)[name] for name in names]
    values = itemgetter(*names)
    if len(names) > 1 and all(t in _BARE for t in types):
        return lambda record: row(*values(record))
    if len(names) > 1 and all(t in _BARE for t in types[:-1]) and issubclass(types[-1], Enum):
        members = {member.value: member for member in types[-1]}

        def make(record: Mapping[str, Any]) -> R:
            *plain, last = values(record)
            return row(*plain, members[last])

        return make
    return None


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda row: ()
    if len(names) == 1:  # for one name `attrgetter` gives the bare value
        one = attrgetter(names[0])
        return lambda row: (one(row),)
    return attrgetter(*names)
