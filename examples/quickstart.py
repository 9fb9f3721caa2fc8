"""Train an ensemble on DNA sequences, distil it into one net, and compare the two.

Without arguments the sequences are simulated, and a run takes about a minute on two CPU cores:

    python examples/quickstart.py

A table of your own (tab- or comma-separated, may be gzipped) needs a column of sequences of one
length, a column for every activity, and, if there is one, a column of folds:

    python examples/quickstart.py --data table.tsv.gz --sequence seq \
        --targets HepG2 K562 WTC11 --split fold --width 1 --epochs 20 --augment --verbose 2

With --augment members learn on sequences that are edited anew in every epoch, and then on these as
they are: it takes more epochs, and is worth it for measured sequences.

It prints a table of accuracy, uncertainty and time, and saves a figure. Everything that is not
validated or tested on is trained on.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.frozen import FrozenEstimator

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.augmentation import Augment
from sklearn_degu.datasets import KmerGroupKFold, make_mpra, read_table
from sklearn_degu.recipes import deepstarr_net
from sklearn_degu.sequences import SequenceEncoder

N_SIMULATED = 7000
N_TIMED = 4096  # sequences in the timing of predictions


class Table(NamedTuple):
    """Sequences and their activities; ``truth`` is the noiseless activity, where it is known."""

    sequences: np.ndarray
    y: np.ndarray
    targets: list[str]
    fold: np.ndarray
    truth: np.ndarray | None = None


class Part(NamedTuple):
    """One-hot sequences (n, 4, length) and activities (n, n_targets) of some of the rows."""

    X: np.ndarray
    y: np.ndarray
    truth: np.ndarray | None


class Fitted(NamedTuple):
    """A fitted estimator and the seconds of its training."""

    estimator: Any
    seconds: float


class Predicted(NamedTuple):
    """What the models say of the test rows, each (n, n_targets); members have one axis more."""

    members: np.ndarray
    ensemble: np.ndarray
    ensemble_std: np.ndarray
    student: np.ndarray
    student_std: np.ndarray


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    pyplot = import_pyplot()
    table = simulate(options) if options.data is None else read(options)
    train, valid, test = split(table, options)
    print(
        f"{len(train.X):,} sequences to train, {len(valid.X):,} to validate and {len(test.X):,} "
        f"to test on, of {train.X.shape[2]} bp. Targets: {', '.join(table.targets)}.",
        flush=True,
    )
    ensemble = train_ensemble(train, valid, options)
    student = distil(ensemble.estimator, train, valid, options)
    predicted = predict(ensemble.estimator, student.estimator, test)
    print()
    print(accuracy_table(predicted, test, table.targets))
    print(uncertainty_table(predicted, table.targets))
    print(speed_table(ensemble, student, test.X))
    figure = draw(pyplot, ensemble.estimator, student.estimator, predicted, test, table.targets)
    figure.savefig(options.figure, dpi=150)
    print(f"Figure: {options.figure}")


# Data


def simulate(options: argparse.Namespace) -> Table:
    """Simulate a reporter assay with two targets."""
    n_rows = options.rows or N_SIMULATED
    data = make_mpra(n_rows, seq_len=80, n_targets=2, random_state=options.seed)
    fold = random_folds(data.sequences, options.seed)
    return Table(data.sequences, data.y, ["activity 1", "activity 2"], fold, data.mean)


def read(options: argparse.Namespace) -> Table:
    """Read the table; rows without any measurement are left out."""
    data = read_table(
        options.data, sequence=options.sequence, targets=options.targets, split=options.split
    )
    y = data.y.reshape(len(data.y), -1)
    rows = np.flatnonzero(~np.isnan(y).all(axis=1))
    if options.rows is not None and options.rows < len(rows):
        rng = np.random.default_rng(options.seed)
        rows = np.sort(rng.choice(rows, options.rows, replace=False))
    sequences = data.sequences[rows]
    fold = random_folds(sequences, options.seed) if data.split is None else data.split[rows]
    return Table(sequences, y[rows], data.target_names, fold)


def random_folds(sequences: np.ndarray, seed: int) -> np.ndarray:
    """Deal the sequences to ten folds; those that share a stretch of bases stay together."""
    fold = np.empty(len(sequences), dtype=int)
    splitter = KmerGroupKFold(n_splits=10, shuffle=True, random_state=seed)
    for number, (_, rows) in enumerate(splitter.split(sequences)):
        fold[rows] = number
    return fold


def split(table: Table, options: argparse.Namespace) -> tuple[Part, Part, Part]:
    """Return the rows to train, to validate and to test on."""
    fold = table.fold.astype(str)
    valid, test = np.isin(fold, options.validate), np.isin(fold, options.test)
    X = SequenceEncoder().fit_transform(table.sequences)
    parts = {"train": ~valid & ~test, "validate": valid, "test": test}
    for name, rows in parts.items():
        if rows.sum() < 2:
            raise SystemExit(
                f"There are {rows.sum()} rows to {name} on. The folds are "
                f"{', '.join(np.unique(fold))}: choose among them with --validate and --test."
            )
    train, valid, test = (
        Part(X[rows], table.y[rows], None if table.truth is None else table.truth[rows])
        for rows in parts.values()
    )
    return train, valid, test


# Models


def make_net(options: argparse.Namespace) -> Any:
    """Make DeepSTARR; ``--width 1`` is the published net with its published hyperparameters."""
    return deepstarr_net(
        module__width=options.width,
        # A narrow net learns at a higher rate and needs less dropout.
        module__dropout=0.4 * math.sqrt(options.width),
        lr=1e-3 / math.sqrt(options.width),
        max_epochs=options.epochs,
        # The published patience is meant for a hundred epochs.
        callbacks__lr_schedule__patience=2,
        callbacks__early_stopping__patience=5,
        device=options.device,
    )


def train_ensemble(train: Part, valid: Part, options: argparse.Namespace) -> Fitted:
    """Train the members, on a CPU as many at a time as there are cores."""
    print(f"Training {options.members} members ...", flush=True)
    ensemble = EnsembleRegressor(
        make_net(options),
        n_estimators=options.members,
        augment=Augment() if options.augment else None,
        fine_tune_epochs=max(1, options.epochs // 5) if options.augment else 0,
        n_jobs=-1 if options.device == "cpu" else 1,
        random_state=options.seed,
        verbose=options.verbose,
    )
    return fit(ensemble, train, valid)


def distil(
    ensemble: EnsembleRegressor, train: Part, valid: Part, options: argparse.Namespace
) -> Fitted:
    """Teach one net what the ensemble says."""
    print("Distilling them into one net ...", flush=True)
    # The student's net is by default that of the members. It is one, so more epochs are cheap.
    ensemble.set_params(net__max_epochs=4 * options.epochs)
    student = DistilledRegressor(
        FrozenEstimator(ensemble), random_state=options.seed, verbose=options.verbose
    )
    return fit(student, train, valid)


def fit(estimator: Any, train: Part, valid: Part) -> Fitted:
    start = time.perf_counter()
    estimator.fit(train.X, train.y, X_val=valid.X, y_val=valid.y)
    return Fitted(estimator, time.perf_counter() - start)


def predict(ensemble: EnsembleRegressor, student: DistilledRegressor, test: Part) -> Predicted:
    members = ensemble.predict_members(test.X)
    predictions = (
        members,
        *ensemble.predict(test.X, return_std=True),
        *student.predict(test.X, return_std=True),
    )
    return Predicted(*(p.reshape(*p.shape[: p.ndim - test.y.ndim + 1], -1) for p in predictions))


# Table


def accuracy_table(predicted: Predicted, test: Part, targets: list[str]) -> str:
    """Tell the accuracy on the test rows, by target and model."""
    columns = [("Pearson", correlation(pearsonr)), ("Spearman", correlation(spearmanr))]
    columns.append(("MSE", mean_squared_error))
    header = f"{'accuracy on test rows':24}{'model':14}" + "".join(f"{n:>10}" for n, _ in columns)
    lines = [header if test.truth is None else header + "   Pearson with true activity"]
    models = {
        "mean member": predicted.members,
        "ensemble": predicted.ensemble[np.newaxis],
        "student": predicted.student[np.newaxis],
    }
    for t, target in enumerate(targets):
        for name, runs in models.items():
            scores = [np.mean([score(r[:, t], test.y[:, t]) for r in runs]) for _, score in columns]
            if test.truth is not None:
                truth = test.truth[:, t]
                scores.append(np.mean([correlation(pearsonr)(r[:, t], truth) for r in runs]))
            label = target if name == "mean member" else ""
            lines.append(f"{label:24}{name:14}" + "".join(f"{score:10.3f}" for score in scores))
    return "\n".join([*lines, ""])


def uncertainty_table(predicted: Predicted, targets: list[str]) -> str:
    """Tell how well the student's deviation agrees with the ensemble's, by target."""
    names = ("Pearson", "Spearman", "mean, student", "mean, ensemble")
    lines = [f"{'epistemic deviation':24}" + "".join(f"{name:>16}" for name in names)]
    for t, target in enumerate(targets):
        student, ensemble = predicted.student_std[:, t], predicted.ensemble_std[:, t]
        values = [correlation(measure)(student, ensemble) for measure in (pearsonr, spearmanr)]
        values += [student.mean(), ensemble.mean()]
        lines.append(f"{target:24}" + "".join(f"{value:16.3f}" for value in values))
    return "\n".join([*lines, ""])


def speed_table(ensemble: Fitted, student: Fitted, X: np.ndarray) -> str:
    """Tell how long training took, and how fast predictions with uncertainty are."""
    lines = [f"{'time':24}{'training, s':>16}{'predicted sequences/s':>24}"]
    for name, fitted in (("ensemble", ensemble), ("student", student)):
        speed = prediction_speed(fitted.estimator, X)
        lines.append(f"{name:24}{fitted.seconds:16.1f}{speed:24,.0f}")
    return "\n".join([*lines, ""])


def correlation(measure: Callable[..., Any]) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return a correlation that leaves missing measurements out."""

    def score(predicted: np.ndarray, measured: np.ndarray) -> float:
        present = ~np.isnan(measured)
        return float(measure(predicted[present], measured[present])[0])

    return score


