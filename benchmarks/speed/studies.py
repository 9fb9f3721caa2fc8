"""What is compared: for every study its task, its contestants, and the work it varies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.speed.work import Work


@dataclass(frozen=True)
class Study:
    """A task, who does it, and on what.

    ``settings`` are the work's defaults in this study; ``axis`` is what grows, over ``values``.
    """

    task: str
    contestants: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    axis: str = ""
    values: tuple[int, ...] = ()

    def works(self, given: dict[str, Any]) -> Iterator[Work]:
        """Yield the work of every point, with what was asked for in place of the defaults."""
        work = replace(Work(), **{**self.settings, **given})
        if not self.axis:
            yield work
        for value in self.values:
            point: dict[str, Any] = {self.axis: value}
            yield replace(work, **point)


OURS = ("ours",)
ALL_NETS = ("ours", "skorch", "torch_loop", "keras", "torch_ensemble", "bagging")
SHORT = {"members": 2, "epochs": 1}

STUDIES = {
    "train": Study("train", ALL_NETS),
    "pipeline": Study("pipeline", ("ours", "keras")),
    "predict_ensemble": Study("predict_ensemble", ("ours", "keras", "torch_loop"), {"epochs": 1}),
    "predict_student": Study("predict_student", ("ours", "keras"), {"epochs": 1, "members": 2}),
    "tabular": Study(
        "train",
        ("ours_mlp", "torch_mlp", "torch_mlp_one_thread"),
        {"n": 2000, "epochs": 100, "batch": 256},
    ),
    "growth_n": Study("train", OURS, SHORT, "n", (4096, 16384, 65536)),
    "growth_members": Study("train", OURS, {"epochs": 1}, "members", (2, 4, 6, 8, 10)),
    "growth_length": Study("train", OURS, SHORT, "length", (125, 250, 500, 1000)),
    "memory": Study("train", OURS, {"n": 402_296, "members": 2, "epochs": 1, "width": 0.0625}),
}
