"""What our training costs over a hand-written PyTorch loop of the same arithmetic.

An epoch of a small multilayer perceptron on 2,000 rows of 10 features, and an epoch of one
DeepSTARR member, each against a loop that indexes tensors, steps Adam and does nothing else. The
two run in alternating order, on one thread; the ratio of a round is ours over the loop's.

    python benchmarks/overhead.py [--rounds 5] [--rows 4096]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from skorch import NeuralNet
from torch import nn

from sklearn_degu import EnsembleRegressor
from sklearn_degu.modules import MLP, DeepSTARR
from sklearn_degu.recipes import deepstarr_net, mlp_net

BATCH = 128


def plain_loop(module: nn.Module, X: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """Return the seconds an epoch of a loop that does nothing but train."""
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    loss_of = nn.MSELoss()
    module.train()
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        order = torch.randperm(len(inputs))
        total = torch.zeros(())
        for i in range(0, len(inputs), BATCH):
            index = order[i : i + BATCH]
            optimizer.zero_grad()
            loss = loss_of(module(inputs[index].float()), targets[index])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(index)
        total.item()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def ours(net: NeuralNet, X: np.ndarray, y: np.ndarray) -> float:
    """Return the seconds an epoch that the estimator records."""
    ensemble = EnsembleRegressor(net, n_estimators=1, random_state=0).fit(X, y)
    return float(np.median(ensemble.history_["seconds"]))


def compare(
    name: str, limit: float, rounds: int, mine: Callable[[], float], loop: Callable[[], float]
) -> None:
    """Time both in alternating order and print the ratios."""
    pairs = []
    for i in range(rounds):
        if i % 2 == 0:
            first = mine()
            pairs.append((first, loop()))
        else:
            first = loop()
            pairs.append((mine(), first))
    ratios = sorted(a / b for a, b in pairs)
    medians = [statistics.median(part) for part in zip(*pairs, strict=True)]
    print(
        f"{name}: ours {medians[0] * 1e3:.1f} ms, loop {medians[1] * 1e3:.1f} ms an epoch; ratio "
        f"of medians {medians[0] / medians[1]:.3f}, rounds {ratios[0]:.3f} to {ratios[-1]:.3f} "
        f"(wanted: at most {limit:.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of training over a plain PyTorch loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4096)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)

    X = rng.normal(size=(2000, 10)).astype(np.float32)
    y = (X[:, :1] + X[:, 1:2] ** 2).astype(np.float32)
    net = mlp_net(lr=1e-3, batch_size=BATCH, max_epochs=50)
    compare(
        "MLP, 2,000 x 10",
        1.40,
        2 * arguments.rounds,
        lambda: ours(net, X, y),
        lambda: plain_loop(MLP(10, 1), X, y, epochs=50),
    )

    bases = rng.integers(0, 4, size=(arguments.rows, 1, 249))
    sequences = (bases == np.arange(4)[:, np.newaxis]).astype(np.uint8)
    activity = rng.normal(size=(arguments.rows, 2)).astype(np.float32)
    deepstarr = deepstarr_net(max_epochs=2, callbacks=None, batch_size=BATCH)
    compare(
        f"DeepSTARR, {arguments.rows:,} x 249 bp",
        1.10,
        arguments.rounds,
        lambda: ours(deepstarr, sequences, activity),
        lambda: plain_loop(DeepSTARR(2, 249), sequences, activity, epochs=2),
    )


if __name__ == "__main__":
    main()
