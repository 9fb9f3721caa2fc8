"""Conformal coverage on held-out folds of three targets, and on promoters never trained on.

Trains an ensemble on a table of sequences without its promoters, and distils it (the steps of
accuracy.py, kept in --work). Then, with the student's intervals:

- coverage and width for every target, on one half of the test fold when the other half calibrates,
  over many random halves of whole k-mer groups; and by the group of names that a row is from;
- coverage on the promoters, which are another distribution, calibrated on the test fold, without
  weights and with the likelihood ratio of a classifier that saw other rows of both kinds;
- whether the label-free test of exchangeability fires on the promoters, and how often on random
  halves of the test fold.

    python benchmarks/covariate_shift.py lentimpra_joint.tsv.gz --targets HepG2 K562 WTC11
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from accuracy import Data, Split, fit_members, fit_student
from runs import StoredPredictions
from sklearn.frozen import FrozenEstimator

from sklearn_degu import ConformalRegressor, EnsembleRegressor
from sklearn_degu.datasets import kmer_groups
from sklearn_degu.metrics import interval_coverage, interval_width
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.shift import (
    check_exchangeability,
    effective_sample_size,
    estimate_likelihood_ratio,
)

LEVELS = (0.8, 0.9, 0.95)
N_HALVES = 50
each = {"multioutput": "raw_values"}


class Rows(NamedTuple):
    """Test rows with the first letters of their names."""

    sequences: np.ndarray
    X: np.ndarray
    y: np.ndarray
    origin: np.ndarray

    def take(self, rows: np.ndarray) -> Rows:
        return Rows(*(part[rows] for part in self))


def load(options: argparse.Namespace) -> tuple[Data, Rows, Rows]:
    """Return the rows without promoters, split by fold; the test rows; the promoters."""
    table = pd.read_csv(options.table, sep="\t")
    sequences = table["seq"].to_numpy(dtype=str)
    X = SequenceEncoder().fit_transform(sequences)
    y = table[options.targets].to_numpy()
    origin = table["name"].str.extract(r"^([A-Za-z]+)", expand=False).to_numpy()
    fold, promoter = table["fold"].to_numpy(), (origin == options.promoters)
    everything = Rows(sequences, X, y, origin)
    parts = [
        Split(sequences[rows], X[rows], y[rows])
        for rows in (
            ~promoter & ~np.isin(fold, (options.validate, options.test)),
            ~promoter & (fold == options.validate),
            ~promoter & (fold == options.test),
        )
    ]
    test = everything.take(~promoter & (fold == options.test))
    return Data(*parts, options.targets), test, everything.take(promoter)


def fitted_model(options: argparse.Namespace, data: Data) -> Any:
    members = fit_members(options, data)
    teacher = EnsembleRegressor.from_fitted([member.estimator for member in members])
    return fit_student(options, data, teacher).estimator


def calibrated(model: Any, rows: Rows, **params: Any) -> ConformalRegressor:
    regressor = ConformalRegressor(FrozenEstimator(model), confidence_level=LEVELS, **params)
    return regressor.fit(rows.X, rows.y)


def covered(model: ConformalRegressor, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage and width, each (n_levels, n_targets)."""
    _, lower, upper = model.predict_interval(rows.X)
    levels = range(len(LEVELS))
    coverage = [interval_coverage(rows.y, lower[..., i], upper[..., i], **each) for i in levels]
    width = [interval_width(lower[..., i], upper[..., i], **each) for i in levels]
    return np.array(coverage), np.array(width)


