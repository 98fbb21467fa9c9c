"""Handover: a real service process, with its HTTP door, timers, metrics and readiness, as the four services run."""

from benchmarks.work import ledger
from shared.runtime.app import serve
from shared.runtime.settings import Settings

if __name__ == "__main__":
    serve(lambda _: ledger(), Settings)