def mean_squared_error(predicted: np.ndarray, measured: np.ndarray) -> float:
    return float(np.nanmean((predicted - measured) ** 2))


def prediction_speed(estimator: Any, X: np.ndarray) -> float:
    """Return sequences a second, the best of five runs."""
    rows = np.resize(X, (N_TIMED, *X.shape[1:]))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        estimator.predict(rows, return_std=True)
        seconds.append(time.perf_counter() - start)
    return N_TIMED / min(seconds)


# Figure

GREY, BLUE, ORANGE = "0.6", "#2166ac", "#d6604d"


def import_pyplot() -> Any:
    """Import matplotlib before the training: its absence should not cost a run."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise SystemExit(
            "The figure needs matplotlib, which is in the extra [plots]: pip install '.[plots]'"
        ) from error
    return pyplot


def draw(
    pyplot: Any,
    ensemble: EnsembleRegressor,
    student: DistilledRegressor,
    predicted: Predicted,
    test: Part,
    targets: list[str],
) -> Any:
    """Draw a row of panels for every target, and below them scores and learning curves."""
    n_rows = len(targets) + 1
    figure, axes = pyplot.subplots(
        n_rows, 3, figsize=(13, 4 * n_rows), squeeze=False, layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    for t, target in enumerate(targets):
        draw_accuracy(axes[t, 0], predicted, test, t, target)
        draw_deviations(axes[t, 1], predicted, t, target)
        draw_errors(axes[t, 2], predicted, test, t, target)
    draw_scores(axes[-1, 0], predicted, test, targets)
    draw_members_history(axes[-1, 1], ensemble.history_)
    draw_student_history(axes[-1, 2], student.history_)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[-1, 1:]:
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_accuracy(axis: Any, predicted: Predicted, test: Part, t: int, target: str) -> None:
    mean, std, measured = predicted.student[:, t], predicted.student_std[:, t], test.y[:, t]
    score = correlation(pearsonr)(mean, measured)
    order = np.argsort(std)  # the uncertain ones on top
    # One outlying deviation must not take all the colours.
    points = axis.scatter(
        measured[order], mean[order], c=std[order], s=9, vmax=np.quantile(std, 0.99)
    )
    draw_diagonal(axis, measured, mean)
    axis.figure.colorbar(points, ax=axis, label="student's deviation")
    axis.set(xlabel="measured", ylabel="student's prediction")
    axis.set_title(f"{target}: prediction, r = {score:.2f}")


def draw_deviations(axis: Any, predicted: Predicted, t: int, target: str) -> None:
    student, ensemble = predicted.student_std[:, t], predicted.ensemble_std[:, t]
    score = correlation(pearsonr)(student, ensemble)
    axis.scatter(ensemble, student, s=9, color=BLUE, alpha=0.5, linewidths=0)
    draw_diagonal(axis, ensemble, student)
    axis.set(xlabel="ensemble's deviation", ylabel="student's deviation")
    axis.set_title(f"{target}: epistemic uncertainty, r = {score:.2f}")


def draw_errors(axis: Any, predicted: Predicted, test: Part, t: int, target: str) -> None:
    """Draw the student's error in five bins of its deviation, of equal numbers of rows."""
    std = predicted.student_std[:, t]
    references = {"measured activity": (test.y, BLUE)}
    if test.truth is not None:
        references["true activity"] = (test.truth, ORANGE)
    for name, (reference, color) in references.items():
        squared = (predicted.student[:, t] - reference[:, t]) ** 2
        present = np.flatnonzero(~np.isnan(squared))
        bins = np.array_split(present[np.argsort(std[present])], 5)
        rmse = [np.sqrt(squared[rows].mean()) for rows in bins]
        axis.plot([std[rows].mean() for rows in bins], rmse, "o-", color=color, label=name)
    axis.set_ylim(bottom=0)
    axis.set(xlabel="student's deviation, by fifths of the rows", ylabel="RMSE")
    axis.set_title(f"{target}: error by uncertainty")
    axis.legend(title="distance to the", frameon=False)


