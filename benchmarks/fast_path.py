"""Whether the k-mer tables of the first block leave the accuracy as it is.

Trains the same members, seed by seed, with the tables and with the ordinary convolution, on all
folds of a table but two, and prints the Pearson correlation of every member on the test fold. Both
compute the same numbers up to rounding, which training makes larger: what is compared is whether
the difference is within that of the seeds.

    python benchmarks/fast_path.py lentimpra_joint.tsv.gz --targets HepG2 K562 WTC11
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from runs import add_table, seed_table, small_net
from scipy.stats import pearsonr

from sklearn_degu import EnsembleRegressor
from sklearn_degu.datasets import read_table
from sklearn_degu.modules import one_hot
from sklearn_degu.sequences import SequenceEncoder


def main() -> None:
    options = arguments()
    table = read_table(
        options.table, sequence=options.sequence, targets=options.targets, split=options.split
    )
    X = SequenceEncoder().fit_transform(table.sequences)
    y = table.y.reshape(len(X), -1)
    fold = np.asarray(table.split).astype(str)
    valid, test = fold == options.validate, fold == options.test
    train = ~valid & ~test
    tables = one_hot.kmer_tables
    reached = {}
    for path in ("tables", "convolution"):
        one_hot.kmer_tables = tables if path == "tables" else lambda: None
        start = time.perf_counter()
        ensemble = EnsembleRegressor(
            small_net(options.epochs, options.width), options.seeds, n_jobs=-1, random_state=0
        ).fit(X[train], y[train], X_val=X[valid], y_val=y[valid])
        seconds = time.perf_counter() - start
        reached[path] = pearson(ensemble.predict_members(X[test]), y[test])
        print(f"{path}: {seconds:.0f} s for {options.seeds} members of {options.epochs} epochs")
    rows = [
        {
            f"{target}, {path}": reached[path][seed, t]
            for t, target in enumerate(table.target_names)
            for path in reached
        }
        for seed in range(options.seeds)
    ]
    print(seed_table("Pearson on the test fold", rows))


def pearson(members: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlation of every member with every target, of shape (n_members, t)."""
    measured = ~np.isnan(y)
    return np.array(
        [
            [pearsonr(member[rows, t], y[rows, t]).statistic for t, rows in enumerate(measured.T)]
            for member in members
        ]
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_table(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=float, default=1.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
