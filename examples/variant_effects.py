"""Effects of variants with error bars: every substitution along an element.

An ensemble and its student predict what variants do to the activity of a sequence: the prediction
of the alternative less that of the reference. The error bars of the ensemble are the spread of its
members' effects, member by member, in which what they disagree about in both alleles cancels out;
a student has no such bars. Simulated measurements of a random half of the variants calibrate
conformal intervals of its effects, which cover the measured effects of the other half as often as
they promise.

Without arguments the sequences are simulated, and a run takes half a minute on one CPU core:

    python examples/variant_effects.py

With a model of your own, a Pipeline of a SequenceEncoder and a DistilledRegressor kept by joblib,
variants come from a VCF file, or from a table (tab- or comma-separated, may be gzipped) with the
columns chrom (or element), pos (counted from 1), ref and alt, and if --measured names it a column
of measured effects; sequences come from a FASTA file (extra [genomics]) or a table of names and
sequences, in its first two columns:

    python examples/variant_effects.py --model model.joblib --variants some.vcf.gz \
        --sequences genome.fa --target 0 --table effects.tsv

It prints a table of how well the effects agree with the truth, if it is simulated, and with the
measured effects, and how often intervals cover them; it draws the element that has most variants;
and it writes all effects to --table.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.pipeline import make_pipeline
from skorch.callbacks import LRScheduler

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.datasets import make_mpra
from sklearn_degu.metrics import interval_coverage, pearson_correlation, spearman_correlation
from sklearn_degu.recipes import deepstarr_net
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.variants import VariantEffects, variant_effect

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise SystemExit(
        "The figure needs matplotlib, which is in the extra [plots]: pip install '.[plots]'"
    ) from error

LENGTH = 80
N_ELEMENTS = 12
LEVEL = 0.9
COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}


class Task(NamedTuple):
    """A model, variants and sequences; effects (n,) measured and true, motif sites, if known."""

    model: Any
    variants: Any
    sequences: Any
    measured: np.ndarray | None
    truth: np.ndarray | None
    sites: list[tuple[int, int]]


class Predicted(NamedTuple):
    """Effects of all variants on one target, and the rows that calibrated no intervals."""

    ensemble: VariantEffects
    student: VariantEffects
    new: np.ndarray


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    task = simulate(options) if options.model is None else read(options)
    predicted = predict(task, options)
    print(agreement(task, predicted))
    if options.table is not None:
        write(predicted, options.table)
        print(f"Table: {options.table}")
    draw(task, predicted).savefig(options.figure, dpi=120)
    print(f"Figure: {options.figure}")


# Data


def simulate(options: argparse.Namespace) -> Task:
    """Train on a simulated assay, and mutate every position of elements that are new to it."""
    train = make_mpra(options.rows, seq_len=LENGTH, n_motifs=2, r2=0.9, random_state=options.seed)
    pool = make_mpra(
        20 * N_ELEMENTS, seq_len=LENGTH, n_motifs=2, r2=0.9, random_state=options.seed + 1
    )
    # Active elements have more to lose.
    chosen = np.argsort(pool.mean)[::-1][:N_ELEMENTS]
    elements = {f"element{i}": str(pool.sequences[row]) for i, row in enumerate(chosen)}
    variants, mutants = substitutions(elements)
    references = [elements[name] for name in variants["element"]]
    truth = train.truth(mutants)[0] - train.truth(references)[0]
    rng = np.random.default_rng(options.seed)
    noise = rng.normal(scale=0.1, size=len(truth))
    first = pool.sites[pool.sites["row"] == chosen[0]]
    known = first[first["motif"] < 2]
    sites = list(zip(known["start"].tolist(), known["stop"].tolist(), strict=True))
    return Task(fit(train, options), variants, elements, truth + noise, truth, sites)


def substitutions(elements: dict[str, str]) -> tuple[dict[str, list[Any]], list[str]]:
    """Return all substitutions of single bases, and the sequences that they make."""
    variants: dict[str, list[Any]] = {"element": [], "pos": [], "ref": [], "alt": []}
    mutants = []
    for name, sequence in elements.items():
        for pos, ref in enumerate(sequence, start=1):
            for alt in sorted({*"ACGT"} - {ref}):
                for column, value in zip(variants.values(), (name, pos, ref, alt), strict=True):
                    column.append(value)
                mutants.append(sequence[: pos - 1] + alt + sequence[pos:])
    return variants, mutants


def fit(train: Any, options: argparse.Namespace) -> Any:
    """Train an ensemble and distil it."""
    net = deepstarr_net(
        module__width=options.width,
        lr=4e-3,
        max_epochs=options.epochs,
        callbacks__lr_schedule=LRScheduler("CosineAnnealingLR", T_max=options.epochs),
        callbacks__early_stopping__patience=options.epochs,
    )
    ensemble = EnsembleRegressor(
        net, options.members, validation=0.1, random_state=options.seed, verbose=1
    )
    student = DistilledRegressor(ensemble, random_state=options.seed, verbose=1)
    return make_pipeline(SequenceEncoder(), student).fit(train.sequences, train.y)


def read(options: argparse.Namespace) -> Task:
    """Read a model, variants and sequences."""
    variants: Any = options.variants
    measured = None
    if not options.variants.name.endswith((".vcf", ".vcf.gz")):
        variants = read_columns(options.variants)
        variants["pos"] = [int(pos) for pos in variants["pos"]]
        if options.measured is not None:
            measured = np.array(variants[options.measured], dtype=float)
    sequences: Any = options.sequences
    if not options.sequences.name.endswith((".fa", ".fasta", ".fna", ".fa.gz")):
        names, strings, *_ = read_columns(options.sequences).values()
        sequences = dict(zip(names, strings, strict=True))
    return Task(joblib.load(options.model), variants, sequences, measured, None, [])


def read_columns(path: Path) -> dict[str, list[Any]]:
    """Read a delimited table."""
    open_text: Any = gzip.open if path.suffix == ".gz" else open
    with open_text(path, "rt", newline="") as file:
        header = file.readline()
        delimiter = "\t" if "\t" in header else ","
        file.seek(0)
        names, *rows = csv.reader(file, delimiter=delimiter)
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


# Prediction


def predict(task: Task, options: argparse.Namespace) -> Predicted:
    """Predict all effects on one target by the ensemble, with its deviation, and by the student."""
    how: dict[str, Any] = {
        "adaptors": tuple(options.adaptors),
        "both_strands": options.both_strands,
        "edge": options.edge,
    }
    encoder, student = task.model[:-1], task.model[-1]
    teacher = make_pipeline(encoder, student.teacher_)
    ensemble = variant_effect(teacher, task.variants, task.sequences, return_std=True, **how)
    known, new = halves(task, len(ensemble.effect), options.seed)
    if len(known):
        some = {name: np.array(column)[known] for name, column in task.variants.items()}
        how["calibration"], how["confidence_level"] = (some, task.measured[known]), LEVEL
    effects = variant_effect(task.model, task.variants, task.sequences, **how)
    return Predicted(*(on_target(some, options.target) for some in (ensemble, effects)), new)


def halves(task: Task, n_variants: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a random half of simulated variants, to calibrate on, and the others."""
    if task.truth is None:
        return np.arange(0), np.arange(n_variants)
    first, second = np.array_split(np.random.default_rng(seed).permutation(n_variants), 2)
    return first, np.sort(second)