def draw_scores(axis: Any, predicted: Predicted, test: Part, targets: list[str]) -> None:
    """Draw the scores of all members beside those of the ensemble and of the student."""
    score = correlation(pearsonr)
    positions = np.arange(len(targets))
    for offset, label, runs, style in (
        (-0.2, "members", predicted.members, {"color": GREY, "s": 20, "alpha": 0.7}),
        (0.0, "ensemble", [predicted.ensemble], {"color": BLUE, "s": 70, "marker": "D"}),
        (0.2, "student", [predicted.student], {"color": ORANGE, "s": 70, "marker": "D"}),
    ):
        scores = [score(run[:, t], test.y[:, t]) for t in positions for run in runs]
        axis.scatter(np.repeat(positions + offset, len(runs)), scores, label=label, **style)
    axis.set_xticks(positions, targets)
    axis.set_xlim(-0.5, len(targets) - 0.5)
    axis.grid(axis="y", alpha=0.3)
    axis.set(ylabel="Pearson with measured activity", title="accuracy on test rows")
    axis.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08))


def draw_members_history(axis: Any, history: np.ndarray) -> None:
    for member in np.unique(history["member"]):
        rows = history[history["member"] == member]
        first = member == 0
        for name, color in (("train_loss", GREY), ("valid_loss", BLUE)):
            label = name.replace("_loss", "") if first else None
            axis.plot(rows["epoch"], rows[name], color=color, linewidth=1, label=label)
    axis.set(
        xlabel="epoch",
        ylabel="loss (units of y's variance)",
        title="learning curves of the members",
    )
    axis.legend(frameon=False)


