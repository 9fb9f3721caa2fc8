"""What the figures were measured on, and how fast it multiplies matrices.

python -m benchmarks.speed.machine
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 2048
REPEATS = 15


def describe() -> dict[str, Any]:
    """Return processor, cores, memory and operating system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def torch_speed(n_threads: int) -> float:
    """Return the operations a second of a float32 product of matrices of side 2048 in torch."""
    import torch

    torch.set_num_threads(n_threads)
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    return _speed(lambda: left @ right, REPEATS)


def numpy_speed() -> float:
    """Return the same in numpy: what the machine has to give at this moment."""
    left, right = np.random.default_rng(0).random((2, SIDE, SIDE), dtype=np.float32)
    return _speed(lambda: left @ right, 3)


def _speed(multiply: Callable[[], object], repeats: int) -> float:
    multiply()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        multiply()
        times.append(time.perf_counter() - start)
    return 2 * SIDE**3 / statistics.median(times)


def _processor() -> str:
    """Return the name that Linux gives the processor, with AVX-512 said if it is there."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    found = {key.strip(): text.strip() for key, _, text in pairs}
    name = found.get("model name", platform.machine())
    return f"{name}, AVX-512" if "avx512f" in found.get("flags", "").split() else name


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    peak = {str(n): torch_speed(n) for n in sorted({1, cores})}
    print(json.dumps({**describe(), "matrix_product_flop_s": peak}))


if __name__ == "__main__":
    main()
