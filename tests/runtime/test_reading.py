"""Reads: SQLAlchemy selects to PostgreSQL's own text and values."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, func, or_, select

from shared.runtime.messages import Refused
from shared.runtime.reading import reader
from shared.runtime.store import Unavailable

orders = Table("orders", MetaData(), Column("order_id", Text, primary_key=True), Column("total", Integer))


class StandPool:
    """Keeps what was asked; fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: tuple[str, tuple[Any, ...]] = ("", ())

    async def fetch(self, sql: str, *values: Any, timeout: float) -> list[dict[str, Any]]:
        self.asked = (" ".join(sql.split()), values)
        if self.error:
            raise self.error
        return [{"order_id": "1"}]


async def sent(statement: Any) -> tuple[str, tuple[Any, ...]]:
    """What the database is asked."""
    pool = StandPool()
    assert await reader(pool)(statement) == [{"order_id": "1"}]  # type: ignore[arg-type]
    return pool.asked


async def test_values_never_stand_in_the_text():
    sql, values = await sent(select(orders.c.order_id).where(orders.c.order_id == "x'; DROP").limit(3))
    assert sql.endswith("WHERE orders.order_id = $1::VARCHAR LIMIT $2::INTEGER")
    assert values == ("x'; DROP", 3)


async def test_a_list_becomes_one_parameter_each_and_an_empty_one_finds_nothing():
    wanted = orders.c.order_id.in_(["a", "b"])
    sql, values = await sent(select(orders.c.order_id).where(wanted, orders.c.total > 5))
    places = {sql[i + 1] for i, c in enumerate(sql) if c == "$"}
    assert places == {"1", "2", "3"}
    assert sorted(map(str, values)) == ["5", "a", "b"]
    sql, values = await sent(select(orders.c.order_id).where(orders.c.order_id.in_([])))
    assert "1 != 1" in sql
    assert values == ()


async def test_a_parameter_used_twice_is_sent_once():
    limit = bindparam("limit", 5, Integer)
    sql, values = await sent(select(func.count()).where(or_(orders.c.total == limit, orders.c.total > limit)))
    assert sql.count("$1") == 2
    assert values == (5,)


@pytest.mark.requirement("X1")
@pytest.mark.parametrize(
    "error", [OSError(), TimeoutError(), asyncpg.InterfaceError("closed"), asyncpg.AdminShutdownError()]
)
async def test_a_database_that_is_away_is_said_to_be(error: Exception):
    with pytest.raises(Unavailable):
        await reader(StandPool(error))(select(orders))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error", [asyncpg.DataError("value 13800138000"), asyncpg.CharacterNotInRepertoireError("13800138000")]
)
async def test_a_value_that_cannot_be_stored_is_the_askers_fault(error: Exception):
    with pytest.raises(Refused) as refusal:
        await reader(StandPool(error))(select(orders))  # type: ignore[arg-type]
    assert refusal.value.status == 422
    assert "13800138000" not in str(refusal.value)


async def test_a_wrong_calculation_is_ours():
    with pytest.raises(asyncpg.DivisionByZeroError):
        await reader(StandPool(asyncpg.DivisionByZeroError("1/0")))(select(orders))  # type: ignore[arg-type]
