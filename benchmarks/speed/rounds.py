"""Run the contestants of a study, each in its own process, in alternating order."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.speed.contestants import TABULAR
from benchmarks.speed.environment import REPOSITORY
from benchmarks.speed.machine import numpy_speed
from benchmarks.speed.studies import Study
from benchmarks.speed.work import Work, make_sequences

PATIENCE = 600.0
PAUSE = 15.0

Item = TypeVar("Item")


def run_study(
    name: str, study: Study, given: dict[str, Any], rounds: int, quiet: float, results: Path
) -> None:
    """Append a line of JSON to ``results`` for every run of a study, and print it.

    Before a run it waits until numpy multiplies matrices at ``quiet`` operations a second, and
    records the lower of this speed before and behind the run.
    """
    works = list(study.works(given))
    for work in works:
        make_data(study, work)
    session = time.strftime("%Y-%m-%d %H:%M:%S")
    jobs = [(contestant, work) for work in works for contestant in study.contestants]
    for i in range(rounds):
        for contestant, work in alternating(jobs, i):
            seeded = replace(work, seed=work.seed + i)
            before = wait_until_quiet(quiet)
            outcome = run_worker(contestant, study.task, seeded)
            record = {"study": name, "contestant": contestant, "round": i, "date": session}
            outcome["numpy_flop_s"] = min(before, numpy_speed())
            _append(results, {**record, "work": asdict(seeded), **outcome})
            print(
                f"{name} round {i + 1}/{rounds} {contestant} {_point(study, work)}"
                f"{outcome['seconds']:.2f} s, peak {outcome['peak_mib']} MiB, "
                f"Pearson {outcome.get('pearson', '-')}, "
                f"numpy {outcome['numpy_flop_s'] / 1e9:.0f} GFLOP/s",
                flush=True,
            )


def run_machine(results: Path) -> None:
    """Append the machine and its matrix-product peak to ``results``."""
    machine = _json_of([sys.executable, "-m", "benchmarks.speed.machine"])
    _append(results, {"study": "machine", "date": time.strftime("%Y-%m-%d"), **machine})
    print(json.dumps(machine), flush=True)


def wait_until_quiet(least: float) -> float:
    """Return numpy's speed once it is ``least``, or whatever it is after ten minutes."""
    deadline = time.monotonic() + PATIENCE
    while (speed := numpy_speed()) < least and time.monotonic() < deadline:
        print(f"waiting: numpy reaches {speed / 1e9:.0f} GFLOP/s", flush=True)
        time.sleep(PAUSE)
    return speed


def make_data(study: Study, work: Work) -> None:
    """Make the sequences unless they are kept, so that no contestant's memory holds that."""
    if not set(study.contestants) & set(TABULAR):
        make_sequences(work)


def run_worker(contestant: str, task: str, work: Work) -> dict[str, Any]:
    """Return what the worker of a contestant measured."""
    command = [sys.executable, "-m", "benchmarks.speed.worker", contestant, f"--task={task}"]
    return _json_of([*command, *work.arguments()])


def alternating(items: Sequence[Item], round_number: int) -> list[Item]:
    """Return the items forwards in even rounds and backwards in odd ones.

    A drift of the machine over a pair of rounds then meets all of them alike.
    """
    return list(items) if round_number % 2 == 0 else list(reversed(items))


def _json_of(command: list[str]) -> dict[str, Any]:
    """Return the last line that a command prints, read as JSON."""
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _append(results: Path, record: dict[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(record) + "\n")


def _point(study: Study, work: Work) -> str:
    return f"{study.axis}={getattr(work, study.axis)} " if study.axis else ""