def print_table(title: str, columns: list[str], rows: dict[str, np.ndarray]) -> None:
    print(f"| {title} | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    print(flush=True)


def report_halves(options: argparse.Namespace, model: Any, test: Rows) -> None:
    groups = kmer_groups(test.sequences)
    labels = np.unique(groups)
    stored = StoredPredictions(*model.predict(test.X, return_std=True))
    test = test._replace(X=np.arange(len(test.y))[:, np.newaxis])
    columns = [f"{target} at {level}" for level in LEVELS for target in options.targets]
    for score in ("normalized", "absolute"):
        coverages, widths, by_origin = [], [], []
        for seed in range(options.halves):
            chosen = np.random.default_rng(seed).permutation(labels)[: len(labels) // 2]
            first = np.isin(groups, chosen)
            regressor = calibrated(stored, test.take(first), conformity_score=score)
            rest = test.take(~first)
            coverage, width = covered(regressor, rest)
            coverages.append(coverage.ravel())
            widths.append(width.ravel())
            by_origin.append(
                {
                    name: covered(regressor, rest.take(rest.origin == name))[0].ravel()
                    for name in options.origins
                }
            )
        table = {
            "coverage": np.mean(coverages, axis=0),
            "deviation between halves": np.std(coverages, axis=0),
            "width": np.mean(widths, axis=0),
        }
        for name in options.origins:
            table[f"coverage, {name}"] = np.mean([found[name] for found in by_origin], axis=0)
        print_table(f"{score} score", columns, table)


def report_promoters(
    options: argparse.Namespace, model: Any, train: Split, test: Rows, promoters: Rows
) -> None:
    columns = [f"{target} at {level}" for level in LEVELS for target in options.targets]
    # The ratio is learned on rows that are neither calibrated nor tested on.
    half = np.random.default_rng(0).random(len(promoters.X)) < 0.5
    ratio = estimate_likelihood_ratio(train.X, promoters.X[half], random_state=0)
    rest = promoters.take(~half)
    table = {}
    for name, params in (
        ("without weights", {}),
        ("with weights", {"likelihood_ratio": ratio}),
    ):
        coverage, width = covered(calibrated(model, test, **params), rest)
        table[f"{name}: coverage"], table[f"{name}: width"] = coverage.ravel(), width.ravel()
    print_table(f"{len(rest.X)} promoters", columns, table)
    weights = ratio(test.X)
    print(f"{len(weights)} calibration rows are worth {effective_sample_size(weights):.0f}.\n")


def report_tests(options: argparse.Namespace, test: Rows, promoters: Rows) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # which say what is counted here
        found = check_exchangeability(None, test.X, promoters.X, random_state=0)
        print(f"Promoters: AUC {found.statistic:.3f}, p = {found.p_value:.3g}.")
        fired = 0
        for seed in range(options.halves):
            order = np.random.default_rng(seed).permutation(len(test.X))
            first, second = np.array_split(order, 2)
            half = check_exchangeability(None, test.X[first], test.X[second], random_state=seed)
            fired += not half.is_exchangeable
    print(f"Random halves of the test fold: fired in {fired} of {options.halves}.", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Conformal coverage with and without a shift")
    parser.add_argument("table", help="table with the columns name, seq, fold and the targets")
    parser.add_argument("--targets", nargs="+", required=True, help="columns of the targets")
    parser.add_argument("--promoters", default="ENSG", help="what names of promoters begin with")
    parser.add_argument("--origins", nargs="+", default=["HepG", "K", "WTC"], help="of names")
    parser.add_argument("--validate", type=int, default=6, help="fold to stop on")
    parser.add_argument("--test", type=int, default=7, help="fold to calibrate and test on")
    parser.add_argument("--halves", type=int, default=N_HALVES, help="random halves")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12, help="at most, for each member")
    parser.add_argument("--student-epochs", type=int, default=24, help="at most")
    parser.add_argument("--work", type=Path, default=Path("covariate_shift"), help="for fits")
    options = parser.parse_args()
    training = {"recipe": "deepstarr", "device": "cpu", "patience": 5, "lr_patience": 2}
    return argparse.Namespace(**vars(options), **training, seed=0, jobs=-1)


def main() -> None:
    options = parse()
    data, test, promoters = load(options)
    model = fitted_model(options, data)
    report_halves(options, model, test)
    report_promoters(options, model, data.train, test, promoters)
    report_tests(options, test, promoters)


if __name__ == "__main__":
    main()
