"""The tables of a file of runs, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.speed.acceptance import wanted
from benchmarks.speed.contestants import NAMES, TABULAR
from benchmarks.speed.figures import (
    Record,
    Spread,
    by_contestant,
    exponent,
    fastest_epoch,
    mean_epoch,
    medians_along,
    ratio,
)
from benchmarks.speed.studies import STUDIES
from benchmarks.speed.work import Work

LEARNED = 0.3

TITLES = {
    "train": "Training of all members",
    "pipeline": "Members, labels and student",
    "predict_ensemble": "Prediction by the ensemble",
    "predict_student": "Prediction by the student",
    "tabular": "Small nets on a table",
    "growth_n": "Growth with the number of rows",
    "growth_members": "Growth with the number of members",
    "growth_length": "Growth with the length of the sequences",
    "memory": "Memory at full size",
}


def report(studies: dict[str, list[Record]]) -> str:
    """Return the report of the studies that were run."""
    if not set(studies) & set(TITLES):
        raise ValueError("There are no runs to report. Run a study first.")
    machine = max(studies.get("machine", ()), key=_peak, default=None)
    parts = ["## Speed", _conditions(studies, machine)]
    parts += [_markdown(rows) for rows in [wanted(studies)] if rows]
    for name, title in TITLES.items():
        if name in studies:
            parts += [f"### {title}", _setting(studies[name]), _table(name, studies[name], machine)]
    return "\n\n".join(parts) + "\n"


def _conditions(studies: dict[str, list[Record]], machine: Record | None) -> str:
    records = [record for name, runs in studies.items() if name != "machine" for record in runs]
    versions = {key: text for record in records for key, text in record["versions"].items()}
    named = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    dates = sorted({record["date"][:10] for record in records})
    lines = []
    if machine is not None:
        lines.append(
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
            f"{machine['system']}, Python {machine['python']}. {_peaks(machine)}"
        )
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    lines.append(f"{named}; {days}.")
    lines.append(
        "Every contestant ran in a process of its own, in alternating order; imports and the "
        "loading of the data are not counted. Times are medians with quartiles. A ratio is the "
        "rival's time over ours, of the medians and, in brackets, the smallest and largest of a "
        "round."
    )
    lines.append(_quietness(records))
    return "\n\n".join(lines)


def _quietness(records: list[Record]) -> str:
    spread = Spread.of(record["numpy_flop_s"] / 1e9 for record in records)
    slowest = min(record["numpy_flop_s"] / 1e9 for record in records)
    return (
        f"Before and behind the runs, numpy multiplied matrices at {spread.median:.0f} GFLOP/s "
        f"[{spread.low:.0f}, {spread.high:.0f}], at worst {slowest:.0f}: other work on the machine "
        "shows here, and slows nets on several threads most."
    )


def _peak(machine: Record) -> float:
    return float(max(machine["matrix_product_flop_s"].values()))


def _peaks(machine: Record) -> str:
    peaks = machine["matrix_product_flop_s"]
    each = ", ".join(f"{flop / 1e9:.0f} GFLOP/s on {n} thread(s)" for n, flop in peaks.items())
    return f"Float32 matrix product of side 2,048: {each}."


def _setting(records: list[Record]) -> str:
    """Say in one line what the runs have in common."""
    work, others = records[0]["work"], [record["work"] for record in records]
    same = {
        key: value
        for key, value in work.items()
        if key != "seed" and all(other[key] == value for other in others)
    }
    if records[0]["contestant"] in TABULAR:
        same = {key: same[key] for key in ("n", "members", "epochs", "batch", "jobs")}
    rounds = 1 + max(record["round"] for record in records)
    words = ", ".join(f"{key}={value}" for key, value in same.items() if value != "")
    return f"{rounds} rounds; {words}."


def _table(name: str, records: list[Record], machine: Record | None) -> str:
    study = STUDIES[name]
    if study.axis:
        return _growth_table(study.axis, records)
    if study.task.startswith("predict"):
        return _comparison(records, _prediction_cells)
    if name in ("train", "memory"):
        return _comparison(records, lambda runs: _training_cells(runs, machine))
    return _comparison(records, _cells)


Cells = dict[str, str]


def _comparison(records: list[Record], cells_of: Callable[[list[Record]], Cells]) -> str:
    """Return a row for every contestant, with its ratio to the first, which is ours."""
    runs = by_contestant(records)
    ours = next(contestant for contestant in runs if contestant.startswith("ours"))
    rows = []
    for contestant in sorted(runs, key=lambda name: name != ours):
        cells = {"": NAMES[contestant], **cells_of(runs[contestant])}
        if len(runs) > 1:
            cells |= _ratio_cells(runs[contestant], runs[ours])
        rows.append(cells)
    return f"{_markdown(rows)}{_learned(runs)}"


def _learned(runs: dict[str, list[Record]]) -> str:
    """Say whether all contestants have learned the task, where it was asked."""
    weakest = {
        NAMES[contestant]: min(min(record["pearson"]) for record in records)
        for contestant, records in runs.items()
        if "pearson" in records[0]
    }
    if not weakest:
        return ""
    failed = [name for name, value in weakest.items() if value < LEARNED]
    if failed:
        names = ", ".join(failed)
        return f"\n\n**Members have not learned (Pearson below {LEARNED} in a run): {names}.**"
    smallest = min(weakest.values())
    return f"\n\nAll members learned the task: the smallest Pearson of a run is {smallest:.3f}."


def _cells(runs: list[Record]) -> Cells:
    spread = Spread.of(run["seconds"] for run in runs)
    fastest = fastest_epoch(runs)
    return {
        "seconds": f"{spread.median:.2f} [{spread.low:.2f}, {spread.high:.2f}]",
        "seconds an epoch of a member": f"{mean_epoch(runs):.3f}",
        "fastest epoch": "-" if fastest is None else f"{fastest:.3f}",
        "peak MiB": f"{max(run['peak_mib'] for run in runs)}",
        "held-out Pearson of the members' mean": _pearson(runs, "pearson"),
        "of the student": _pearson(runs, "student_pearson"),
    }


def _pearson(runs: list[Record], which: str) -> str:
    """Return the mean over runs for every target, or a dash where it was not asked."""
    if which not in runs[0]:
        return "-"
    return " / ".join(f"{value:.3f}" for value in np.mean([run[which] for run in runs], axis=0))


def _training_cells(runs: list[Record], machine: Record | None) -> Cells:
    cells = _cells(runs)
    speed = float(np.median([Work(**run["work"]).training_flop() / run["seconds"] for run in runs]))
    cells["GFLOP/s"] = f"{speed / 1e9:.0f}"
    if machine is not None:
        cells["of the matrix product"] = f"{speed / _peak(machine):.0%}"
    return cells


def _prediction_cells(runs: list[Record]) -> Cells:
    spread = Spread.of(run["sequences_per_second"] for run in runs)
    return {
        "sequences/s": f"{spread.median:,.0f} [{spread.low:,.0f}, {spread.high:,.0f}]",
        "peak MiB": f"{max(run['peak_mib'] for run in runs)}",
    }


def _ratio_cells(runs: list[Record], ours: list[Record]) -> Cells:
    found = ratio(runs, ours)
    cells = {
        "ratio": f"{found.of_medians:.2f} [{found.smallest:.2f}, {found.largest:.2f}]",
    }
    if "epoch" in ours[0]:
        fastest = fastest_epoch(runs)
        cells["fastest epoch over our mean"] = (
            "-" if fastest is None else f"{fastest / mean_epoch(ours):.2f}"
        )
    return cells


def _growth_table(axis: str, records: list[Record]) -> str:
    points, seconds = medians_along(records, axis)
    rows = [
        {axis: f"{point:,}", "seconds": f"{second:.2f}", "seconds over " + axis: f"{each:.3g}"}
        for point, second, each in zip(points, seconds, seconds / points, strict=True)
    ]
    fitted = f"Fitted exponent of the time in {axis}: {exponent(points, seconds):.3f}."
    return f"{_markdown(rows)}\n\n{fitted}"


def _markdown(rows: Iterable[dict[str, Any]]) -> str:
    """Return a table of the rows, without the columns that hold dashes alone."""
    rows = list(rows)
    header = [key for key in rows[0] if any(row[key] != "-" for row in rows)]
    lines = [header, ["---"] * len(header), *([row[key] for key in header] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
