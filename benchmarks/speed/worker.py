"""One contestant in a process of its own: do the work, print a line of JSON.

    python -m benchmarks.speed.worker NAME --task train --n 4096 --members 10 --epochs 2

The clock runs neither over imports nor while the data are loaded and brought into the
contestant's layout, nor over a brief training before, in which libraries import and compile what
they need once a process. The tasks are those of :data:`TASKS`. ``--device cuda`` is for ours,
``skorch``, ``torch_loop`` and ``torch_ensemble``, and has not been tried on a GPU.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.speed.contestants import CONTESTANTS, TABULAR, Contestant
from benchmarks.speed.work import Data, Work, correlations, load_sequences, load_table

BRIEF_TRAINING = 256  # rows
WARM_UP_PREDICTION = 512  # rows
PREDICTIONS = 3
PACKAGES = (
    "torch",
    "scikit-learn",
    "skorch",
    "numpy",
    "numba",
    "torchensemble",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
)


def train(contestant: Contestant, data: Data, work: Work) -> dict[str, Any]:
    """Time the training of all members."""
    seconds = _timed(lambda: contestant.train(data), work)
    mean, _ = contestant.predict_ensemble(data.X_test)
    return {
        "seconds": seconds,
        "epoch": seconds / (work.members * work.epochs),
        "fastest_epoch": min(contestant.epoch_seconds, default=None),
        "pearson": correlations(data.y_test, mean),
    }


def pipeline(contestant: Contestant, data: Data, work: Work) -> dict[str, Any]:
    """Time the training of all members, the labels, and the training of a student on them."""
    trained = train(contestant, data, work)
    distilling = _timed(lambda: contestant.distil(data), work)
    mean, _ = contestant.predict_student(data.X_test)
    return {
        **trained,
        "seconds": trained["seconds"] + distilling,
        "members_seconds": trained["seconds"],
        "student_pearson": correlations(data.y_test, mean),
    }


def predict_ensemble(contestant: Contestant, data: Data, work: Work) -> dict[str, Any]:
    """Time the mean and the deviation over all members of the training rows."""
    contestant.train(data.head(BRIEF_TRAINING))
    return _timed_prediction(contestant.predict_ensemble, data, work)


def predict_student(contestant: Contestant, data: Data, work: Work) -> dict[str, Any]:
    """Time the student's mean and deviation of the training rows."""
    few = data.head(BRIEF_TRAINING)
    contestant.train(few)
    contestant.distil(few)
    return _timed_prediction(contestant.predict_student, data, work)


TASKS = {task.__name__: task for task in (train, pipeline, predict_ensemble, predict_student)}


def warm_up(make: Callable[[Work], Contestant], data: Data, work: Work) -> None:
    """Train two members briefly, and forget them."""
    make(replace(work, members=2, epochs=1)).train(data.head(BRIEF_TRAINING))


def _timed(act: Callable[[], object], work: Work) -> float:
    start = time.perf_counter()
    act()
    _synchronize(work)
    return time.perf_counter() - start


def _synchronize(work: Work) -> None:
    """Wait for what a GPU still has to do."""
    if work.device != "cpu":
        import torch

        torch.cuda.synchronize()


def _timed_prediction(predict: Callable[[Any], object], data: Data, work: Work) -> dict[str, Any]:
    predict(data.X_train[:WARM_UP_PREDICTION])
    times = [_timed(lambda: predict(data.X_train), work) for _ in range(PREDICTIONS)]
    seconds = statistics.median(times)
    return {"seconds": seconds, "sequences_per_second": work.n / seconds}


def peak_mib() -> float:
    """Return the peak resident memory of this process or, if larger, of a child of it."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(kind).ru_maxrss for kind in kinds)
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def versions() -> dict[str, str]:
    """Return the versions of the installed packages that matter here."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one contestant")
    parser.add_argument("name", choices=sorted(CONTESTANTS))
    parser.add_argument("--task", choices=sorted(TASKS), default="train")
    Work.add_arguments(parser, Work())
    arguments = parser.parse_args()
    work = Work.parse(arguments)
    make = CONTESTANTS[arguments.name]
    contestant = make(work)
    load = load_table if arguments.name in TABULAR else load_sequences
    data = contestant.prepare(load(work))
    warm_up(make, data, work)
    result = TASKS[arguments.task](contestant, data, work)
    result |= {"peak_mib": round(peak_mib()), "versions": versions()}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
