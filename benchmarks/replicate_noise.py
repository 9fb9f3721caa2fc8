"""How well the noise of measured replicates is known, on held-out chromosomes.

Trains an ensemble on the replicates of an assay, distils it, and compares the aleatoric deviation
of both with the deviation over replicates of rows that no model has seen; beside them a single net
that regresses on this deviation, and a single heteroscedastic net. The deviation of three
replicates is itself so noisy that no model can come near a correlation of 1. Prints mean and
deviation over seeds; fits are kept in --work.

    python benchmarks/replicate_noise.py crx_mpra.tsv.gz --seeds 0 1 2
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from runs import kept, seed_table, small_net, tertiles
from scipy.stats import pearsonr, spearmanr

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.nets.averaging import WeightAverage
from sklearn_degu.sequences import SequenceEncoder


class Part(NamedTuple):
    """Sequences with their mean activity and its replicates."""

    X: np.ndarray
    y: np.ndarray
    replicates: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """The deviation over the replicates of each row."""
        return np.nanstd(self.replicates, axis=1, ddof=1)


class Data(NamedTuple):
    """Rows to train, to stop and to test on."""

    train: Part
    valid: Part
    test: Part


def load(options: argparse.Namespace) -> Data:
    table = pd.read_csv(options.table, sep="\t")
    X = SequenceEncoder().fit_transform(table[options.sequence].to_numpy())
    replicates = table.filter(like=options.replicates).to_numpy()
    y = np.nanmean(replicates, axis=1)
    valid = table[options.split].isin(options.validate).to_numpy()
    test = table[options.split].isin(options.test).to_numpy()
    parts = (~valid & ~test, valid, test)
    return Data(*(Part(X[rows], y[rows], replicates[rows]) for rows in parts))


def fit_student(options: argparse.Namespace, data: Data, seed: int) -> DistilledRegressor:
    net = small_net(options.epochs, options.width)
    teacher = EnsembleRegressor(net, options.members, aleatoric="replicates", n_jobs=-1)
    longer = small_net(options.student_epochs, options.width, module__dropout=0.2)
    longer.set_params(callbacks=[("weight_average", WeightAverage()), *longer.callbacks])
    student = DistilledRegressor(teacher, longer, random_state=seed)
    train, valid = data.train, data.valid
    return _kept(
        options,
        seed,
        "student",
        lambda: student.fit(
            train.X,
            train.y,
            replicates=train.replicates,
            X_val=valid.X,
            y_val=valid.y,
            replicates_val=valid.replicates,
        ),
    )


def fit_heteroscedastic(options: argparse.Namespace, data: Data, seed: int) -> EnsembleRegressor:
    net = small_net(options.epochs, options.width)
    model = EnsembleRegressor(net, 1, aleatoric="heteroscedastic", random_state=seed)
    train, valid = data.train, data.valid
    return _kept(
        options,
        seed,
        "heteroscedastic",
        lambda: model.fit(train.X, train.y, X_val=valid.X, y_val=valid.y),
    )


def fit_regression(options: argparse.Namespace, data: Data, seed: int) -> EnsembleRegressor:
    """Return a net whose second target is the deviation over replicates, as published."""
    model = EnsembleRegressor(small_net(options.epochs, options.width), 1, random_state=seed)
    train, valid = data.train, data.valid
    y, y_val = (np.column_stack([part.y, part.std]) for part in (train, valid))
    return _kept(
        options, seed, "regression", lambda: model.fit(train.X, y, X_val=valid.X, y_val=y_val)
    )


def _kept(options: argparse.Namespace, seed: int, name: str, fit: Any) -> Any:
    return kept(options.work / str(seed) / f"{name}.joblib", fit).estimator


def figures(options: argparse.Namespace, data: Data, seed: int) -> dict[str, float]:
    """Return the figures of one seed."""
    student = fit_student(options, data, seed)
    teacher = student.teacher_
    regression = fit_regression(options, data, seed).predict(data.test.X)
    means = {"one net by regression": regression[:, 0]}
    stds = {"one net by regression": regression[:, 1]}
    models = {
        "one heteroscedastic net": fit_heteroscedastic(options, data, seed),
        "ensemble by likelihood": teacher,
        "student": student,
    }
    for name, model in models.items():
        predicted = model.predict_components(data.test.X)
        means[name], stds[name] = predicted["mean"], predicted["aleatoric"]
    result = {}
    for name, std in stds.items():
        result[f"{name}: Pearson of y"] = pearsonr(means[name], data.test.y)[0]
        result[f"{name}: Pearson of the deviation"] = pearsonr(std, data.test.std)[0]
        result[f"{name}: Spearman of the deviation"] = spearmanr(std, data.test.std)[0]
    for name in ("ensemble by likelihood", "student"):
        single = stds[name] * np.sqrt(teacher.n_replicates_[0])
        for third, rows in zip(("low", "middle", "high"), tertiles(single), strict=True):
            ratio = (single[rows] ** 2).mean() / (data.test.std[rows] ** 2).mean()
            result[f"{name}: predicted over measured variance, {third} third"] = ratio
    return result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Noise of measured replicates")
    parser.add_argument("table", help="tab-separated table with a column for every replicate")
    parser.add_argument("--sequence", default="seq", help="column of the sequences")
    parser.add_argument("--replicates", default="log2_rep", help="what replicate columns share")
    parser.add_argument("--split", default="chrom", help="column that separates the rows")
    parser.add_argument("--validate", nargs="+", default=["chr4"], help="to stop on")
    parser.add_argument("--test", nargs="+", default=["chr1", "chr8", "chr19"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=7, help="of every net but the student")
    parser.add_argument("--student-epochs", type=int, default=24)
    parser.add_argument("--width", type=float, default=0.25, help="of the nets")
    parser.add_argument("--work", type=Path, default=Path("replicate_noise"), help="for fits")
    return parser.parse_args()


def main() -> None:
    options = parse()
    data = load(options)
    print(seed_table("measured noise", [figures(options, data, seed) for seed in options.seeds]))


if __name__ == "__main__":
    main()
