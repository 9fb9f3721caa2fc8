"""Accuracy of members, ensemble and student on held-out folds of a table of sequences.

Trains an ensemble and distils it, on rows whose fold is neither validated nor tested on, and
prints Pearson, Spearman and mean squared error on the test fold beside a ridge regression on
5-mer counts; how much of the ensemble's gain the student recovers; and how well it knows the
ensemble's uncertainty. Whatever is finished is kept in --work, so that a run that was cut off
goes on where it stopped, a member at a time.

    python benchmarks/accuracy.py lentimpra_joint.tsv.gz --targets HepG2 K562 WTC11 --seed 0
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from runs import Timed, add_table, kept
from scipy.stats import pearsonr, spearmanr
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_degu import DistilledRegressor, EnsembleRegressor, recipes
from sklearn_degu.datasets import read_table
from sklearn_degu.sequences import SequenceEncoder

RIDGE_ALPHAS = (1e2, 1e3, 1e4, 1e5)


class Split(NamedTuple):
    """The rows of one part of the data."""

    sequences: np.ndarray
    X: np.ndarray
    y: np.ndarray


class Data(NamedTuple):
    """Training, validation and test rows."""

    train: Split
    valid: Split
    test: Split
    targets: list[str]


def load(options: argparse.Namespace) -> Data:
    table = read_table(
        options.table, sequence=options.sequence, targets=options.targets, split=options.split
    )
    X = SequenceEncoder().fit_transform(table.sequences)
    y = table.y.reshape(len(X), -1)
    fold = np.asarray(table.split).astype(str)
    valid, test = fold == options.validate, fold == options.test
    parts = [Split(table.sequences[r], X[r], y[r]) for r in (~valid & ~test, valid, test)]
    return Data(*parts, list(table.target_names))


def check_same_run(options: argparse.Namespace) -> None:
    """Refuse to mix what an earlier run kept with other options."""
    ignored = ("work", "jobs", "stop_after", "members")
    asked = {k: str(v) for k, v in sorted(vars(options).items()) if k not in ignored}
    path = options.work / "options.json"
    if path.exists() and json.loads(path.read_text()) != asked:
        sys.exit(f"{options.work} holds a run with other options: {path.read_text()}")
    path.write_text(json.dumps(asked))


def net(options: argparse.Namespace, **params: Any) -> Any:
    make = getattr(recipes, f"{options.recipe}_net")
    return make(
        device=options.device,
        callbacks__lr_schedule__patience=options.lr_patience,
        callbacks__early_stopping__patience=options.patience,
        **params,
    )


def fit_members(options: argparse.Namespace, data: Data) -> list[Timed]:
    def fit(i: int) -> Timed:
        member = EnsembleRegressor(
            net(options, max_epochs=options.epochs),
            n_estimators=1,
            random_state=1000 * options.seed + i,
            verbose=2,
        )
        return kept(
            options.work / f"member_{i}.joblib",
            lambda: member.fit(data.train.X, data.train.y, X_val=data.valid.X, y_val=data.valid.y),
        )

    run = joblib.Parallel(n_jobs=options.jobs, prefer="threads")
    members: list[Timed] = run(joblib.delayed(fit)(i) for i in range(options.members))
    return members


def fit_student(options: argparse.Namespace, data: Data, teacher: EnsembleRegressor) -> Timed:
    # The student's net is by default the teacher's: here the same with epochs of its own.
    teacher.set_params(n_jobs=options.jobs, net__max_epochs=options.student_epochs)
    student = DistilledRegressor(
        FrozenEstimator(teacher),
        random_state=options.seed,
        verbose=2,
    )
    return kept(
        options.work / "student.joblib",
        lambda: student.fit(data.train.X, data.train.y, X_val=data.valid.X, y_val=data.valid.y),
    )


def fit_ridge(data: Data) -> Any:
    """Fit ridge regressions on 5-mer counts and return the best on the validation rows."""
    models = []
    for alpha in RIDGE_ALPHAS:
        counts = CountVectorizer(analyzer="char", ngram_range=(5, 5), lowercase=False)
        model = make_pipeline(counts, StandardScaler(with_mean=False), Ridge(alpha))
        model.fit(data.train.sequences, data.train.y)
        predicted = model.predict(data.valid.sequences)
        models.append((((predicted - data.valid.y) ** 2).mean(), alpha, model))
    return min(models, key=lambda item: item[:2])[2]


def by_target(measure: Callable[..., Any], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([measure(a[:, t], b[:, t])[0] for t in range(a.shape[1])])


def table_rows(predictions: dict[str, np.ndarray], y: np.ndarray) -> list[str]:
    rows = []
    for name, predicted in predictions.items():
        runs = predicted if predicted.ndim == 3 else predicted[np.newaxis]
        scores = [
            np.mean([by_target(pearsonr, p, y) for p in runs], axis=0),
            np.mean([by_target(spearmanr, p, y) for p in runs], axis=0),
            np.mean([((p - y) ** 2).mean(axis=0) for p in runs], axis=0),
        ]
        cells = [" / ".join(f"{value:.4f}" for value in score) for score in scores]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def uncertainty_lines(
    teacher: EnsembleRegressor, student: DistilledRegressor, data: Data, members: np.ndarray
) -> list[str]:
    ensemble_std, student_std = members.std(axis=0), student.predict_uncertainty(data.test.X)
    half = len(members) // 2
    halves = by_target(pearsonr, members[:half].std(axis=0), members[half:].std(axis=0))
    # Spearman-Brown: how the whole ensemble's deviation would correlate with another's.
    ceiling = np.sqrt(2 * halves / (1 + halves))
    correlation = by_target(pearsonr, student_std, ensemble_std)
    train_std = teacher.predict_uncertainty(data.train.X).mean(axis=0)
    return [
        f"- Student's deviation, Pearson with the ensemble's: {_join(correlation)}; ceiling "
        f"{_join(ceiling)}; reached {_join(correlation / ceiling)} of it.",
        f"- Mean student over mean ensemble deviation: {_join(_ratio(student_std, ensemble_std))};"
        " by tertile of the student's: "
        f"{_join(_tertile_ratios(student_std, ensemble_std, student_std))}; of the ensemble's: "
        f"{_join(_tertile_ratios(student_std, ensemble_std, ensemble_std))}.",
        f"- Ensemble's mean deviation on training over test rows: "
        f"{_join(train_std / ensemble_std.mean(axis=0))}.",
    ]


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.mean(axis=0) / b.mean(axis=0)


def _tertile_ratios(student: np.ndarray, ensemble: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return ratios of shape (3, n_targets), from the lowest third of ``by`` to the highest."""
    thirds = np.array_split(np.argsort(by, axis=0), 3)
    take = np.take_along_axis
    return np.array([_ratio(take(student, r, 0), take(ensemble, r, 0)) for r in thirds])


