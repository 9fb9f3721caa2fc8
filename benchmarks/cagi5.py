"""Effects of single-nucleotide variants measured by saturation mutagenesis (CAGI5, Kircher 2019).

Predicts the effects on six regulatory elements by the members of an ensemble, by the ensemble and
by its student, and prints Markdown tables of means and deviations over models of several seeds:

- Pearson and Spearman correlation with the measured effects, element by element;
- what is gained by rejecting uncertain variants: the error-rejection area (1 is the order of the
  errors themselves, 0 what rejection at random gives in expectation) of the residuals of a linear
  fit of measured on predicted effects, element by element, averaged over elements. Random
  rejection is repeated to tell how far from 0 chance alone comes.

The models are Pipelines of a SequenceEncoder and a DistilledRegressor, kept by joblib:

    python benchmarks/cagi5.py seed0.joblib seed1.joblib seed2.joblib --variants \
        cagi5_variants.tsv.gz --elements cagi5_elements.tsv

A model whose file does not exist is trained, with its place in the list as its seed, if there is a
table to train on (--train lentimpra_joint.tsv.gz); rows that overlap the elements are left out.

Elements are longer than a window and shorter than two, so that windows are centred on the variant
where that is possible and moved inwards elsewhere. The adaptors of the plasmid, with which all
training sequences begin and end, go around them, and predictions are means over both strands.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_degu import DistilledRegressor, EnsembleRegressor, recipes
from sklearn_degu.datasets import read_table
from sklearn_degu.metrics import error_rejection_area
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.variants import variant_effect

# The cell type in which each element was measured.
ELEMENTS = {
    "F9": "HepG2",
    "LDLR": "HepG2",
    "LDLR.2": "HepG2",
    "SORT1": "HepG2",
    "SORT1.2": "HepG2",
    "PKLR-24h": "K562",
}
MIN_BARCODES = 10
N_RANDOM = 200
MODELS = ("mean member", "ensemble", "student")

# Whose residuals are rejected, and by what.
REJECTIONS = {
    "ensemble, by its paired deviation": ("ensemble", "paired"),
    "ensemble, by the size of its effect": ("ensemble", "size"),
    "student, by its teacher's paired deviation": ("student", "paired"),
    "student, by its own deviations of both activities": ("student", "activities"),
    "student, by the size of its effect": ("student", "size"),
}

Scores = dict[tuple[str, str], float]


class Measured(NamedTuple):
    """Variants as :func:`variant_effect` reads them, and the effects measured."""

    variants: dict[str, np.ndarray]
    effect: np.ndarray

    def of(self, element: str) -> np.ndarray:
        """Return the rows of an element."""
        return np.flatnonzero(self.variants["element"] == element)


class Members(RegressorMixin, BaseEstimator):
    """All members of an ensemble as one fitted regressor: a column a member and target."""

    def __init__(self, ensemble: EnsembleRegressor) -> None:
        self.ensemble = ensemble

    def fit(self, X: np.ndarray, y: np.ndarray) -> Members:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: np.ndarray) -> np.ndarray:
        members = self.ensemble.predict_members(X)
        return np.moveaxis(members, 0, 1).reshape(len(X), -1)


class Activities(RegressorMixin, BaseEstimator):
    """A student's epistemic deviations of the activity, as if they were predictions."""

    def __init__(self, student: DistilledRegressor) -> None:
        self.student = student

    def fit(self, X: np.ndarray, y: np.ndarray) -> Activities:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: np.ndarray) -> np.ndarray:
        components = self.student.predict_components(X)
        return np.hstack([components["mean"], components["epistemic"]])


class Predicted(NamedTuple):
    """Predicted effects: of the members (m, n, t), of the student (n, t), and its deviations."""

    members: np.ndarray
    student: np.ndarray
    student_std: np.ndarray

    def of(self, rows: np.ndarray, target: int) -> Predicted:
        """Return those of some variants on one target."""
        return Predicted(*(values[..., rows, target] for values in self))

    @property
    def effect(self) -> dict[str, np.ndarray]:
        """Effects predicted by one net."""
        return {"ensemble": self.members.mean(axis=0), "student": self.student}

    def uncertainty(self, model: str, by: str) -> np.ndarray:
        """Return what variants are rejected by."""
        if by == "paired":
            return self.members.std(axis=0)
        return np.abs(self.effect[model]) if by == "size" else self.student_std


