"""The machine that figures hold for, and what its processes cost."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import psutil

LIBRARIES = ("aiokafka", "asyncpg", "faststream", "pydantic", "sqlalchemy", "fastapi", "uvicorn", "dbos")


def describe() -> dict[str, object]:
    """Hardware, system and versions, without the machine's name."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


_MEASURED = (":/", ":(exclude,top)benchmarks/results", ":(exclude,top)docs")
"""What a figure hangs on: not on what measuring itself writes."""


def commit(folder: Path = Path(__file__).parent) -> str | None:
    """What is measured: the commit, `-dirty` where files differ from it; None where there is no git."""
    try:
        name = _git(folder, "rev-parse", "--short", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *_MEASURED)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{name}-dirty" if changed else name


def _git(folder: Path, *arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return told.stdout.strip()


def load() -> float:
    """How many processes wanted a core in the last minute: above zero before a run, others were at work."""
    return round(os.getloadavg()[0], 2)


def cpu_seconds(pid: int) -> float:
    """User and system time that a process and its children have taken so far, children that ended included."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0.0
    for one in family:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(pid: int) -> float:
    """Resident memory of one process."""
    return float(round(psutil.Process(pid).memory_info().rss / 2**20, 1))


def listening_on(port: int) -> int | None:
    """The process that listens on a local port, where the system tells us."""
    connections: Iterable[psutil._common.sconn]
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    return next(
        (c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid),
        None,
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