def on_target(effects: VariantEffects, target: int) -> VariantEffects:
    """Return the effects on one target."""
    if effects.effect.ndim == 1:
        return effects
    parts = [None if values is None else values[:, target] for values in effects[:6]]
    return VariantEffects(*parts, effects.variants)


def agreement(task: Task, predicted: Predicted) -> str:
    """Return a Markdown table of correlations with true and measured effects."""
    lines = [f"{len(predicted.student.effect):,} variants.", ""]
    lines += ["| Pearson (Spearman) with | ensemble | student |", "|---|---|---|"]
    for name, y in (("true effects", task.truth), ("measured effects", task.measured)):
        if y is not None:
            cells = [correlations(y, some.effect) for some in predicted[:2]]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    mean_std = predicted.ensemble.std.mean()
    lines += ["", f"Mean deviation of an effect between members: {mean_std:.3f}."]
    if predicted.student.lower is not None:
        bounds = (predicted.student.lower[predicted.new], predicted.student.upper[predicted.new])
        coverage = interval_coverage(task.measured[predicted.new], *bounds)
        lines.append(f"Intervals at {LEVEL:.0%} cover {coverage:.1%} of the other half's effects.")
    return "\n".join([*lines, ""])


def correlations(y: np.ndarray, effect: np.ndarray) -> str:
    return f"{pearson_correlation(y, effect):.3f} ({spearman_correlation(y, effect):.3f})"


