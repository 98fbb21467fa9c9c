"""Figures that hold on a noisy machine: taken in turns (A B A B), told as medians with their spread."""

from collections.abc import Sequence
from statistics import median, quantiles
from typing import TypedDict


class Figure(TypedDict):
    """A median with what it was taken from."""

    median: float
    low: float
    high: float
    all: list[float]


def figure(values: Sequence[float]) -> Figure:
    """Median, least and most of some rounds."""
    rounded = [significant(v) for v in values]
    return {"median": significant(median(values)), "low": min(rounded), "high": max(rounded), "all": rounded}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """The rounds of two contestants divided pair by pair, so that what slowed one pair slowed both of it."""
    return figure([a / b for a, b in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile, in whole percents."""
    return significant(quantiles(values, n=100, method="inclusive")[percent - 1])


def significant(value: float) -> float:
    """Four significant digits: more would only look exact."""
    return float(f"{value:.4g}")
