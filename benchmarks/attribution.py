"""How near the explanations of a member and of a student are to those of the whole ensemble.

Reads fitted models, Pipelines of a SequenceEncoder and a DistilledRegressor, one for every seed,
and explains the most active test sequences of every target:

    python benchmarks/attribution.py seed0.joblib seed1.joblib seed2.joblib \
        --data lentimpra_joint.tsv.gz --sequence seq --split fold --test 7

The reference is the mean of the members' maps; for a member, of those of the others, because it is
a part of the mean of all. The cosine is printed beside the root mean square error, which rewards
maps that are merely small.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from sklearn_degu.attribution import (
    deep_lift_shap,
    leave_one_out,
    map_cosine,
    map_rmse,
    saliency,
    top_overlap,
)
from sklearn_degu.datasets import read_table

Method = Callable[..., np.ndarray]


def compared(method: Method, model: Any, X: np.ndarray, target: int) -> list[float]:
    """Return error, cosine and overlap of the average member and of the student, and its speed."""
    student = model[-1]
    start = time.perf_counter()
    maps = np.stack([method(m, X, target=target) for m in student.teacher_.member_modules()])
    ensemble_seconds = time.perf_counter() - start
    start = time.perf_counter()
    of_student = method(student, X, target=target)
    speed = len(X) / (time.perf_counter() - start)
    values = []
    for metric in (map_rmse, map_cosine, top_overlap):
        values += [leave_one_out(maps, metric).mean(), metric(of_student, maps.mean(axis=0)).mean()]
    return [*values, values[1] / values[0], speed, len(X) / ensemble_seconds]


def deviation(options: argparse.Namespace, sequences: np.ndarray, y: np.ndarray) -> None:
    """Print how near the student's explanation of the epistemic deviation is to the ensemble's."""
    print("| saliency of the epistemic deviation, target | cosine | top 20 shared |\n|---|---|---|")
    for target, name in enumerate(options.targets):
        active = np.argsort(-y[:, target])[: options.most_active]
        runs = []
        for path in options.models:
            model = joblib.load(path)
            X = model[:-1].transform(sequences[active])
            student, ensemble = (
                saliency(estimator, X, target=target, head="epistemic")
                for estimator in (model[-1], model[-1].teacher_)
            )
            runs.append([m(student, ensemble).mean() for m in (map_cosine, top_overlap)])
        cells = zip(np.mean(runs, axis=0), np.std(runs, axis=0), strict=True)
        print(f"| {name} | " + " | ".join(f"{m:.3f} ± {s:.3f}" for m, s in cells) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sequence", default="seq")
    parser.add_argument("--targets", nargs="+", default=["HepG2", "K562", "WTC11"])
    parser.add_argument("--split", default="fold")
    parser.add_argument("--test", default="7")
    parser.add_argument("--most-active", type=int, default=200)
    parser.add_argument("--references", type=int, default=20)
    options = parser.parse_args()
    table = read_table(
        options.data, sequence=options.sequence, targets=options.targets, split=options.split
    )
    test = np.asarray(table.split).astype(str) == options.test
    y, sequences = table.y[test].reshape(test.sum(), -1), table.sequences[test]
    deviation(options, sequences, y)
    methods: dict[str, Method] = {
        "saliency": saliency,
        "DeepLIFT/SHAP": partial(deep_lift_shap, n_references=options.references, random_state=0),
    }
    columns = ["RMSE, member", "student", "cosine, member", "student", "top 20 shared, member"]
    columns += ["student", "ratio of RMSE", "sequences/s, student", "ensemble"]
    print(f"| method, target | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for name, method in methods.items():
        for target, target_name in enumerate(options.targets):
            active = np.argsort(-y[:, target])[: options.most_active]
            runs = []
            for path in options.models:
                model = joblib.load(path)
                X = model[:-1].transform(sequences[active])
                runs.append(compared(method, model, X, target))
            cells = [
                f"{m:.3f} ± {s:.3f}" if i < 7 else f"{m:.0f}"
                for i, (m, s) in enumerate(
                    zip(np.mean(runs, axis=0), np.std(runs, axis=0), strict=True)
                )
            ]
            print(f"| {name}, {target_name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
