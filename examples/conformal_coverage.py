"""Intervals that cover: normalised against absolute conformal scores on replicate-level data.

An ensemble learns the mean of the replicates and how far the measurement is from a repetition
(--aleatoric replicates) or from the prediction (--aleatoric heteroscedastic), and is distilled into
one net. Two conformal regressors turn its predictions into intervals: one divides the errors by the
predicted deviation ("normalized"), one does not ("absolute"). Both cover as often as they promise
on average; the table and the figure show whether they also do where the prediction is sure and
where it is not, and how wide they are. Where most of the error is the model's own, the noise of the
replicates does not tell where errors are large, and the normalised intervals gain nothing by it.

Without arguments the sequences are simulated, and a run takes half a minute on two CPU cores:

    python examples/conformal_coverage.py

A table of your own (tab- or comma-separated, may be gzipped) needs a column of sequences of one
length, a column for every replicate, and a column of folds, such as chromosomes. Where rows are
made from one another, such as the mutants of one parent, --groups names the column of parents:

    python examples/conformal_coverage.py --data crx_mpra.tsv.gz --sequence seq \
        --replicates log2_rep1 log2_rep2 log2_rep3 log2_rep4 log2_rep5 --split chrom \
        --validate chr4 --calibrate chr1 chr8 chr19 --groups origin --batches library \
        --aleatoric heteroscedastic --intervals-of ensemble --keep crx_model.joblib

Where rows come from several experiments, such as libraries that were made and measured apart,
--batches names their column: the mean that the training rows of each have is subtracted from y and
the replicates. A net that sees sequences alone cannot know it, and the error that it would make is
as large where its deviation is small as where it is large.

The folds of --calibrate are held out, those of --validate stop the training, and all others are
trained on. Half of the held-out groups, chosen at random, calibrates the intervals, and the other
half tests them, --splits times over: the predictions are the same every time. It prints

- how well predictions and noise agree with the measurements;
- a Markdown table of the intervals, means over the splits: coverage and its deviation between
  splits, width, interval (Winkler) score, coverage in each third of the rows by predicted
  deviation, and the lowest of these three in a split;
- the same for intervals calibrated on the last fold of --calibrate and tested on the others. Folds
  may differ, and then no coverage is guaranteed.

For the figure every held-out row is tested once, by intervals that other groups calibrated, in ten
folds; its error bars take the rows for independent. --keep keeps the fitted model in a file, and
takes it from there if the file exists.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from skorch.callbacks import LRScheduler

from sklearn_degu import ConformalRegressor, DistilledRegressor, EnsembleRegressor
from sklearn_degu.conformal import PredictionInterval
from sklearn_degu.datasets import GroupHoldOut, make_mpra, read_table
from sklearn_degu.displays import CoverageDisplay, GroupCoverageDisplay, PredictionIntervalDisplay
from sklearn_degu.metrics import (
    coverage_by_bin,
    interval_coverage,
    interval_score,
    interval_width,
    pearson_correlation,
    spearman_correlation,
)
from sklearn_degu.nets import WeightAverage
from sklearn_degu.recipes import deepstarr_net
from sklearn_degu.sequences import SequenceEncoder

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise SystemExit(
        "The figure needs matplotlib, which is in the extra [plots]: pip install '.[plots]'"
    ) from error

N_SIMULATED = 6000
LEVELS = (0.8, 0.9, 0.95)
SCORES = {"normalized": "#0072B2", "absolute": "#D55E00"}  # and their colours


class Assay(NamedTuple):
    """One-hot sequences (n, 4, length), replicates (n, r); of each row y, fold, group and batch."""

    X: np.ndarray
    y: np.ndarray
    replicates: np.ndarray
    fold: np.ndarray
    group: np.ndarray
    batch: np.ndarray

    def take(self, rows: np.ndarray) -> Assay:
        """Return some of the rows."""
        return Assay(*(values[rows] for values in self))

    def replicate_std(self) -> np.ndarray:
        """Return the deviation of the replicates, NaN where there are fewer than two."""
        several = (~np.isnan(self.replicates)).sum(axis=1) > 1
        std = np.full(len(self.y), np.nan)
        std[several] = np.nanstd(self.replicates[several], axis=1, ddof=1)
        return std


class StoredPredictions(RegressorMixin, BaseEstimator):
    """A fitted regressor that looks predictions up: X is one column of row numbers."""

    def __init__(self, mean: np.ndarray, std: np.ndarray) -> None:
        self.mean = mean
        self.std = std

    def fit(self, X: np.ndarray, y: np.ndarray) -> StoredPredictions:
        """Do nothing."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Tell that there is nothing to fit."""
        return True

    def predict(self, X: np.ndarray, return_std: bool = False) -> Any:
        """Return the mean of these rows, and on request their deviation."""
        rows = X[:, 0]
        return (self.mean[rows], self.std[rows]) if return_std else self.mean[rows]


