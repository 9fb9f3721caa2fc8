"""What a student learns on, and what that costs: edited copies, drawn once or all the time.

One ensemble a seed is trained on a table of sequences with folds, on the sequences as they are or
(--augment-members) edited in every batch, and distilled in several ways:
on its training rows; on edited copies of them that are drawn every few epochs; on a new copy every
epoch (dynamic augmentation), labelled by all members or by random ones (stochastic teacher
sampling); with and without dropout; for longer; and from the weights of the first member. All
nets have a cosine schedule, members on request one cycle. Whatever is finished is kept in --work.

    python benchmarks/students.py lentimpra_joint.tsv.gz --leave-out overlaps_cagi5 --seeds 0 1 2

It prints, as means over the seeds: the Pearson correlation of mean member, ensemble and student
with the test fold; the share of the ensemble's gain over the mean member that the student keeps;
the correlation of its mean and deviation with the ensemble's; and the processor time of an epoch.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from runs import add_table, kept
from scipy.stats import pearsonr
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import EarlyStopping, LRScheduler

from sklearn_degu import DistilledRegressor, EnsembleRegressor, recipes
from sklearn_degu.augmentation import Augment
from sklearn_degu.datasets import read_table
from sklearn_degu.nets import OneCycle, WeightAverage
from sklearn_degu.sequences import SequenceEncoder

AS_IT_IS: dict[str, Any] = {}
NO_DROPOUT = {"module__dropout": 0.0}
TWO_MEMBERS = {"copy_epochs": 1, "n_sampled_members": 2}


class Student(NamedTuple):
    """How a student is distilled, what differs in its net, and how often it has its epochs."""

    distillation: dict[str, Any]
    net: dict[str, Any] = AS_IT_IS
    times: int = 1


STUDENTS = {
    "training rows": Student({"augment": None}),
    "training rows, no dropout": Student({"augment": None}, NO_DROPOUT),
    "edited copies, one in 4 epochs": Student({"copy_epochs": 4}),
    "edited copies, no dropout": Student({"copy_epochs": 4}, NO_DROPOUT),
    "dynamic": Student({"copy_epochs": 1}),
    "dynamic, 2 members a row": Student(TWO_MEMBERS),
    "dynamic, 2 members a row, no dropout": Student(TWO_MEMBERS, NO_DROPOUT),
    "the same, 3 times as long": Student(TWO_MEMBERS, NO_DROPOUT, times=3),
    "no dropout, from a member's weights": Student(
        {**TWO_MEMBERS, "warm_start_from_teacher": True}, NO_DROPOUT
    ),
}


class Data(NamedTuple):
    """Rows (X, y) to train, to stop and to test on."""

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


class Figures(NamedTuple):
    """What is said of a student, or of the ensemble."""

    pearson: np.ndarray
    gain: float
    mean: float
    deviation: np.ndarray
    ratio: float
    seconds: float


def load(options: argparse.Namespace) -> Data:
    columns = [] if options.leave_out is None else [options.leave_out]
    table = read_table(
        options.table,
        sequence=options.sequence,
        targets=options.targets,
        split=options.split,
        columns=columns,
    )
    fold = np.asarray(table.split).astype(str)
    known = np.isin(fold, options.folds) if options.folds else np.ones(len(fold), dtype=bool)
    for name in columns:
        known &= ~np.isin(np.asarray(table.columns[name]).astype(str), ["1", "True", "true"])
    X = SequenceEncoder().fit_transform(table.sequences)
    valid, test = fold == options.validate, fold == options.test
    parts = (known & ~valid & ~test, known & valid, known & test)
    return Data(*((X[rows], table.y.reshape(len(X), -1)[rows]) for rows in parts))


def net(
    options: argparse.Namespace,
    epochs: int,
    width: float,
    *callbacks: tuple[str, Any],
    **params: Any,
) -> Any:
    """Return the net of members or students; the callbacks come first."""
    best = EarlyStopping(patience=epochs, load_best=True)
    return getattr(recipes, f"{options.recipe}_net")(
        module__width=width,
        max_epochs=epochs,
        batch_size=128,
        precision=options.precision,
        device=options.device,
        callbacks=[*callbacks, ("best_weights", best)],
        **params,
    )


def cosine(epochs: int) -> tuple[str, Any]:
    return "lr_schedule", LRScheduler("CosineAnnealingLR", T_max=epochs)


def fit_teacher(options: argparse.Namespace, data: Data, seed: int) -> EnsembleRegressor:
    one_cycle = "lr_schedule", OneCycle(pct_start=0.1)
    schedule = one_cycle if options.one_cycle else cosine(options.epochs)
    teacher = EnsembleRegressor(
        net(options, options.epochs, options.width, schedule),
        options.members,
        augment=Augment() if options.augment_members else None,
        fine_tune_epochs=options.fine_tune_epochs,
        n_jobs=-1,
        random_state=seed,
        verbose=1,
    )
    X_val, y_val = data.valid
    path = options.work / f"teacher-{seed}.joblib"
    fitted = kept(path, lambda: teacher.fit(*data.train, X_val=X_val, y_val=y_val)).estimator
    return fitted.set_params(n_jobs=1)


def fit_student(
    options: argparse.Namespace, data: Data, teacher: EnsembleRegressor, seed: int, name: str
) -> tuple[DistilledRegressor, float]:
    """Return a student and the processor seconds of its training, labels included."""
    width = options.student_width or options.width
    chosen = STUDENTS[name]
    epochs = chosen.times * options.student_epochs

    def fit() -> tuple[DistilledRegressor, float]:
        student = DistilledRegressor(
            FrozenEstimator(teacher),
            net(options, epochs, width, ("average", WeightAverage()), cosine(epochs), **chosen.net),
            random_state=seed,
            verbose=2,
            **chosen.distillation,
        )
        start = time.process_time()
        student.fit(*data.train, X_val=data.valid[0], y_val=data.valid[1])
        # Without the teacher, which is kept already.
        student.teacher = student.teacher_ = None
        return student, time.process_time() - start

    file = f"{name.replace(',', '').replace(' ', '-')}-width-{width}-{seed}.joblib"
    trained: tuple[DistilledRegressor, float] = kept(options.work / file, fit).estimator
    return trained


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([pearsonr(a[:, t], b[:, t])[0] for t in range(a.shape[1])])


def figures(options: argparse.Namespace, data: Data, seed: int, chosen: str) -> dict[str, Figures]:
    """Train what is missing for a seed, and return the figures of every model."""
    teacher = fit_teacher(options, data, seed)
    X, y = getattr(data, chosen)
    members, ensemble = teacher.predict_members(X), teacher.predict_components(X)
    member = np.mean([correlations(one, y) for one in members], axis=0)
    best = correlations(ensemble["mean"], y)
    one = np.mean([correlations(m, ensemble["mean"]).mean() for m in members])
    none = np.full(len(member), np.nan)
    found = {
        "mean member": Figures(member, 0.0, float(one), none, np.nan, np.nan),
        "ensemble": Figures(best, 1.0, 1.0, none + 1, 1.0, np.nan),
    }
    for name in options.students:
        student, seconds = fit_student(options, data, teacher, seed, name)
        said = student.predict_components(X)
        pearson = correlations(said["mean"], y)
        found[name] = Figures(
            pearson,
            float((pearson - member).sum() / (best - member).sum()),
            float(correlations(said["mean"], ensemble["mean"]).mean()),
            correlations(said["epistemic"], ensemble["epistemic"]),
            float(said["epistemic"].mean() / ensemble["epistemic"].mean()),
            seconds / (options.student_epochs * STUDENTS[name].times),
        )
    return found


def table(runs: list[dict[str, Figures]]) -> str:
    lines = [
        "| model | Pearson | share of the gain | mean, Pearson with the ensemble's | deviation, "
        "Pearson with the ensemble's | mean ratio of deviations | processor seconds an epoch |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in runs[0]:
        cells = []
        for figure in zip(*(run[name] for run in runs), strict=True):
            values = np.array(figure)
            mean = " / ".join(f"{value:.3f}" for value in np.atleast_1d(values.mean(axis=0)))
            spread = np.atleast_1d(values.std(axis=0, ddof=1)).mean() if len(runs) > 1 else 0.0
            cells.append("" if "nan" in mean else f"{mean} ± {spread:.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser, targets=["HepG2", "K562", "WTC11"])
    parser.add_argument("--folds", nargs="+", help="only rows of these folds")
    parser.add_argument("--leave-out", help="column whose true rows are left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument("--recipe", default="deepstarr", help="such as mprann")
    parser.add_argument("--precision", default="float32", help="of the steps; or bfloat16")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--one-cycle", action="store_true", help="for members, not cosine")
    parser.add_argument("--augment-members", action="store_true", help="by EvoAug's edits")
    parser.add_argument("--fine-tune-epochs", type=int, default=0, help="of members, on clean rows")
    parser.add_argument("--student-width", type=float, help="by default that of the members")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--student-epochs", type=int, default=24)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("students"))
    options = parser.parse_args()
    data = load(options)
    sizes = " / ".join(str(len(part[0])) for part in data)
    print(f"{sizes} rows to train, to stop and to test on; {options.members} members.\n")
    for chosen in ("valid", "test"):
        runs = [figures(options, data, seed, chosen) for seed in options.seeds]
        print(f"Rows: {chosen}; {len(runs)} seeds, means ± their deviation.\n\n{table(runs)}\n")


if __name__ == "__main__":
    main()
