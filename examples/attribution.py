"""Which letters a model looks at, with error bars: an ensemble, its student, and the truth.

A student is distilled from an ensemble, and both are explained: by gradients, by DeepLIFT/SHAP and
by mutating every base. The members of the ensemble disagree about their maps, which gives the
letters of a logo error bands; the student's map is compared with the ensemble's, next to those of
single members, each against the mean of the others.

Without arguments the sequences are simulated, so that the sites of motifs are known, and a run
takes half a minute on one CPU core:

    python examples/attribution.py

With a model of your own, a Pipeline of a SequenceEncoder and a DistilledRegressor kept by joblib,
sequences come from a table (tab- or comma-separated, may be gzipped); the --top of highest
predicted activity are explained:

    python examples/attribution.py --model model.joblib --data table.tsv.gz --sequence seq \
        --target 0 --top 200 --maps maps.npz

It prints how well maps agree with the sites of the motifs, if these are known, and with the
ensemble's; it draws the sequence of highest predicted activity; and it writes the maps to --maps.
It needs the extra [attribution].
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import LRScheduler

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.attribution import (
    deep_lift_shap,
    ensemble_attribution,
    leave_one_out,
    map_cosine,
    map_rmse,
    saliency,
    saturation_mutagenesis,
    top_overlap,
)
from sklearn_degu.datasets import make_mpra
from sklearn_degu.recipes import deepstarr_net
from sklearn_degu.sequences import SequenceEncoder

try:
    import logomaker  # noqa: F401
    from matplotlib.figure import Figure

    from sklearn_degu.attribution.displays import MutagenesisDisplay, SequenceLogoDisplay
except ImportError as error:
    raise SystemExit(
        "The figure needs the extra [attribution]: pip install '.[attribution]'"
    ) from error

LENGTH = 80
N_MOTIFS = 1
MAX_MEMBERS = 10


class Task(NamedTuple):
    """A fitted Pipeline, strings of highest activity first, and where motifs are, if known."""

    model: Any
    strings: np.ndarray
    is_motif: np.ndarray | None


class Maps(NamedTuple):
    """Maps of one method (n, 4, length); members have one axis more."""

    student: np.ndarray
    ensemble: np.ndarray
    ensemble_std: np.ndarray
    members: np.ndarray
    student_seconds: float


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    task = simulate(options) if options.model is None else read(options)
    X = task.model[:-1].transform(task.strings)
    student = task.model[-1]
    methods = {"saliency": (saliency, {}), "DeepLIFT/SHAP": (deep_lift_shap, {"random_state": 0})}
    maps = {
        name: explain(method, student, X, {**params, "target": options.target})
        for name, (method, params) in methods.items()
    }
    if task.is_motif is not None:
        print(truth_table(task, maps))
    print(agreement_table(maps))
    print(epistemic_line(student, X, options.target))
    if options.maps is not None:
        np.savez(options.maps, **{name: one.student for name, one in maps.items()})
        print(f"Maps of the student: {options.maps}")
    draw(student, maps["DeepLIFT/SHAP"], X, options.target).savefig(options.figure, dpi=120)
    print(f"Figure: {options.figure}")


# Data


def simulate(options: argparse.Namespace) -> Task:
    """Train on a simulated assay, and take the most active of new sequences."""
    train, new = (
        make_mpra(n, seq_len=LENGTH, n_motifs=N_MOTIFS, r2=0.9, random_state=seed)
        for n, seed in ((options.rows, options.seed), (10 * options.top, options.seed + 1))
    )
    model = fit(train, options)
    rows = most_active(model, new.sequences, options)
    is_motif = np.zeros((len(new.sequences), LENGTH), dtype=bool)
    for site in new.sites[new.sites["motif"] < N_MOTIFS]:
        is_motif[site["row"], site["start"] : site["stop"]] = True
    return Task(model, new.sequences[rows], is_motif[rows])


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
    """Read a model and sequences."""
    model = joblib.load(options.model)
    strings = np.asarray(read_sequences(options))
    return Task(model, strings[most_active(model, strings, options)], None)


def read_sequences(options: argparse.Namespace) -> list[str]:
    open_text: Any = gzip.open if options.data.suffix == ".gz" else open
    with open_text(options.data, "rt", newline="") as file:
        delimiter = "\t" if "\t" in file.readline() else ","
        file.seek(0)
        return [row[options.sequence] for row in csv.DictReader(file, delimiter=delimiter)]


def most_active(model: Any, strings: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    """Return the rows of highest predicted activity, the highest first."""
    activity = model.predict(strings).reshape(len(strings), -1)[:, options.target]
    return np.argsort(-activity)[: options.top]


# Explanation


def explain(method: Any, student: Any, X: np.ndarray, params: dict[str, Any]) -> Maps:
    """Explain the student, its teacher and single members."""
    start = time.perf_counter()
    of_student = method(student, X, **params)
    seconds = time.perf_counter() - start
    mean, std, _ = ensemble_attribution(method, student.teacher_, X, **params)
    members = student.teacher_.member_modules()[:MAX_MEMBERS]
    of_members = np.stack([method(member, X, **params) for member in members])
    return Maps(of_student, mean, std, of_members, seconds)


def truth_table(task: Task, maps: dict[str, Maps]) -> str:
    """Return a table of how well the importance of positions tells the sites of motifs."""
    lines = ["| AUROC of sites of motifs | student | ensemble | mean member |", "|---|---|---|---|"]
    for name, one in maps.items():
        of_members = np.mean([auroc(task, member) for member in one.members])
        cells = (auroc(task, one.student), auroc(task, one.ensemble), of_members)
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in cells) + " |")
    return "\n".join([*lines, ""])


def auroc(task: Task, maps: np.ndarray) -> float:
    """Return the area under the curve over all positions of all sequences."""
    importance = np.linalg.norm(maps, axis=1)
    return float(roc_auc_score(task.is_motif.ravel(), importance.ravel()))


def agreement_table(maps: dict[str, Maps]) -> str:
    """Return a table of the agreement with the ensemble's mean map."""
    lines = [
        "| agreement with the ensemble | RMSE student | member | cosine student | member | "
        "sequences / s, student |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in maps.items():
        cells = [
            f"{metric(one.student, one.ensemble).mean():.4f} | "
            f"{leave_one_out(one.members, metric).mean():.4f}"
            for metric in (map_rmse, map_cosine)
        ]
        speed = len(one.student) / one.student_seconds
        lines.append(f"| {name} | {' | '.join(cells)} | {speed:,.0f} |")
    note = "Members are compared with the mean of the others, the student with that of all."
    return "\n".join([*lines, "", note])


def epistemic_line(student: Any, X: np.ndarray, target: int) -> str:
    """Say how far student and ensemble agree about what makes them unsure."""
    maps = [
        saliency(one, X, head="epistemic", target=target) for one in (student, student.teacher_)
    ]
    k = min(10, X.shape[2])
    return (
        f"Saliency of the epistemic head: cosine {map_cosine(*maps).mean():.3f}, "
        f"{top_overlap(*maps, k=k).mean():.1%} of the top {k} positions shared."
    )


# Figure


def draw(student: Any, maps: Maps, X: np.ndarray, target: int) -> Figure:
    """Draw the first sequence: logos of ensemble and student, and all substitutions."""
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    above, middle, below = figure.subplots(3, 1)
    label = "contribution"
    SequenceLogoDisplay.from_maps(maps.ensemble, X, std=maps.ensemble_std, ax=above, label=label)
    SequenceLogoDisplay.from_maps(maps.student, X, ax=middle, label=label)
    effects = saturation_mutagenesis(student, X[:1], target=target)
    MutagenesisDisplay.from_maps(effects, X[:1], ax=below)
    above.set_title("ensemble, DeepLIFT/SHAP, ± 2 standard deviations of the members", loc="left")
    middle.set_title("student, DeepLIFT/SHAP", loc="left")
    below.set_title("student, saturation mutagenesis", loc="left")
    above.get_legend().remove()
    for axis in (above, middle):
        axis.set_xlabel("")
    return figure


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, help="joblib file of a fitted Pipeline (default: simulated data)")
    add("--data", type=Path, help="delimited table of sequences, may be gzipped")
    add("--sequence", default="seq", help="its column of sequences (default: seq)")
    add("--target", type=int, default=0, help="target of the model, counted from 0 (default: 0)")
    add("--top", type=int, default=50, help="most active sequences to explain (default: 50)")
    add("--rows", type=int, default=7000, help="simulated sequences (default: 7000)")
    add("--members", type=int, default=3, help="members of the ensemble (default: 3)")
    add("--epochs", type=int, default=10, help="of members and student (default: 10)")
    add("--width", type=float, default=0.2, help="factor on the layers' width (default: 0.2)")
    add("--seed", type=int, default=0, help="decides everything random (default: 0)")
    add("--maps", type=Path, help="file for the student's maps (.npz)")
    add("--figure", default="attribution.png", help="file of the figure")
    options = parser.parse_args(arguments)
    if (options.model is None) != (options.data is None):
        parser.error("--model and --data go together")
    return options


if __name__ == "__main__":
    main()
