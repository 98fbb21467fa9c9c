"""Rows: how a frozen dataclass lies in its table.

A field with a column of its own name is stored in that column; all other fields go into the JSONB column `doc`. Every shelf
table has one text primary key and a `version`, which guards against two writers (also where no row exists yet to lock).
"""

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Generic, TypeVar

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Table

R = TypeVar("R")


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
        self.in_doc = [n for n in names if n not in self.columns]
        self.has_doc = "doc" in table.columns
        self.key_column = next(iter(table.primary_key.columns)).name
        plumbing = {"doc", "version", "position"}
        if extra := {c.name for c in table.columns} - set(self.columns) - plumbing:
            raise TypeError(f"{self.name}: columns {sorted(extra)} are not fields of {row.__name__}")
        if self.in_doc and not self.has_doc:
            raise TypeError(f"{self.name}: no column for {self.in_doc} of {row.__name__}")
        self._only_doc = set(self.in_doc)

    def key(self, row: R) -> str:
        """The primary key of a row."""
        return str(getattr(row, self.key_column))

    def load(self, record: Mapping[str, Any]) -> R:
        """The row that a database record holds."""
        values = {c: record[c] for c in self.columns}
        if self.has_doc and record["doc"]:
            values |= record["doc"]
        return self.adapter.validate_python(values)

    def dump(self, row: R) -> list[Any]:
        """Values in the order of `stored_columns`."""
        values = [_plain(getattr(row, c)) for c in self.columns]
        if self.has_doc:
            doc = self.adapter.dump_python(row, mode="json", include=self._only_doc)
            values.append(orjson.dumps(doc).decode())
        return values

    @property
    def stored_columns(self) -> list[str]:
        """The columns that `dump` fills, in its order."""
        return [*self.columns, "doc"] if self.has_doc else self.columns


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