class Predicted(NamedTuple):
    """Measurements of the held-out rows and what the student predicts, each (n,)."""

    y: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def intervals(
        self, score: str, levels: Any, calibrate: np.ndarray, test: np.ndarray
    ) -> PredictionInterval:
        """Calibrate on some rows, by their numbers, and return the intervals of others."""
        model = ConformalRegressor(
            FrozenEstimator(StoredPredictions(self.mean, self.std)),
            conformity_score=score,
            confidence_level=levels,
        )
        model.fit(calibrate[:, np.newaxis], self.y[calibrate])
        return model.predict_interval(test[:, np.newaxis])


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    assay = simulate(options) if options.data is None else read(options)
    train, valid, held_out = split(assay, options)
    model = kept_model(train, valid, options)
    held_out = without_known(model, held_out)
    chosen = model if options.intervals_of == "student" else model.teacher_
    predicted = Predicted(held_out.y, *chosen.predict(held_out.X, return_std=True))
    print(agreement_table(model, held_out))
    title = f"means over {options.splits} random halves of the groups"
    print(coverage_table(title, predicted, halves(held_out, options)))
    last = options.calibrate[-1]
    title = f"calibrated on {last}, tested on {', '.join(options.calibrate[:-1])}"
    print(coverage_table(title, predicted, [by_fold(held_out, last)]))
    draw(predicted, held_out.group, options.seed).savefig(options.figure, dpi=120)
    print(f"Figure: {options.figure}")


# Data


def simulate(options: argparse.Namespace) -> Assay:
    """Simulate a noisy reporter assay in ten folds; every row is a group by itself."""
    n_rows = options.rows or N_SIMULATED
    data = make_mpra(n_rows, seq_len=80, n_motifs=4, r2=0.6, random_state=options.seed)
    X = SequenceEncoder().fit_transform(data.sequences)
    number = np.arange(n_rows)
    one = np.zeros(n_rows, dtype=int)
    return Assay(X, data.y, data.replicates, (number % 10).astype(str), number, one)


def read(options: argparse.Namespace) -> Assay:
    """Read the table; rows without any measurement are left out."""
    data = read_table(
        options.data,
        sequence=options.sequence,
        replicates=options.replicates,
        split=options.split,
        columns=[name for name in (options.groups, options.batches) if name is not None],
    )
    rows = np.flatnonzero(~np.isnan(data.y))
    if options.rows is not None and options.rows < len(rows):
        rng = np.random.default_rng(options.seed)
        rows = np.sort(rng.choice(rows, options.rows, replace=False))
    X = SequenceEncoder().fit_transform(data.sequences[rows])
    group = data.columns.get(options.groups, np.arange(len(data.y)))
    batch = data.columns.get(options.batches, np.zeros(len(data.y), dtype=int))
    of_rows = (data.y, data.replicates, data.split.astype(str), group, batch)
    return Assay(X, *(values[rows] for values in of_rows))