def read_measured(path: Path) -> Measured:
    """Read single-nucleotide variants of the elements with enough barcodes."""
    table = read_columns(path, "Element", "offset0", "Ref", "Alt", "Barcodes", "Coefficient")
    chosen = np.isin(table["Element"], [*ELEMENTS]) & (table["Barcodes"] >= MIN_BARCODES)
    for allele in ("Ref", "Alt"):
        chosen &= np.isin(table[allele], [*"ACGT"])
    names = {"element": "Element", "pos": "offset0", "ref": "Ref", "alt": "Alt"}
    variants = {name: table[column][chosen] for name, column in names.items()}
    variants["pos"] = variants["pos"] + 1
    return Measured(variants, table["Coefficient"][chosen])


def read_columns(path: Path, *names: str) -> dict[str, np.ndarray]:
    import pandas as pd

    table = pd.read_csv(path, sep="\t", keep_default_na=False, na_values={"Coefficient": ["NA"]})
    return {name: table[name].to_numpy() for name in names}


def read_elements(path: Path) -> dict[str, str]:
    columns = read_columns(path, "element", "seq")
    return dict(zip(columns["element"], columns["seq"], strict=True))


def predict(model: Pipeline, measured: Measured, elements: Mapping[str, str], **how: Any) -> Any:
    """Predict the effects of all variants by members and student."""
    encoder, student = model[:-1], model[-1]
    n_targets = student.n_outputs_
    # All at once: experiments on one element share their windows.
    how |= {"edge": "shift", "batch_size": len(measured.effect)}

    def effects(regressor: Any) -> Any:
        pipeline = make_pipeline(encoder, regressor)
        return variant_effect(pipeline, measured.variants, elements, **how)

    members = effects(Members(student.teacher_)).effect
    of_student = effects(Activities(student))
    stds = [part[:, n_targets:] for part in (of_student.ref, of_student.alt)]
    return Predicted(
        np.moveaxis(members.reshape(len(members), -1, n_targets), 1, 0),
        of_student.effect[:, :n_targets],
        np.hypot(*stds),
    )


def score(predicted: Predicted, measured: Measured, targets: Sequence[str]) -> Scores:
    """Return every figure of one model, by row and column of the tables."""
    scores: Scores = {}
    areas, by_chance = [], []
    rng = np.random.default_rng(0)
    for element, cell in ELEMENTS.items():
        rows = measured.of(element)
        y, some = measured.effect[rows], predicted.of(rows, list(targets).index(cell))
        nets = {"mean member": some.members, **{m: p[None] for m, p in some.effect.items()}}
        for name, effects in nets.items():
            for measure in (pearsonr, spearmanr):
                value = np.mean([measure(effect, y)[0] for effect in effects])
                scores[element, f"{measure.__name__} {name}"] = float(value)
        areas.append([area(y, some, *whose_by) for whose_by in REJECTIONS.values()])
        by_chance.append(random_areas(y, some.effect["student"], rng))
    for name, value in zip(REJECTIONS, np.mean(areas, axis=0), strict=True):
        scores["area", name] = float(value)
    chance = np.mean(by_chance, axis=0)
    scores["area", "student, at random: mean"] = float(chance.mean())
    scores["area", "student, at random: deviation"] = float(chance.std(ddof=1))
    return scores


def area(y: np.ndarray, predicted: Predicted, model: str, by: str) -> float:
    """Return the error-rejection area of the residuals of a linear fit."""
    uncertainty = predicted.uncertainty(model, by)
    return float(error_rejection_area(y, linear_fit(predicted.effect[model], y), uncertainty))


def random_areas(y: np.ndarray, effect: np.ndarray, rng: np.random.Generator) -> list[Any]:
    """Return areas by uncertainties drawn at random."""
    fitted = linear_fit(effect, y)
    return [error_rejection_area(y, fitted, rng.random(len(y))) for _ in range(N_RANDOM)]


