"""The table at the end: where orders ended, as the system says when asked, beside how their stories were to end."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from deploy.play.checks import Check
from deploy.play.day import SUPERVISOR, Day
from deploy.play.edges import Edges, Listener
from deploy.play.script import SOURCE, End, Script


async def ends(day: Day, edges: Edges) -> dict[str, End | str]:
    """How each order stands, asked of the orders service."""
    found: dict[str, End | str] = {}
    for order_id, script in day.scripts.items():
        answer = await edges.get("orders", f"/v1/orders?source={SOURCE}&number={script.number}", SUPERVISOR)
        found[order_id] = _end(answer[0]) if answer else "lost"
    return found


def _end(order: dict[str, Any]) -> End | str:
    match order:
        case {"status": "completed", "payment_status": "refunded"}:
            return End.REFUNDED
        case {"status": "completed"}:
            return End.COMPLETED
        case {"status": "canceled"}:
            return End.CANCELED
        case {"standing_holds": ["address_unconfirmed"], "payment_status": "unpaid"}:
            return End.UNPAID
        case {"standing_holds": holds} if "payment_anomaly" in holds:
            return End.HELD
    return f"{order['status']}, {order['payment_status']}, {order['held_by']}"


def orders_table(day: Day, found: dict[str, End | str]) -> tuple[Table, list[Script]]:
    """Ends as told and as found, and the orders that differ."""
    told = Counter(script.end.value for script in day.scripts.values())
    seen = Counter(str(end) for end in found.values())
    table = Table(title="Orders", title_justify="left")
    for column in ("where they ended", "as their stories go", "as the system says"):
        table.add_column(column, justify="left" if column.startswith("where") else "right")
    for end in dict.fromkeys([*told, *seen]):
        style = None if told[end] == seen[end] else "bold red"
        table.add_row(end, str(told[end]), str(seen[end]), style=style)
    wrong = [script for order_id, script in day.scripts.items() if found[order_id] != script.end]
    return table, wrong


def events_table(listener: Listener, sent: int, messages: int) -> Table:
    """What went in and what came out."""
    table = Table(title="Events", title_justify="left")
    table.add_column("at")
    table.add_column("events", justify="right")
    table.add_row("handed in from outside (Kafka and HTTP)", str(sent))
    for service, count in sorted(listener.counts.items()):
        table.add_row(f"said by {service}", str(count))
    table.add_row("messages sent to buyers, staff and webhooks", str(messages))
    return table


def checks_table(checks: Sequence[Check]) -> Table:
    """The invariants, rule by rule."""
    table = Table(title="Invariants, asked of the databases in SQL", title_justify="left")
    table.add_column("rule")
    table.add_column("where")
    table.add_column("result")
    rules: dict[str, list[Check]] = {}
    for check in checks:
        rules.setdefault(check.rule, []).append(check)
    for rule, results in rules.items():
        against = [f"{c.service}: {', '.join(c.against[:3])}" for c in results if c.against]
        where = "all" if len(results) == 4 else ", ".join(c.service for c in results)
        table.add_row(rule, where, "; ".join(against) or "holds", style="bold red" if against else None)
    return table
