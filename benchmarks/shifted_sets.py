"""How a student follows its ensemble, and how unsure both are, on sequences far from the training.

Reads fitted models, Pipelines of a SequenceEncoder and a DistilledRegressor, one for every seed:

    python benchmarks/shifted_sets.py seed0.joblib seed1.joblib seed2.joblib \
        --data lentimpra_joint.tsv.gz --sequence seq --split fold --test 7

Errors are to the mean of the ensemble. A member is compared with the mean of the others, because
it is a part of the mean of all.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from sklearn_degu.datasets import read_table
from sklearn_degu.shift import shifted_sets


def measured(model: Any, X: np.ndarray) -> list[float]:
    """Return errors of member and student, deviations of both, and their correlation."""
    student = model[-1]
    members = student.teacher_.predict_members(X)
    mean, spread = members.mean(axis=0), members.std(axis=0)
    predicted, deviation = student.predict(X, return_std=True, kind="epistemic")
    others = (members.sum(axis=0) - members) / (len(members) - 1)
    errors = [((members - others) ** 2).mean(), ((predicted - mean) ** 2).mean()]
    targets = zip(deviation.T, spread.T, strict=True)
    correlation = np.mean([np.corrcoef(a, b)[0, 1] for a, b in targets])
    return [*errors, errors[1] / errors[0], spread.mean(), deviation.mean(), float(correlation)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sequence", default="seq")
    parser.add_argument("--targets", nargs="+", default=["HepG2", "K562", "WTC11"])
    parser.add_argument("--split", default="fold")
    parser.add_argument("--test", default="7")
    parser.add_argument("--rows", type=int, default=2000)
    options = parser.parse_args()
    table = read_table(
        options.data, sequence=options.sequence, targets=options.targets, split=options.split
    )
    test = table.sequences[np.asarray(table.split).astype(str) == options.test][: options.rows]
    runs: dict[str, list[list[float]]] = {}
    for path in options.models:
        model = joblib.load(path)
        X = model[:-1].transform(test)
        for name, shifted in {"none": X, **shifted_sets(X, random_state=0)}.items():
            runs.setdefault(name, []).append(measured(model, shifted))
    print(f"{len(test):,} sequences; means over {len(options.models)} seeds, ± their deviation.\n")
    columns = ["member's error", "student's error", "ratio", "ensemble's deviation"]
    columns += ["student's deviation", "Pearson of the deviations"]
    print(f"| shift | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for name, values in runs.items():
        mean, std = np.mean(values, axis=0), np.std(values, axis=0)
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, std, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