def linear_fit(effect: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return measured effects as a linear function of predicted ones, by least squares."""
    slope, intercept = np.polyfit(effect, y, deg=1)
    return slope * effect + intercept


def report(models: Sequence[Scores], measured: Measured) -> str:
    """Return the Markdown tables."""
    lines = []
    for measure in ("pearsonr", "spearmanr"):
        title = measure.removesuffix("r").capitalize()
        lines += ["", f"| {title} | variants | {' | '.join(MODELS)} |", "|---" * 5 + "|"]
        for element, cell in ELEMENTS.items():
            cells = [written([s[element, f"{measure} {m}"] for s in models]) for m in MODELS]
            n_rows = len(measured.of(element))
            lines.append(f"| {element} ({cell}) | {n_rows:,} | {' | '.join(cells)} |")
        cells = [written([mean_over_elements(s, measure, m) for s in models]) for m in MODELS]
        lines.append(f"| mean over elements | | {' | '.join(cells)} |")
    lines += ["", "| rejection of variants | error-rejection area |", "|---|---|"]
    names = [name for place, name in models[0] if place == "area"]
    lines += [f"| {name} | {written([s['area', name] for s in models])} |" for name in names]
    return "\n".join(lines[1:])


def mean_over_elements(scores: Scores, measure: str, model: str) -> float:
    return float(np.mean([scores[element, f"{measure} {model}"] for element in ELEMENTS]))


def written(values: Sequence[float]) -> str:
    """Return mean and deviation over seeds."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def train(path: Path, seed: int, options: argparse.Namespace) -> Pipeline:
    """Train on the rows that overlap no element; the last fold but one stops the training."""
    table = read_table(
        options.train,
        sequence="seq",
        targets=options.targets,
        split="fold",
        columns=["overlaps_cagi5"],
    )
    kept = ~table.columns["overlaps_cagi5"].astype(bool) & ~np.isnan(table.y).all(axis=1)
    fold = table.split.astype(int)
    rows, stop = kept & (fold < 6), kept & (fold == 6)
    encoder = SequenceEncoder().fit(table.sequences)
    X, X_val = (encoder.transform(table.sequences[part]) for part in (rows, stop))
    net = recipes.deepstarr_net(module__width=options.width, max_epochs=options.epochs)
    ensemble = EnsembleRegressor(net, options.members, n_jobs=-1, random_state=seed, verbose=1)
    student = DistilledRegressor(ensemble, random_state=seed, verbose=1)
    student.fit(X, table.y[rows], X_val=X_val, y_val=table.y[stop])
    model = make_pipeline(encoder, student)
    joblib.dump(model, path)
    return model


def load(path: Path, seed: int, options: argparse.Namespace) -> Pipeline:
    if path.exists():
        return joblib.load(path)
    if options.train is None:
        raise SystemExit(f"There is no model {path}. Pass --train, a table to train it on.")
    return train(path, seed, options)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    measured, elements = read_measured(options.variants), read_elements(options.elements)
    how = {"adaptors": tuple(options.adaptors), "both_strands": not options.one_strand}
    scores = []
    for seed, path in enumerate(options.models):
        predicted = predict(load(path, seed, options), measured, elements, **how)
        scores.append(score(predicted, measured, options.targets))
    adaptors = " and ".join(options.adaptors) if any(options.adaptors) else "no adaptors"
    strands = "the strand given" if options.one_strand else "both strands"
    print(f"{len(scores)} models; {adaptors} around the windows; {strands}.\n")
    print(report(scores, measured))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="+", type=Path, help="joblib files of fitted Pipelines, one a seed")
    add("--variants", type=Path, required=True, help="table of measured variants")
    add("--elements", type=Path, required=True, help="table of the elements' sequences")
    add("--targets", nargs="+", default=["HepG2", "K562", "WTC11"], help="what models predict")
    adaptors = ["AGGACCGGATCAACT", "CATTGCGTGAACCGA"]
    add("--adaptors", nargs=2, default=adaptors, help="bases around every window ('' for none)")
    add("--one-strand", action="store_true", help="do not average over both strands")
    add("--train", type=Path, help="table to train models on that do not exist")
    add("--members", type=int, default=10, help="of an ensemble that is trained")
    add("--epochs", type=int, default=12, help="at most, of a member that is trained")
    add("--width", type=float, default=0.5, help="factor on the layers' width of trained nets")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
