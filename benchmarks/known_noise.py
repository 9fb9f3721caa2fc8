"""Every kind of uncertainty against the known truth of simulated sequences.

Sequences of 150 bp with three replicates, a noise that spans a factor of four and is driven by a
motif without any effect on the mean, and 0.8 as the best reachable R² of the measured mean. Prints,
as mean and deviation over seeds: how well the noise is known, by the likelihood of the replicates
and by regressions on their deviations; the coverage of Gaussian intervals made of the total
deviation; how the epistemic deviation falls with more data; and how well it tells shifted sequences
from unshifted ones. Fits are kept in --work, so that a run that was cut off goes on.

    python benchmarks/known_noise.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from runs import kept, seed_table, small_net, tertiles
from scipy.stats import norm, pearsonr
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score, roc_auc_score

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.datasets import make_mpra
from sklearn_degu.metrics import interval_coverage
from sklearn_degu.nets.averaging import WeightAverage
from sklearn_degu.sequences import SequenceEncoder

SIZES = (2000, 6000, 20000)
SHIFTS = ("unseen_motif", "motif_dose", "gc")
LEVELS = (0.8, 0.9, 0.95)
N_TEST = 5000
# Of the logarithm of half a chi-squared variable with two degrees of freedom.
MEAN_LOG = -0.5772156649


class Assay:
    """Simulated sequences, their measurements, and the truth."""

    def __init__(self, n_samples: int, random_state: int, shift: str | None = None) -> None:
        data = make_mpra(n_samples, shift=shift, random_state=random_state)
        self.X = SequenceEncoder().fit_transform(data.sequences)
        self.y, self.replicates = data.y, data.replicates
        self.mean, self.noise_std = data.mean, data.noise_std

    @property
    def replicate_std(self) -> np.ndarray:
        """What three replicates say of the noise of each sequence."""
        return self.replicates.std(axis=1, ddof=1)


class Run:
    """The data and the models of one seed."""

    def __init__(self, options: argparse.Namespace, seed: int) -> None:
        self.options, self.seed = options, seed
        self.train = {n: Assay(n, seed) for n in SIZES}
        self.valid = {n: Assay(n // 10, 20_000 + seed) for n in SIZES}
        self.test = Assay(N_TEST, 10_000 + seed)
        self.shifted = {shift: Assay(N_TEST, 10_000 + seed, shift) for shift in SHIFTS}

    def ensemble(
        self, members: int | None = None, n: int = SIZES[-1], **params: Any
    ) -> EnsembleRegressor:
        # Few rows make few steps an epoch.
        epochs = min(5, SIZES[-1] // n) * self.options.epochs
        net = small_net(epochs, self.options.width)
        size = members or self.options.members
        return EnsembleRegressor(net, size, random_state=self.seed, n_jobs=-1, **params)

    def kept(self, name: str, fit: Any) -> Any:
        return kept(self.options.work / str(self.seed) / f"{name}.joblib", fit).estimator

    def by_replicates(self, n: int = SIZES[-1], members: int | None = None) -> EnsembleRegressor:
        train, valid = self.train[n], self.valid[n]
        model = self.ensemble(members, n, aleatoric="replicates")
        return self.kept(
            f"replicates_{n}_{model.n_estimators}",
            lambda: model.fit(
                train.X,
                train.y,
                replicates=train.replicates,
                X_val=valid.X,
                y_val=valid.y,
                replicates_val=valid.replicates,
            ),
        )

    def by_likelihood(self, likelihood: str) -> EnsembleRegressor:
        train, valid = self.train[SIZES[-1]], self.valid[SIZES[-1]]
        model = self.ensemble(aleatoric="heteroscedastic", likelihood=likelihood)
        return self.kept(
            likelihood, lambda: model.fit(train.X, train.y, X_val=valid.X, y_val=valid.y)
        )

    def by_regression(self, name: str, spread: Any) -> EnsembleRegressor:
        """Return one net that learns what ``spread`` makes of deviations as a second target."""
        train, valid = self.train[SIZES[-1]], self.valid[SIZES[-1]]
        y, y_val = (np.column_stack([p.y, spread(p.replicate_std)]) for p in (train, valid))
        model = self.ensemble(members=1)
        return self.kept(name, lambda: model.fit(train.X, y, X_val=valid.X, y_val=y_val))

    def student(self, augment: str | None) -> DistilledRegressor:
        train, valid = self.train[SIZES[-1]], self.valid[SIZES[-1]]
        teacher = self.by_replicates()
        net = small_net(self.options.student_epochs, self.options.width)
        net.set_params(callbacks=[("weight_average", WeightAverage()), *net.callbacks])
        model = DistilledRegressor(
            FrozenEstimator(teacher), net, augment=augment, random_state=self.seed
        )
        return self.kept(
            f"student_{augment}", lambda: model.fit(train.X, train.y, X_val=valid.X, y_val=valid.y)
        )


def noise_figures(run: Run) -> dict[str, float]:
    """Return how well every model knows the noise of one replicate."""
    deviation = run.by_regression("deviation", lambda s: s).predict(run.test.X)[:, 1]
    logarithm = run.by_regression("logarithm", lambda s: 2 * np.log(s)).predict(run.test.X)[:, 1]
    n_replicates = run.train[SIZES[-1]].replicates.shape[1]
    models = {
        "one net": run.by_replicates(members=1),
        "ensemble": run.by_replicates(),
        "student": run.student("auto"),
    }
    stds = {
        # The deviation of three values is too small by this factor on average.
        "one net by regression on the deviation": deviation / np.sqrt(np.pi / 4),
        "one net by regression on the log-variance": np.exp((logarithm - MEAN_LOG) / 2),
        **{
            f"{name} by likelihood": np.sqrt(n_replicates)
            * model.predict_uncertainty(run.test.X, kind="aleatoric")
            for name, model in models.items()
        },
    }
    figures = {}
    for name, std in stds.items():
        figures[f"{name}: Pearson with the true deviation"] = pearsonr(std, run.test.noise_std)[0]
        figures[f"{name}: predicted over true variance"] = _ratio(std, run.test.noise_std)
        for third, rows in zip(("low", "middle", "high"), tertiles(std), strict=True):
            figures[f"{name}: the same, {third} third"] = _ratio(
                std[rows], run.test.noise_std[rows]
            )
    return figures


def _ratio(predicted: np.ndarray, true: np.ndarray) -> float:
    return float((predicted**2).mean() / (true**2).mean())


def coverage_figures(run: Run) -> dict[str, float]:
    """Return accuracy and coverage by the total deviation of every model."""
    models = {
        "replicates": run.by_replicates(),
        "student": run.student("auto"),
        "heteroscedastic": run.by_likelihood("gaussian"),
    }
    figures = {}
    for name, model in models.items():
        mean, std = model.predict(run.test.X, return_std=True, kind="total")
        figures[f"{name}: R² of the true mean"] = r2_score(run.test.mean, mean)
        for level in LEVELS:
            half = norm.ppf((1 + level) / 2) * std
            covered = interval_coverage(run.test.y, mean - half, mean + half)
            figures[f"{name}: coverage at {level}"] = covered
    return figures


def growth_figures(run: Run) -> dict[str, float]:
    """Return the mean epistemic deviation on the test rows by the number of training rows."""
    return {
        f"{n:,} rows": run.by_replicates(n).predict_uncertainty(run.test.X, kind="epistemic").mean()
        for n in SIZES
    }


def shift_figures(run: Run) -> dict[str, float]:
    """Return the AUROC of the epistemic deviation for shifted against unshifted sequences."""
    models = {
        "ensemble": run.by_replicates(),
        "student without augmentation": run.student(None),
        "student": run.student("auto"),
    }
    figures = {}
    for shift, shifted in run.shifted.items():
        for name, model in models.items():
            stds = [
                model.predict_uncertainty(part.X, kind="epistemic") for part in (run.test, shifted)
            ]
            labels = np.repeat([0, 1], [len(std) for std in stds])
            figures[f"{shift}: {name}"] = roc_auc_score(labels, np.concatenate(stds))
    return figures


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Uncertainty against a known truth")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12, help="at most, for each member")
    parser.add_argument("--student-epochs", type=int, default=16, help="at most")
    parser.add_argument("--width", type=float, default=0.25, help="of the net")
    parser.add_argument("--work", type=Path, default=Path("known_noise"), help="folder for fits")
    return parser.parse_args()


def main() -> None:
    options = parse()
    runs = [Run(options, seed) for seed in options.seeds]
    for title, figures in (
        ("noise of one replicate", noise_figures),
        ("Gaussian intervals by the total deviation", coverage_figures),
        ("mean epistemic deviation", growth_figures),
        ("AUROC of the epistemic deviation", shift_figures),
    ):
        print(seed_table(title, [figures(run) for run in runs]), "\n", flush=True)


if __name__ == "__main__":
    main()
