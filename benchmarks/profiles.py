"""Base-resolution profiles on held-out chromosomes: totals, shapes and intervals of counts.

Cuts a genome into windows, which overlap where they are trained on, trains profile nets on their
insertion counts, on both strands, by the likelihood of shapes and totals, and distils the
ensemble. Prints, for a member, the ensemble and the student:

- Pearson correlation of log(1 + total), beside a ridge regression on 5-mers of both strands;
- negative log-likelihood of a count's position, in nats, given the total of its window, beside
  the mean profile and the rate of insertions by the k-mer around a position;
- coverage of conformal intervals for totals and for bins.

Fits are kept in --work, each of them ten minutes on one core. Settings were chosen on the
validation chromosomes.

    python benchmarks/profiles.py yeast_genome.fa.gz yeast_atac_insertions.bw
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from runs import kept
from scipy.stats import pearsonr
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_degu import ConformalRegressor, DistilledRegressor, EnsembleRegressor
from sklearn_degu.datasets import Loci, extract_loci
from sklearn_degu.metrics import interval_coverage, interval_width
from sklearn_degu.nets import MultinomialCountLoss, OneCycle
from sklearn_degu.nets.averaging import WeightAverage
from sklearn_degu.profiles import BinnedProfileRegressor, bin_profile
from sklearn_degu.recipes import profile_net
from sklearn_degu.sequences import SequenceEncoder

LEVELS = (0.8, 0.9, 0.95)
RIDGE_ALPHAS = (1e2, 1e3, 1e4, 1e5)
SHAPE_KMERS = (4, 5, 6, 7, 8)


class Part(NamedTuple):
    """Windows: codes of their bases, their one-hot form, counts (n, 1, width)."""

    codes: np.ndarray
    X: np.ndarray
    y: np.ndarray

    @property
    def log_total(self) -> np.ndarray:
        return np.log1p(bin_profile(self.y))

    def on_both_strands(self) -> Part:
        """Return the windows, and their reverse complements with the counts reversed."""
        complement = Part(3 - self.codes[:, ::-1], self.X[:, ::-1, ::-1], self.y[:, :, ::-1])
        return Part(*(np.concatenate(pair) for pair in zip(self, complement, strict=True)))

    def take(self, rows: np.ndarray) -> Part:
        return Part(*(part[rows] for part in self))


def read_genome(path: str) -> dict[str, str]:
    with gzip.open(path, "rt") as file:
        records = file.read().split(">")[1:]
    split = (record.split("\n", 1) for record in records)
    return {name.split()[0]: letters.replace("\n", "") for name, letters in split}


def tiles(genome: dict[str, str], options: argparse.Namespace) -> Loci:
    """Return windows, without those that touch the region left out.

    Those that are held out lie side by side, those to train on a stride apart.
    """
    held_out = {*options.validate, *options.calibrate, *options.test}
    strides = {name: options.width if name in held_out else options.stride for name in genome}
    rows = [
        (chrom, start)
        for chrom, letters in genome.items()
        for start in range(0, len(letters) - options.width + 1, strides[chrom])
    ]
    chrom, start = (np.array(column) for column in zip(*rows, strict=True))
    end = start + options.width
    left_out, (first, last) = options.leave_out[0], map(int, options.leave_out[1:])
    chosen = (chrom != left_out) | (end <= first) | (start >= last)
    blank = np.full(len(rows), ".")
    return Loci(chrom, start, end, blank, blank).take(chosen)


def load(options: argparse.Namespace) -> dict[str, Part]:
    genome = read_genome(options.genome)
    data = extract_loci(tiles(genome, options), genome, options.track, unknown="drop")
    X = SequenceEncoder().fit_transform(data.sequences)
    everything = Part(X.argmax(axis=1), X, data.profiles)
    chrom = data.loci.chrom
    held_out = {name: getattr(options, name) for name in ("validate", "calibrate", "test")}
    parts = {name: everything.take(np.isin(chrom, chroms)) for name, chroms in held_out.items()}
    others = ~np.isin(chrom, [name for names in held_out.values() for name in names])
    return {"train": everything.take(others).on_both_strands(), **parts}


def net(options: argparse.Namespace, epochs: int, **params: Any) -> Any:
    cycle = ("lr_schedule", OneCycle(pct_start=0.1))
    return profile_net(
        module__width=options.net_width,
        module__n_dilations=options.dilations,
        module__dropout=0.0,
        batch_size=32,
        lr=options.lr,
        max_epochs=epochs,
        callbacks=[*params.pop("callbacks", []), cycle],
        **params,
    )


def fit_members(options: argparse.Namespace, data: dict[str, Part]) -> list[EnsembleRegressor]:
    def fit(seed: int) -> EnsembleRegressor:
        likelihood = {
            "criterion": MultinomialCountLoss,
            "criterion__count_weight": options.count_weight,
        }
        single = net(options, options.epochs, **likelihood)
        model = EnsembleRegressor(single, n_estimators=1, random_state=seed, verbose=2)
        return model.fit(*data["train"][1:], X_val=data["validate"].X, y_val=data["validate"].y)

    fits = [
        kept(options.work / f"member-{seed}.joblib", lambda seed=seed: fit(seed))
        for seed in range(options.members)
    ]
    print(f"Seconds of the members: {[round(timed.seconds) for timed in fits]}", flush=True)
    return [timed.estimator for timed in fits]


def fit_student(
    options: argparse.Namespace, data: dict[str, Part], teacher: EnsembleRegressor
) -> DistilledRegressor:
    def fit() -> DistilledRegressor:
        average = ("weight_average", WeightAverage())
        single = net(options, options.student_epochs, callbacks=[average])
        student = DistilledRegressor(FrozenEstimator(teacher), single, random_state=0, verbose=2)
        return student.fit(*data["train"][1:], X_val=data["validate"].X, y_val=data["validate"].y)

    timed = kept(options.work / "student.joblib", fit)
    print(f"Seconds of the student: {timed.seconds:.0f}", flush=True)
    return timed.estimator


def kmers(codes: np.ndarray, k: int) -> np.ndarray:
    """Return the number of the k-mer that begins at each position but the last k - 1."""
    n_kmers = codes.shape[1] - k + 1
    return sum(codes[:, i : i + n_kmers] * 4 ** (k - 1 - i) for i in range(k))


def kmer_counts(codes: np.ndarray, k: int = 5) -> np.ndarray:
    """Return how often each k-mer occurs on either strand."""
    both = np.hstack([kmers(codes, k), kmers(3 - codes[:, ::-1], k)])
    return np.stack([np.bincount(row, minlength=4**k) for row in both])


def total_baseline(data: dict[str, Part]) -> dict[str, float]:
    """Correlate log totals with a ridge regression whose penalty the validation rows choose."""
    counts = {name: kmer_counts(part.codes) for name, part in data.items()}

    def correlation(alpha: float, part: str) -> float:
        model = make_pipeline(StandardScaler(), Ridge(alpha)).fit(
            counts["train"], data["train"].log_total
        )
        return float(pearsonr(model.predict(counts[part]), data[part].log_total)[0])

    best = max(RIDGE_ALPHAS, key=lambda alpha: correlation(alpha, "validate"))
    return {part: correlation(best, part) for part in ("validate", "test")}


def shape_nll(y: np.ndarray, rates: np.ndarray) -> float:
    """Return the mean negative log-probability of a count's position, given its window."""
    shape = rates / rates.sum(axis=2, keepdims=True)
    return float(-(y * np.log(shape)).sum() / y.sum())