def draw_student_history(axis: Any, history: np.ndarray) -> None:
    for name, color in (("train_loss", GREY), ("valid_loss", ORANGE)):
        axis.plot(history["epoch"], history[name], color=color, label=name.replace("_loss", ""))
    axis.set(
        xlabel="epoch", ylabel="loss (mean and deviation)", title="learning curve of the student"
    )
    axis.legend(frameon=False)


def draw_diagonal(axis: Any, x: np.ndarray, y: np.ndarray) -> None:
    low, high = min(np.nanmin(x), y.min()), max(np.nanmax(x), y.max())
    axis.plot([low, high], [low, high], color="0.3", linewidth=1, linestyle="--")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", help="delimited table, may be gzipped (default: simulated sequences)")
    add("--sequence", default="seq", help="its column of sequences (default: seq)")
    add("--targets", nargs="+", help="its columns of activities")
    add("--split", help="its column of folds (default: ten folds by shared stretches of bases)")
    add("--validate", nargs="+", default=["6"], help="folds to stop on (default: 6)")
    add("--test", nargs="+", default=["7"], help="folds to test on (default: 7)")
    add("--rows", type=int, help=f"take fewer rows (simulated: {N_SIMULATED} by default)")
    add("--augment", action="store_true", help="train members on edited sequences first")
    add("--members", type=int, default=10, help="members of the ensemble (default: 10)")
    add("--epochs", type=int, default=12, help="at most, of a member; the student: 4 times that")
    add("--width", type=float, default=0.125, help="factor on the layers' width (default: 0.125)")
    add("--seed", type=int, default=0, help="decides everything random (default: 0)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--figure", default="quickstart.png", help="file of the figure (default: quickstart.png)")
    add("--verbose", type=int, default=1, help="a line a net (1, default) or an epoch (2)")
    options = parser.parse_args(arguments)
    if options.data is not None and not options.targets:
        parser.error("--data needs --targets, the columns of activities to learn")
    return options


if __name__ == "__main__":
    main()
