"""What a file of runs says: medians, spreads, ratios and fitted exponents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Record = dict[str, Any]


class Spread(NamedTuple):
    """Median and quartiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        return cls(*np.quantile(list(values), [0.25, 0.5, 0.75]).tolist())


class Ratio(NamedTuple):
    """Ratio of two medians, and the smallest and largest ratio of a round."""

    of_medians: float
    smallest: float
    largest: float


def read_last_runs(path: Path) -> dict[str, list[Record]]:
    """Return the records of the last session of every study."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    last: dict[str, str] = {}
    for record in records:
        last[record["study"]] = max(record["date"], last.get(record["study"], ""))
    studies: dict[str, list[Record]] = {name: [] for name in last}
    for record in records:
        if record["date"] == last[record["study"]]:
            studies[record["study"]].append(record)
    return studies


def by_contestant(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the runs of every contestant, in the order of the rounds."""
    runs: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: int(record["round"])):
        runs.setdefault(record["contestant"], []).append(record)
    return runs


def ratio(rival: list[Record], ours: list[Record], value: Callable[[Record], float]) -> Ratio:
    """Return the rival's values over ours; rounds that both have finished are paired."""
    pairs = list(zip(map(value, rival), map(value, ours), strict=False))
    each = [theirs / mine for theirs, mine in pairs]
    medians = np.median(np.array(pairs), axis=0)
    return Ratio(float(medians[0] / medians[1]), min(each), max(each))


def medians_along(records: Iterable[Record], axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of the axis and the median seconds at each of them."""
    seconds: dict[int, list[float]] = {}
    for record in records:
        seconds.setdefault(record["work"][axis], []).append(record["seconds"])
    points = sorted(seconds)
    return np.array(points), np.array([np.median(seconds[point]) for point in points])


def exponent(points: np.ndarray, seconds: np.ndarray) -> float:
    """Return p of the power law ``seconds = c * points**p`` that fits best on log scales."""
    return float(np.polyfit(np.log(points), np.log(seconds), 1)[0])
