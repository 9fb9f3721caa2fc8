"""DEGU on the data sets of its paper: download, train, distil, and compare on the test sequences.

    python examples/published_data.py deepstarr --device cuda --checkpoint-dir kept
    python examples/published_data.py lentimpra-K562 --device cuda --checkpoint-dir kept

The data (400,000 fly sequences with two activities, or 140,000 and 226,000 human ones with the
deviation of three replicates) come from where they were published, once, and need the extra
[download]. The split is the published one, with reverse complements on one side. A run that was
cut off goes on from --checkpoint-dir. Members learn on edited sequences unless --no-augment is
given, and the student on new ones in every epoch. The net is that of the paper unless --net names
another: of human sequences mprann learned more, and sooner. It prints how mean member, ensemble
and student agree with the measurements, and the student's deviations with the ensemble's.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_degu import DistilledRegressor, EnsembleRegressor, recipes
from sklearn_degu.augmentation import Augment
from sklearn_degu.datasets import fetch_deepstarr, fetch_lentimpra
from sklearn_degu.metrics import pearson_correlation, spearman_correlation
from sklearn_degu.sequences import SequenceEncoder


class Part(NamedTuple):
    """Sequences of one part of the split: one-hot (n, 4, length), activities and replicates."""

    X: np.ndarray
    y: np.ndarray
    replicates: np.ndarray | None


class Assay(NamedTuple):
    """A data set, and the net that reads it."""

    parts: dict[str, Part]
    targets: list[str]
    net: Any


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    assay = load(options)
    rows = ", ".join(f"{len(part.X):,} to {name}" for name, part in assay.parts.items())
    print(f"Sequences: {rows}.")
    start = time.perf_counter()
    model = fit(assay, options)
    print(f"Trained in {(time.perf_counter() - start) / 60:.1f} minutes.")
    print(comparison(model, assay))
    if options.model is not None:
        encoder = SequenceEncoder().fit(["A" * assay.parts["test"].X.shape[2]])
        joblib.dump(make_pipeline(encoder, model), options.model)
        print(f"Model: {options.model}")


# Data


def load(options: argparse.Namespace) -> Assay:
    if options.data == "deepstarr":
        data = fetch_deepstarr(data_home=options.data_home)
        X = SequenceEncoder().fit_transform(data.sequences)
        return Assay(split(data, X), data.target_names, net(options, "deepstarr"))
    data = fetch_lentimpra(options.data.removeprefix("lentimpra-"), data_home=options.data_home)
    return Assay(split(data, data.X), data.target_names, net(options, "residualbind"))


def net(options: argparse.Namespace, of_the_paper: str) -> Any:
    recipe = getattr(recipes, f"{options.net or of_the_paper}_net")
    return recipe(max_epochs=options.epochs)


def split(data: Any, X: np.ndarray) -> dict[str, Part]:
    replicates = None
    if "replicate_std" in data:
        # The replicates themselves were not published: these have their mean and deviation, which
        # is all that the likelihood of the noise looks at.
        replicates = data.y[:, np.newaxis] + data.replicate_std[:, np.newaxis] * [-1, 0, 1]
    parts = {}
    for name in ("train", "valid", "test"):
        rows = data.split == name
        some = None if replicates is None else replicates[rows]
        parts[name] = Part(X[rows], data.y[rows], some)
    return parts


# Training


def fit(assay: Assay, options: argparse.Namespace) -> DistilledRegressor:
    train, valid = assay.parts["train"], assay.parts["valid"]
    given = {}
    if train.replicates is not None:
        given = {"replicates": train.replicates, "replicates_val": valid.replicates}
    teacher = EnsembleRegressor(
        assay.net.set_params(device=options.device),
        n_estimators=options.members,
        aleatoric=None if train.replicates is None else "replicates",
        augment=Augment() if options.augment else None,
        fine_tune_epochs=5 if options.augment else 0,
        n_jobs=options.jobs,
        verbose=options.verbose,
    )
    # New sequences in every epoch, each labelled by two random members where there are.
    student = DistilledRegressor(
        teacher,
        copy_epochs=1,
        n_sampled_members=2 if options.members > 1 else None,
        checkpoint_dir=options.checkpoint_dir,
        random_state=options.seed,
        verbose=options.verbose,
    )
    return student.fit(train.X, train.y, X_val=valid.X, y_val=valid.y, **given)


# Comparison


def comparison(model: DistilledRegressor, assay: Assay) -> str:
    """Return a Markdown table of accuracy, and one of the deviations."""
    test = assay.parts["test"]
    shape = (-1, len(assay.targets))
    members = [said.reshape(shape) for said in model.teacher_.predict_members(test.X)]
    ensemble, student = (said.predict_components(test.X) for said in (model.teacher_, model))
    y = test.y.reshape(shape)
    lines = ["| target | | mean member | ensemble | student |", "|---|---|---|---|---|"]
    for t, target in enumerate(assay.targets):
        said = [ensemble["mean"].reshape(shape)[:, t], student["mean"].reshape(shape)[:, t]]
        for score in (pearson_correlation, spearman_correlation):
            member = np.mean([score(y[:, t], one[:, t]) for one in members])
            figures = [member, *(score(y[:, t], one) for one in said)]
            name = score.__name__.split("_")[0].capitalize()
            lines.append(f"| {target} | {name} | {' | '.join(f'{f:.3f}' for f in figures)} |")
    lines += ["", "| target | deviation | Pearson of student and ensemble |", "|---|---|---|"]
    for kind in model.uncertainty_kinds_:
        pair = [said[kind].reshape(shape) for said in (ensemble, student)]
        for t, target in enumerate(assay.targets):
            agreement = pearson_correlation(*(said[:, t] for said in pair))
            lines.append(f"| {target} | {kind} | {agreement:.3f} |")
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=["deepstarr", "lentimpra-HepG2", "lentimpra-K562"])
    nets = ["deepstarr", "dream_rnn", "mprann", "residualbind"]
    parser.add_argument("--net", choices=nets, help="another than that of the paper")
    parser.add_argument("--data-home", help="folder of the downloads")
    parser.add_argument("--checkpoint-dir", help="folder to keep the training in")
    parser.add_argument("--model", help="file to keep the trained model in, by joblib")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=100, help="at most; training stops early")
    parser.add_argument(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether members learn on edited sequences, and then on these as they are",
    )
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument("--jobs", type=int, default=-1, help="members at a time on a CPU")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