def split(assay: Assay, options: argparse.Namespace) -> tuple[Assay, Assay, Assay]:
    """Return the rows to train on, to stop on, and to calibrate and test on."""
    try:
        rest, held_out = by_fold(assay, options.calibrate)
        train, valid = by_fold(assay.take(rest), options.validate)
    except ValueError as error:
        raise SystemExit(f"--validate, --calibrate: {error}") from error
    rest = assay.take(rest)
    parts = without_batch_means((rest.take(train), rest.take(valid), assay.take(held_out)))
    counts = [f"{len(part.y):,}" for part in parts]
    print("Rows to train on: {}, to stop on: {}, held out: {}.".format(*counts), flush=True)
    return parts


def without_batch_means(parts: tuple[Assay, ...]) -> tuple[Assay, ...]:
    """Subtract from y and replicates the mean that the training rows of each batch have."""
    train = parts[0]
    means = {batch: train.y[train.batch == batch].mean() for batch in np.unique(train.batch)}
    return tuple(_less(part, means) for part in parts)


def _less(part: Assay, means: dict[Any, float]) -> Assay:
    unknown = sorted(set(part.batch) - set(means))
    if unknown:
        raise SystemExit(f"--batches: no training row is of {', '.join(map(str, unknown))}.")
    mean = np.array([means[batch] for batch in part.batch])
    return part._replace(y=part.y - mean, replicates=part.replicates - mean[:, np.newaxis])