def write(predicted: Predicted, path: Path) -> None:
    """Write the effects, tab-separated."""
    ensemble, student = predicted.ensemble, predicted.student
    variants = student.variants
    columns: dict[str, Any] = {name: getattr(variants, name) for name in ("chrom", "pos", "ref")}
    columns["alt"] = [alt or "-" for alt in variants.alt]
    columns |= {"student": student.effect, "ensemble": ensemble.effect, "std": ensemble.std}
    with open(path, "w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))


# Figure


def draw(task: Task, predicted: Predicted) -> Figure:
    """Draw the effects along the sequence that has most variants."""
    variants = predicted.student.variants
    ((name, _),) = Counter(variants.chrom.tolist()).most_common(1)
    rows = np.flatnonzero(variants.chrom == name)
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, sharey=True)
    draw_ensemble(above, predicted.ensemble, rows)
    draw_student(below, task, predicted.student, rows)
    for axis in (above, below):
        draw_background(axis, task.sites)
    below.set_xlabel(f"position in {name}")
    return figure


def draw_ensemble(axis: Any, effects: VariantEffects, rows: np.ndarray) -> None:
    """Draw effects with the deviation between members, by alternative base."""
    for offset, (base, colour) in zip((-0.3, -0.1, 0.1, 0.3), COLOURS.items(), strict=True):
        some = rows[effects.variants.alt[rows] == base]
        place = effects.variants.pos[some] + offset
        bars = 2 * effects.std[some]
        style = {"fmt": "o", "markersize": 3, "elinewidth": 0.8, "color": colour, "label": base}
        axis.errorbar(place, effects.effect[some], bars, **style)
    axis.set(title="ensemble: effect ± 2 deviations between members", ylabel="effect")
    axis.legend(title="alternative", ncols=4, frameon=False, loc="lower right")


def draw_student(axis: Any, task: Task, effects: VariantEffects, rows: np.ndarray) -> None:
    """Draw effects of the student with their intervals, and what was measured."""
    place = effects.variants.pos[rows] + offsets(effects.variants.alt[rows])
    style = {"markersize": 3, "color": "0.2", "label": "student"}
    if effects.lower is None:
        axis.plot(place, effects.effect[rows], "o", **style)
    else:
        bars = np.abs([bound[rows] - effects.effect[rows] for bound in effects[4:6]])
        style |= {"fmt": "o", "elinewidth": 0.8, "ecolor": "0.75"}
        axis.errorbar(place, effects.effect[rows], bars, **style)
    if task.measured is not None:
        axis.plot(place, task.measured[rows], "x", markersize=4, color="#CC79A7", label="measured")
    interval = "" if effects.lower is None else f", {LEVEL:.0%} intervals of measured effects"
    axis.set(title=f"student: effect{interval}", ylabel="effect")
    axis.legend(ncols=2, frameon=False, loc="lower right")


def offsets(alt: np.ndarray) -> np.ndarray:
    """Return how far from its position a variant is drawn; other than substitutions in place."""
    places = dict(zip(COLOURS, (-0.3, -0.1, 0.1, 0.3), strict=True))
    return np.array([places.get(base, 0.0) for base in alt])


def draw_background(axis: Any, sites: list[tuple[int, int]]) -> None:
    """Draw zero, and the sites of motifs, counted from 0."""
    axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for start, stop in sites:
        axis.axvspan(start + 0.5, stop + 0.5, color="0.92", zorder=-1)
    axis.spines[["top", "right"]].set_visible(False)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, help="joblib file of a fitted Pipeline (default: simulated data)")
    add("--variants", type=Path, help="VCF file or table of variants")
    add("--sequences", type=Path, help="FASTA file, or table of names and sequences")
    add("--measured", help="column of measured effects in the table of variants")
    add("--target", type=int, default=0, help="target of the model, counted from 0 (default: 0)")
    add("--adaptors", nargs=2, default=("", ""), help="bases before and after every window")
    add("--both-strands", action="store_true", help="average over both strands")
    add("--edge", choices=("error", "pad", "shift"), default="shift", help="default: shift")
    add("--rows", type=int, default=4000, help="simulated sequences (default: 4000)")
    add("--members", type=int, default=4, help="members of the ensemble (default: 4)")
    add("--epochs", type=int, default=12, help="of members and student (default: 12)")
    add("--width", type=float, default=0.125, help="factor on the layers' width (default: 0.125)")
    add("--seed", type=int, default=0, help="decides everything random (default: 0)")
    add("--table", type=Path, help="file for a table of all effects")
    add("--figure", default="variant_effects.png", help="file of the figure")
    options = parser.parse_args(arguments)
    if options.model is not None and not (options.variants and options.sequences):
        parser.error("--model needs --variants and --sequences")
    return options


if __name__ == "__main__":
    main()
