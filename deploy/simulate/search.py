"""Many towns from one seed, and for one that fails the fewest orders and troubles that still show the failure."""

import gc
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from logging import CRITICAL
from multiprocessing import get_context
from multiprocessing.connection import Connection
from os import cpu_count

import structlog

from deploy.simulate.chaos import KINDS
from deploy.simulate.invariants import Broken, look
from deploy.simulate.story import number_of, order_of
from deploy.simulate.world import World

ORDERS = 200
"""Orders of one town: enough to meet over the same stock, few enough to read."""
VILLAGES = (7, 40, 13, 26, 2)
"""Orders of the villages that follow towns, in turn: where few buy, goods never come in, and nothing happens for days."""
EFFORT = 5000
"""Orders that looking for a shorter trace may play."""
SHAKEN = 200
"""So many are played under other shakes before it counts that fewer orders, or fewer kinds of trouble, do not show it."""
SHOWN = 120
"""Lines of a trace that are shown, the last ones."""
RAISED = "X2: no turn, and nothing of the simulator itself, ends in an exception"
"""The rule that a town breaks which comes to no end."""


@dataclass(frozen=True)
class Run:
    """What a run is repeated from."""

    seed: str
    orders: tuple[int, ...]
    kinds: frozenset[str] = frozenset(KINDS)
    shake: int = 0

    def __str__(self) -> str:
        only, trouble = _spans(self.orders), ",".join(sorted(self.kinds)) or "none"
        shake = f" --shake {self.shake}" if self.shake else ""
        return f"handover simulate --seed {self.seed} --only {only} --trouble {trouble}{shake}"


@dataclass
class Result:
    """How a run went."""

    run: Run
    broken: list[Broken]
    events: int
    troubles: dict[str, int]
    trace: list[str]

    def about(self) -> tuple[int, ...]:
        """The orders that the first failure names."""
        told = str(self.broken[0]) if self.broken else ""
        return tuple(n for n in self.run.orders if order_of(n) in told)

    def story(self) -> list[str]:
        """What of the trace is about these, and what went wrong around them; all of it where the failure names none."""
        names = [name for n in self.about() for name in (order_of(n), f" {number_of(n)}-")]
        names += [" chaos "] if names else []
        return [line for line in self.trace if not names or any(name in line for name in names)]


def _spans(numbers: Sequence[int]) -> str:
    """3, 7 to 9: `3,7-9`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    return ",".join("-".join(map(str, span)) for span in spans)


def play(run: Run, *, traced: bool = False) -> Result:
    """One town, and what does not hold in it. What raises there is a failure like any other, or nobody would learn where."""
    logs, collects = structlog.get_config(), gc.isenabled()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    gc.disable()  # a quarter of the time, and a town is small
    result = Result(run, [], 0, {}, [])
    try:
        world = World(run.seed, run.orders, kinds=run.kinds, shake=run.shake, traced=traced)
        result.troubles, result.trace = world.chaos.count, [] if world.trace is None else world.trace
        world.run()
        result.events = sum(len(node.store.event_log) for node in world.nodes)
        result.broken = look(world)
    except Exception as error:
        told = "".join(traceback.format_exception(error, limit=-4)).strip()
        result.broken = [Broken(RAISED, type(error).__name__, told)]
    finally:
        structlog.configure(**logs)
        if collects:
            gc.enable()
    return result


def towns(seed: str, orders: int, kinds: frozenset[str], shake: int = 0) -> list[Run]:
    """The runs that make up so many orders: a town, a village, a town, …"""
    runs: list[Run] = []
    while orders > 0:
        village = len(runs) % 2 and VILLAGES[len(runs) // 2 % len(VILLAGES)]
        size = min(village or ORDERS, orders)
        runs.append(Run(f"{seed}-{len(runs)}", tuple(range(size)), kinds, shake))
        orders -= size
    return runs


def play_all(runs: Sequence[Run]) -> Iterator[Result]:
    """All runs, as many at once as there are processors."""
    with ProcessPoolExecutor(cpu_count()) as pool:
        yield from pool.map(_alone, runs)


def _alone(run: Run) -> Result:
    """In a process of its own, and what the town leaves behind goes with that: to look for it and to give it back piece by
    piece is a seventh of the time."""
    if sys.platform != "linux":  # elsewhere a new process imports everything again, which takes longer
        return play(run)
    fork = get_context("fork")
    here, there = fork.Pipe(duplex=False)
    child = fork.Process(target=_tell, args=(there, run))
    child.start()
    there.close()
    try:
        result: Result = here.recv()
    except EOFError:  # it was killed: for want of memory, perhaps
        raise RuntimeError(f"the process that played it is gone: {run}") from None
    child.join()
    return result


def _tell(there: Connection, run: Run) -> None:
    gc.disable()
    there.send(play(run))


def shortest(failed: Result) -> Result:
    """The same failure (the same rule broken) with the fewest orders and kinds of trouble found in a while."""
    rules = {b.rule for b in failed.broken}
    best, left = failed, EFFORT

    def fails(run: Run) -> bool:
        """Perhaps under another shake only, for less work comes together in other turns."""
        nonlocal best, left
        for shake in dict.fromkeys((run.shake, *range(SHAKEN // len(run.orders)))):
            left -= len(run.orders)
            result = play(replace(run, shake=shake))
            if rules & {b.rule for b in result.broken}:
                best = result
                return True
            if left <= 0:
                break
        return False

    def leave_out_orders() -> None:
        """Ever smaller parts of them."""
        size = len(best.run.orders)
        while size > 1 and left > 0:
            size = (size + 1) // 2
            at = 0
            while at < len(best.run.orders) and left > 0 and len(best.run.orders) > 1:
                rest = best.run.orders[:at] + best.run.orders[at + size :]
                if not rest or not fails(replace(best.run, orders=rest)):
                    at += size

    def leave_out_kinds() -> None:
        for kind in sorted(best.run.kinds):
            if left > 0:
                fails(replace(best.run, kinds=best.run.kinds - {kind}))

    if about := failed.about():
        fails(replace(best.run, orders=about))
    before = None
    # fewer kinds of trouble may need fewer orders, and the other way about
    while best is not before and left > 0:
        before = best
        leave_out_orders()
        leave_out_kinds()
    return best


def explained(failed: Result) -> str:
    """What a failure is told by: the shortest trace that shows it, what does not hold then, and what repeats it."""
    least = play(shortest(failed).run, traced=True)
    return "\n".join([*least.story()[-SHOWN:], "", *map(str, least.broken[:10]), f"Repeat it: {least.run}"])