def kmer_rates(train: Part, part: Part, k: int) -> np.ndarray:
    """Return the mean count by the k-mer around a position, shrunken to the mean of all."""
    edges = ((0, 0), (k // 2, k - 1 - k // 2))
    here, there = (kmers(np.pad(codes, edges), k) for codes in (train.codes, part.codes))
    counts = np.bincount(here.ravel(), weights=train.y.ravel(), minlength=4**k)
    n_seen, mean = np.bincount(here.ravel(), minlength=4**k), train.y.mean()
    rates = (counts + 10 * mean) / (n_seen + 10)
    return rates[there][:, np.newaxis]


def shape_baselines(data: dict[str, Part]) -> dict[str, dict[str, float]]:
    def nll(k: int, part: str) -> float:
        return shape_nll(data[part].y, kmer_rates(data["train"], data[part], k))

    best = min(SHAPE_KMERS, key=lambda k: nll(k, "validate"))
    mean = data["train"].y.mean(axis=0, keepdims=True)
    parts = ("validate", "test")
    return {
        "mean profile": {part: shape_nll(data[part].y, mean) for part in parts},
        f"{best}-mer around a position": {part: nll(best, part) for part in parts},
    }


def report_predictions(models: dict[str, Any], data: dict[str, Part]) -> None:
    print("| model | r of log totals, validation | test | nats a count, validation | test |")
    print("|---|---|---|---|---|")
    ridge = total_baseline(data)
    print(f"| 5-mer ridge | {ridge['validate']:.3f} | {ridge['test']:.3f} | | |")
    for name, nll in shape_baselines(data).items():
        print(f"| {name} | | | {nll['validate']:.3f} | {nll['test']:.3f} |")
    for name, model in models.items():
        rates = {part: model.predict(data[part].X) for part in ("validate", "test")}
        r = {
            part: pearsonr(np.log(bin_profile(rate)), data[part].log_total)[0]
            for part, rate in rates.items()
        }
        nll = {part: shape_nll(data[part].y, rate) for part, rate in rates.items()}
        figures = (r["validate"], r["test"], nll["validate"], nll["test"])
        print(f"| {name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |")
    print(flush=True)


def report_intervals(
    options: argparse.Namespace, models: dict[str, Any], data: dict[str, Part]
) -> None:
    print("| counts, model, score | " + " | ".join(f"coverage at {q} (width)" for q in LEVELS))
    print("|---" * (1 + len(LEVELS)) + "|")
    for bin_size, bins in ((None, "total"), (options.bin_size, f"bins of {options.bin_size}")):
        for name, model in models.items():
            binned = BinnedProfileRegressor(FrozenEstimator(model), bin_size)
            binned.fit(data["calibrate"].X, data["calibrate"].y)
            scores = ("normalized", "absolute") if binned.uncertainty_kinds_ else ("absolute",)
            for score in scores:
                figures = coverage(binned, bin_size, score, data)
                print(f"| {bins}, {name}, {score} | " + " | ".join(figures) + " |", flush=True)


def coverage(
    model: BinnedProfileRegressor, bin_size: int | None, score: str, data: dict[str, Part]
) -> list[str]:
    conformal = ConformalRegressor(
        FrozenEstimator(model), confidence_level=LEVELS, conformity_score=score
    )
    conformal.fit(data["calibrate"].X, bin_profile(data["calibrate"].y, bin_size))
    _, lower, upper = conformal.predict_interval(data["test"].X)
    y = bin_profile(data["test"].y, bin_size)
    return [
        f"{interval_coverage(y, lower[..., i], upper[..., i]):.3f} "
        f"({interval_width(lower[..., i], upper[..., i]):.0f})"
        for i in range(len(LEVELS))
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Profiles of counts on held-out chromosomes")
    parser.add_argument("genome", help="FASTA file, gzip")
    parser.add_argument("track", help="bigWig file of counts")
    parser.add_argument("--width", type=int, default=1000, help="bases of a window")
    parser.add_argument("--stride", type=int, default=250, help="bases between windows to train on")
    parser.add_argument("--validate", nargs="+", default=["chrV", "chrXIII"])
    parser.add_argument("--calibrate", nargs="+", default=["chrVII"], help="for the intervals")
    parser.add_argument("--test", nargs="+", default=["chrIV"])
    leave_out = ["chrXII", "450000", "472000"]
    parser.add_argument("--leave-out", nargs=3, default=leave_out, help="the repeats of the rDNA")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=2e-3, help="peak of the learning rate")
    parser.add_argument("--student-epochs", type=int, default=3)
    parser.add_argument("--net-width", type=float, default=0.25)
    parser.add_argument("--dilations", type=int, default=5)
    parser.add_argument("--count-weight", type=float, default=1.0)
    parser.add_argument("--bin-size", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path("profiles"), help="for fits")
    return parser.parse_args()


def main() -> None:
    options = parse()
    data = load(options)
    print({name: len(part.X) for name, part in data.items()}, flush=True)
    members = fit_members(options, data)
    ensemble = EnsembleRegressor.from_fitted(members)
    student = fit_student(options, data, ensemble)
    named = {f"member {i}": member for i, member in enumerate(members)}
    report_predictions({**named, "ensemble": ensemble, "student": student}, data)
    report_intervals(options, {"ensemble": ensemble, "student": student}, data)


if __name__ == "__main__":
    main()