def by_fold(assay: Assay, fold: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all other folds, and those of the named ones."""
    return next(GroupHoldOut(fold).split(assay.y, groups=assay.fold))


def halves(held_out: Assay, options: argparse.Namespace) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return random halves of the groups, as rows to calibrate on and rows to test on."""
    splitter = GroupShuffleSplit(options.splits, test_size=0.5, random_state=options.seed)
    return list(splitter.split(held_out.y, groups=held_out.group))


def without_known(model: DistilledRegressor, held_out: Assay) -> Assay:
    """Leave out rows that the model was trained or stopped on: copies, on either strand."""
    known = model.seen(held_out.X)
    if known.all():
        raise SystemExit("The model was trained on all rows of --calibrate: choose other folds.")
    print(f"Left out as copies of rows that the model knows: {known.sum()}.\n", flush=True)
    return held_out.take(~known)


# Model


def kept_model(train: Assay, valid: Assay, options: argparse.Namespace) -> DistilledRegressor:
    """Return the model that an earlier run kept, or train and keep it."""
    if options.keep is not None and options.keep.exists():
        print(f"Taking the model from {options.keep}.", flush=True)
        return joblib.load(options.keep)
    model = train_model(train, valid, options)
    if options.keep is not None:
        joblib.dump(model, options.keep)
    return model


def train_model(train: Assay, valid: Assay, options: argparse.Namespace) -> DistilledRegressor:
    """Train an ensemble on the mean of the replicates and its noise, and distil it."""
    ensemble = EnsembleRegressor(
        make_net(options, options.epochs),
        n_estimators=options.members,
        aleatoric=options.aleatoric,
        n_jobs=-1 if options.device == "cpu" else 1,
        random_state=options.seed,
        verbose=options.verbose,
    )
    rows = {"X_val": valid.X, "y_val": valid.y}
    if options.aleatoric == "replicates":
        rows |= {"replicates": train.replicates, "replicates_val": valid.replicates}
    ensemble.fit(train.X, train.y, **rows)
    # One net, so that more epochs are cheap; its weights are averaged, as those of a student are.
    net = make_net(options, epochs=2 * options.epochs)
    net.set_params(callbacks=[("weight_average", WeightAverage()), *net.callbacks])
    student = DistilledRegressor(
        FrozenEstimator(ensemble), net, random_state=options.seed, verbose=options.verbose
    )
    return student.fit(train.X, train.y, **rows)


def make_net(options: argparse.Namespace, epochs: int) -> Any:
    """Make DeepSTARR, whose learning rate falls to zero: few epochs then go a long way."""
    return deepstarr_net(
        module__width=options.width,
        # A narrow net learns at a higher rate.
        lr=1.5e-3 / math.sqrt(options.width),
        max_epochs=epochs,
        callbacks__lr_schedule=LRScheduler("CosineAnnealingLR", T_max=epochs),
        callbacks__early_stopping__patience=epochs,
        device=options.device,
    )


# Tables


def agreement_table(model: DistilledRegressor, held_out: Assay) -> str:
    """Tell how well the models predict y, and the deviation of its replicates."""
    columns = "prediction and y | aleatoric and replicates' deviation"
    lines = [f"| Pearson (Spearman) of | {columns} |", "|---|---|---|"]
    spread = held_out.replicate_std()
    for name, estimator in (("ensemble", model.teacher_), ("student", model)):
        mean, noise = estimator.predict(held_out.X, return_std=True, kind="aleatoric")
        pairs = ((held_out.y, mean), (spread, noise))
        cells = [f"{pearson_correlation(*p):.3f} ({spearman_correlation(*p):.3f})" for p in pairs]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def coverage_table(
    title: str, predicted: Predicted, splits: Sequence[tuple[np.ndarray, np.ndarray]]
) -> str:
    """Tell the quality of the intervals, by level and score, as means over the splits."""
    columns = "coverage | its deviation | width | interval score | low deviation | middle | high"
    lines = [f"Intervals, {title}:", ""]
    lines += [f"| level | score | {columns} | lowest third |", "|---" * 10 + "|"]
    runs = {score: [measure(predicted, score, *rows) for rows in splits] for score in SCORES}
    for i, level in enumerate(LEVELS):
        for score in SCORES:
            cells = summary(np.array(runs[score])[:, i])
            written = ("-" if np.isnan(cell) else f"{cell:.3f}" for cell in cells)
            lines.append(f"| {level} | {score} | {' | '.join(written)} |")
    return "\n".join([*lines, ""])


def measure(
    predicted: Predicted, score: str, calibrate: np.ndarray, test: np.ndarray
) -> list[list[float]]:
    """Return of each level coverage, width, interval score, and coverage of the thirds."""
    y, std = predicted.y[test], predicted.std[test]
    _, *bounds = predicted.intervals(score, LEVELS, calibrate, test)
    return [
        [
            interval_coverage(y, lower, upper),
            interval_width(lower, upper),
            interval_score(y, lower, upper, confidence_level=level),
            *coverage_by_bin(y, lower, upper, by=std),
        ]
        for level, lower, upper in zip(LEVELS, *(bound.T for bound in bounds), strict=True)
    ]


def summary(runs: np.ndarray) -> list[float]:
    """Return what the table tells of one level and score; runs has shape (n_splits, 6)."""
    coverage, *others = runs.mean(axis=0)
    deviation = runs[:, 0].std(ddof=1) if len(runs) > 1 else np.nan
    return [coverage, deviation, *others, runs[:, 3:].min(axis=1).mean()]


# Figure


def draw(predicted: Predicted, group: np.ndarray, seed: int) -> Figure:
    """Draw coverage by level and predictions, and below them coverage by deviation."""
    figure = Figure(figsize=(10, 8.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1))
    bounds = {score: tested_once(predicted, score, 0.9, group, seed) for score in SCORES}
    left, right = above.subplots(1, 2)
    draw_levels(left, predicted, group, seed)
    PredictionIntervalDisplay.from_intervals(
        *predicted[:2], *bounds["normalized"], confidence_level=0.9, subsample=300, ax=right
    )
    right.set_title("predictions with normalized intervals")
    for axis, score in zip(below.subplots(1, 2, sharex=True, sharey=True), SCORES, strict=True):
        draw_bins(axis, predicted, bounds[score], score)
    return figure


def draw_levels(axis: Any, predicted: Predicted, group: np.ndarray, seed: int) -> None:
    """Draw coverage at all levels: of either score, and of the deviations by themselves."""
    levels = np.arange(1, 20) / 20
    # Open markers: the curves of the two scores should lie on each other.
    styles = ({"markersize": 7, "markerfacecolor": "none"}, {})
    for score, style in zip(reversed(SCORES), styles, strict=True):
        bounds = tested_once(predicted, score, levels, group, seed)
        CoverageDisplay.from_intervals(
            predicted.y,
            *bounds,
            confidence_level=levels,
            name=score,
            color=SCORES[score],
            ax=axis,
            **style,
        )
    name = "Gaussian, not calibrated"
    CoverageDisplay.from_predictions(*predicted, name=name, color="0.4", ax=axis)
    axis.set_title("coverage of all held-out rows")


def draw_bins(axis: Any, predicted: Predicted, bounds: np.ndarray, score: str) -> None:
    """Draw coverage in fifths of the rows, by their deviation."""
    GroupCoverageDisplay.from_intervals(
        predicted.y,
        *bounds,
        confidence_level=0.9,
        y_std=predicted.std,
        n_bins=5,
        color=SCORES[score],
        ax=axis,
    )
    axis.set_title(f"coverage by predicted deviation, {score}")
    axis.label_outer()


def tested_once(
    predicted: Predicted, score: str, levels: Any, group: np.ndarray, seed: int
) -> np.ndarray:
    """Return bounds (2, n, ...) of every row, calibrated on nine tenths of the groups."""
    bounds = np.empty((2, len(predicted.y), *np.shape(levels)))
    folds = GroupKFold(10, shuffle=True, random_state=seed)
    for calibrate, test in folds.split(predicted.y, groups=group):
        bounds[:, test] = predicted.intervals(score, levels, calibrate, test)[1:]
    return bounds


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", help="delimited table, may be gzipped (default: simulated sequences)")
    add("--sequence", default="seq", help="its column of sequences (default: seq)")
    models = ("student", "ensemble")
    add("--intervals-of", choices=models, default=models[0], help="whose predictions are used")
    kinds = ("replicates", "heteroscedastic")
    add("--aleatoric", choices=kinds, default=kinds[0], help="what the noise is learned from")
    add("--replicates", nargs="+", help="its columns of replicates, NA where missing")
    add("--split", help="its column of folds")
    add("--groups", help="its column of groups to keep together (default: every row by itself)")
    add("--batches", help="its column of experiments whose means are not comparable")
    add("--validate", nargs="+", default=["0"], help="folds to stop on (default: 0)")
    add("--calibrate", nargs="+", default=["1", "2", "3"], help="folds held out (default: 1 2 3)")
    add("--splits", type=int, default=200, help="random halves of their groups (default: 200)")
    add("--rows", type=int, help=f"take fewer rows (simulated: {N_SIMULATED} by default)")
    add("--members", type=int, default=5, help="members of the ensemble (default: 5)")
    add("--epochs", type=int, default=12, help="of a member (12); the student: twice that")
    add("--width", type=float, default=0.25, help="factor on the layers' width (default: 0.25)")
    add("--seed", type=int, default=0, help="decides everything random (default: 0)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--keep", type=Path, help="file of the fitted model, taken from there if it exists")
    add("--figure", default="conformal_coverage.png", help="file of the figure")
    add("--verbose", type=int, default=1, help="a line a net (1, default) or an epoch (2)")
    options = parser.parse_args(arguments)
    if options.data is not None and not (options.replicates and options.split):
        parser.error("--data needs --replicates and --split, columns of the table")
    if len(options.calibrate) < 2:
        parser.error("--calibrate needs two folds or more: the last is calibrated on alone, too")
    if set(options.calibrate) & set(options.validate):
        parser.error("--calibrate and --validate must name different folds")
    return options


if __name__ == "__main__":
    main()