def _join(values: np.ndarray) -> str:
    """Return the values of the targets, rows of them in turn."""
    rows = np.atleast_2d(values)
    return ", ".join(" / ".join(f"{value:.3f}" for value in row) for row in rows)


def speed(estimator: Any, X: np.ndarray) -> float:
    start = time.perf_counter()
    estimator.predict(X)
    return len(X) / (time.perf_counter() - start)


def report(options: argparse.Namespace, data: Data, fitted: list[Timed], student: Timed) -> str:
    teacher = EnsembleRegressor.from_fitted([member.estimator for member in fitted])
    members = teacher.predict_members(data.test.X)
    ensemble = members.mean(axis=0)
    distilled = student.estimator.predict(data.test.X)
    ridge = fit_ridge(data).predict(data.test.sequences)
    y = data.test.y
    scores = np.array([by_target(pearsonr, member, y) for member in members])
    mean_member, best_member = scores.mean(axis=0), scores.max(axis=0)
    together, alone = by_target(pearsonr, ensemble, y), by_target(pearsonr, distilled, y)
    baseline = by_target(pearsonr, ridge, y)
    gain = (alone.mean() - mean_member.mean()) / (together.mean() - mean_member.mean())
    predictions = {
        "ridge on 5-mers": ridge,
        "member (mean)": members,
        "ensemble": ensemble,
        "student": distilled,
    }
    seconds = sum(member.seconds for member in fitted)
    return "\n".join(
        [
            f"### {Path(options.table).name}, {options.recipe}, seed {options.seed}",
            "",
            f"`python benchmarks/accuracy.py {_command()}`",
            "",
            f"{len(data.train.X):,} training, {len(data.valid.X):,} validation and "
            f"{len(data.test.X):,} test rows; {len(fitted)} members; targets "
            f"{', '.join(data.targets)}.",
            "",
            "| model | Pearson | Spearman | MSE |",
            "|---|---|---|---|",
            *table_rows(predictions, y),
            "",
            f"- Ensemble over the best member: {_join(together - best_member)}; over the ridge "
            f"regression: {_join(together - baseline)}.",
            f"- The student recovers {gain:.0%} of the ensemble's gain over the mean member.",
            *uncertainty_lines(teacher, student.estimator, data, members),
            f"- Training: members {seconds:.0f} s, added up; student {student.seconds:.0f} s "
            f"({len(student.estimator.history_)} epochs). Prediction: ensemble "
            f"{speed(teacher, data.test.X):.0f}, student "
            f"{speed(student.estimator, data.test.X):.0f} sequences/s.",
        ]
    )


def _command() -> str:
    return " ".join(Path(a).name if "/" in a else a for a in sys.argv[1:])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Accuracy of members, ensemble and student")
    add_table(parser)
    parser.add_argument("--recipe", default="deepstarr", help="deepstarr or residualbind")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=15, help="at most, for each member")
    parser.add_argument("--student-epochs", type=int, default=24, help="at most")
    parser.add_argument("--patience", type=int, default=5, help="epochs to early stopping")
    parser.add_argument("--lr-patience", type=int, default=2, help="epochs to a lower rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=-1, help="members trained at a time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, help="folder for what is finished")
    parser.add_argument("--stop-after", choices=("members",), help="end early; go on later")
    options = parser.parse_args()
    options.work = options.work or Path(f"accuracy_{options.recipe}_{options.seed}")
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def main() -> None:
    options = parse()
    check_same_run(options)
    data = load(options)
    members = fit_members(options, data)
    if options.stop_after == "members":
        return
    teacher = EnsembleRegressor.from_fitted([member.estimator for member in members])
    student = fit_student(options, data, teacher)
    text = report(options, data, members, student)
    (options.work / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
