"""Train the members of an ensemble on the workers of a dask cluster, and distil them.

Without arguments a cluster is started on this machine, with a worker for every core:

    python examples/dask_cluster.py

On a cluster that is running already, name its scheduler; the workers need the same environment:

    python examples/dask_cluster.py --scheduler tcp://10.0.0.1:8786

Whatever joblib runs in the block is spread over the workers: the members of an ensemble here, as
well as the folds and grid points of scikit-learn's searches. The data are sent to every worker
once; a member whose worker dies is trained again by another, and goes on from its last epoch if
``--checkpoint-dir`` is a folder that all machines see.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import numpy as np
from dask.distributed import Client, LocalCluster
from sklearn.pipeline import make_pipeline

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.datasets import make_mpra
from sklearn_degu.recipes import deepstarr_net
from sklearn_degu.sequences import SequenceEncoder


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scheduler", help="address of a running scheduler")
    parser.add_argument("--workers", type=int, help="workers of the cluster on this machine")
    parser.add_argument("--checkpoint-dir", help="folder to keep the training in")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--width", type=float, default=0.125)
    return parser.parse_args(arguments)


@contextmanager
def connected(options: argparse.Namespace) -> Iterator[Client]:
    """Return a client of the cluster that was named, or of one on this machine."""
    if options.scheduler:
        with Client(options.scheduler) as client:
            yield client
        return
    # One thread a worker: a net trains on one, and a worker of its own shares nothing.
    cluster = LocalCluster(
        n_workers=options.workers or joblib.cpu_count(),
        threads_per_worker=1,
        dashboard_address=None,
    )
    with cluster, Client(cluster) as client:
        yield client


def main() -> None:
    options = parse()
    data = make_mpra(options.rows, random_state=0)
    test = np.arange(len(data.y)) % 10 == 0
    net = deepstarr_net(module__width=options.width, lr=3e-3, max_epochs=options.epochs)
    teacher = EnsembleRegressor(net, options.members, validation=0.1, strategy="processes")
    degu = DistilledRegressor(teacher, random_state=0, checkpoint_dir=options.checkpoint_dir)
    model = make_pipeline(SequenceEncoder(), degu)
    with connected(options) as client:
        print(f"{len(client.ncores())} workers, {sum(client.ncores().values())} threads")
        start = time.perf_counter()
        with joblib.parallel_config("dask"):
            model.fit(data.sequences[~test], data.y[~test])
        print(f"{options.members} members and a student in {time.perf_counter() - start:.0f} s")
    score = model.score(data.sequences[test], data.y[test])
    print(f"R2 of the student on {test.sum()} sequences that were held out: {score:.3f}")


if __name__ == "__main__":
    main()
