"""What a file of runs says: medians, spreads, ratios and fitted exponents."""

from __future__ import annotations

import json
from collections.abc import Iterable
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


def ratio(rival: list[Record], ours: list[Record]) -> Ratio:
    """Return the rival's seconds over ours; rounds that both have finished are paired."""
    pairs = [
        (theirs["seconds"], mine["seconds"]) for theirs, mine in zip(rival, ours, strict=False)
    ]
    each = [theirs / mine for theirs, mine in pairs]
    theirs_median, mine_median = np.median(np.array(pairs), axis=0).tolist()
    return Ratio(theirs_median / mine_median, min(each), max(each))


def mean_epoch(runs: Iterable[Record]) -> float:
    """Return the median over runs of the seconds an epoch of a member."""
    return float(np.median([run["epoch"] for run in runs]))


def fastest_epoch(runs: Iterable[Record]) -> float | None:
    """Return the seconds of the fastest epoch of all runs, if any were recorded alone."""
    recorded = [run["fastest_epoch"] for run in runs]
    return min((seconds for seconds in recorded if seconds is not None), default=None)


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
