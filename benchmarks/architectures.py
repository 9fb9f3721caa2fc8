"""Nets of the recipes, one member each, against a ridge regression on 5-mers.

Every net trains for the same number of epochs of a one-cycle schedule, in bfloat16, ends with the
weights of its best epoch, and is small enough for a processor. With --augment it learns on edited
sequences, and then for two epochs on these as they are. Whatever is finished is kept.

    python benchmarks/architectures.py lentimpra_joint.tsv.gz --nets dream_rnn:0.25:2e-3

It prints, for the validation and the test fold, the Pearson correlation with every target, and the
seconds of the training.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from accuracy import Data, by_target, fit_ridge, load
from runs import Timed, add_table, kept
from scipy.stats import pearsonr
from skorch.callbacks import EarlyStopping

from sklearn_degu import EnsembleRegressor, recipes
from sklearn_degu.augmentation import Augment
from sklearn_degu.nets import OneCycle


class Net(NamedTuple):
    """A recipe, the factor on its width, and the peak of its learning rate."""

    recipe: str
    width: float
    lr: float

    @classmethod
    def parse(cls, text: str) -> Net:
        recipe, width, lr = text.split(":")
        return cls(recipe, float(width), float(lr))


def fit(chosen: Net, data: Data, options: argparse.Namespace) -> Timed:
    dropout = {} if options.dropout is None else {"module__dropout": options.dropout}
    net = getattr(recipes, f"{chosen.recipe}_net")(
        **dropout,
        module__width=chosen.width,
        lr=chosen.lr,
        max_epochs=options.epochs,
        batch_size=128,
        precision="bfloat16",
        device=options.device,
        callbacks=[
            ("one_cycle", OneCycle(pct_start=0.1)),
            ("best_weights", EarlyStopping(patience=options.epochs, load_best=True)),
        ],
    )
    edits = {"augment": Augment(), "fine_tune_epochs": 2} if options.augment else {}
    member = EnsembleRegressor(net, n_estimators=1, random_state=options.seed, verbose=2, **edits)
    settings = (*chosen, options.epochs, options.dropout, options.augment, options.seed)
    file = "-".join(map(str, settings)) + ".joblib"
    return kept(
        options.work / file,
        lambda: member.fit(data.train.X, data.train.y, X_val=data.valid.X, y_val=data.valid.y),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser, targets=["HepG2", "K562", "WTC11"])
    parser.add_argument("--nets", nargs="+", type=Net.parse, required=True, help="recipe:width:lr")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--dropout", type=float, help="every probability of it; else published")
    parser.add_argument("--augment", action="store_true", help="by EvoAug's edits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("architectures"))
    options = parser.parse_args()
    data = load(options)
    ridge = fit_ridge(data)
    rows = {"ridge on 5-mers": [ridge.predict(part.sequences) for part in (data.valid, data.test)]}
    seconds = {}
    for chosen in options.nets:
        fitted = fit(chosen, data, options)
        name = f"{chosen.recipe}, width {chosen.width:g}"
        rows[name] = [fitted.estimator.predict(part.X) for part in (data.valid, data.test)]
        seconds[name] = f"{fitted.seconds:.0f}"
    print("| model | validation | test | seconds |\n|---|---|---|---|")
    for name, predicted in rows.items():
        pairs = zip(predicted, (data.valid, data.test), strict=True)
        cells = [" / ".join(f"{r:.3f}" for r in by_target(pearsonr, p, s.y)) for p, s in pairs]
        print(f"| {name} | {' | '.join(cells)} | {seconds.get(name, '')} |")


if __name__ == "__main__":
    main()
