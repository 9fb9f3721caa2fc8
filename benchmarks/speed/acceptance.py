"""What is wanted of the speed, and what the runs have reached."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.speed.figures import (
    Record,
    by_contestant,
    exponent,
    fastest_epoch,
    mean_epoch,
    medians_along,
    ratio,
)

MOST_BYTES = 3e9
STEEPEST = 1.05

# Study, rival, its least time over ours.
LEAST_RATIOS = (
    ("train", "skorch", 3.0),
    ("train", "torch_loop", 4.0),
    ("pipeline", "keras", 3.0),
    ("predict_ensemble", "keras", 2.3),
    ("predict_student", "keras", 2.0),
    ("tabular", "torch_mlp", 1 / 1.15),
    ("tabular", "torch_mlp_one_thread", 1 / 1.15),
)
LEAST_FASTEST_EPOCH = 2.2


def wanted(studies: dict[str, list[Record]]) -> list[dict[str, str]]:
    """Return a row for every requirement whose study was run."""
    return [*_ratios(studies), *_fast_mode(studies), *_growth(studies), *_memory(studies)]


def _ratios(studies: dict[str, list[Record]]) -> Iterator[dict[str, str]]:
    for study, rival, least in LEAST_RATIOS:
        runs = by_contestant(studies.get(study, ()))
        ours = next((name for name in runs if name.startswith("ours")), None)
        if ours is not None and rival in runs:
            reached = ratio(runs[rival], runs[ours]).of_medians
            yield _row(
                f"{study}: {rival} over ours",
                f"at least {least:.2f}",
                reached >= least,
                f"{reached:.2f}",
            )


def _fast_mode(studies: dict[str, list[Record]]) -> Iterator[dict[str, str]]:
    """Compare our mean epoch with the fastest of the official procedure, compilation left out."""
    runs = by_contestant(studies.get("train", ()))
    fastest = fastest_epoch(runs.get("keras", ()))
    if fastest is not None and "ours" in runs:
        reached = fastest / mean_epoch(runs["ours"])
        yield _row(
            "train: fastest keras epoch over our mean",
            f"at least {LEAST_FASTEST_EPOCH}",
            reached >= LEAST_FASTEST_EPOCH,
            f"{reached:.2f}",
        )


def _growth(studies: dict[str, list[Record]]) -> Iterator[dict[str, str]]:
    for axis in ("n", "members"):
        if records := studies.get(f"growth_{axis}"):
            reached = exponent(*medians_along(records, axis))
            yield _row(
                f"exponent of the time in {axis}",
                f"at most {STEEPEST}",
                reached <= STEEPEST,
                f"{reached:.3f}",
            )


def _memory(studies: dict[str, list[Record]]) -> Iterator[dict[str, str]]:
    if records := studies.get("memory"):
        peak = max(record["peak_mib"] for record in records) * 2**20
        rows = records[0]["work"]["n"]
        yield _row(
            f"peak memory with {rows:,} rows",
            f"below {MOST_BYTES / 1e9:.0f} GB",
            peak < MOST_BYTES,
            f"{peak / 1e9:.2f} GB",
        )


def _row(what: str, limit: str, met: bool, reached: str) -> dict[str, str]:
    return {"wanted": what, "limit": limit, "reached": reached, "": "yes" if met else "**no**"}
