"""Time ours and the rivals.

    python -m benchmarks.speed setup --env rivals
    rivals/bin/python -m benchmarks.speed run train pipeline --rounds 5 --results runs.jsonl
    rivals/bin/python -m benchmarks.speed report --results runs.jsonl --output speed.md

``run`` appends every run to the file of results; ``report`` writes the last session of every
study. ``run`` without a study runs all of them. Nets on several threads suffer most from other
work on the machine, rivals therefore more than ours: on a machine that is not idle, give
``--quiet`` most of what numpy reaches on it.

``--device cuda`` times ours (``--jobs 1``, with ``--strategy joint`` or ``loop``), ``skorch``,
``torch_loop`` and ``torch_ensemble`` on a GPU, which has not been tried.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from benchmarks.speed.contestants import CONTESTANTS
from benchmarks.speed.environment import make_environment
from benchmarks.speed.figures import read_last_runs
from benchmarks.speed.report import report
from benchmarks.speed.rounds import run_machine, run_study
from benchmarks.speed.studies import STUDIES
from benchmarks.speed.work import Work


def main() -> None:
    arguments = _parser().parse_args()
    arguments.act(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Speed")
    commands = parser.add_subparsers(required=True)
    setup = commands.add_parser("setup", help="make the environment of the rivals")
    setup.add_argument("--env", type=Path, required=True)
    setup.set_defaults(act=_setup)
    run = commands.add_parser("run", help="run studies")
    run.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(["machine", *STUDIES]))
    run.add_argument("--rounds", type=int, default=5)
    run.add_argument(
        "--quiet", type=float, default=0.0, help="wait until numpy multiplies at so many GFLOP/s"
    )
    run.add_argument("--results", type=Path, required=True)
    run.add_argument("--contestants", nargs="+", choices=sorted(CONTESTANTS))
    for field in fields(Work):
        run.add_argument(f"--{field.name}", type=type(field.default))
    run.set_defaults(act=_run)
    write = commands.add_parser("report", help="write the tables")
    write.add_argument("--results", type=Path, required=True)
    write.add_argument("--output", type=Path, required=True)
    write.set_defaults(act=_report)
    return parser


def _setup(arguments: argparse.Namespace) -> None:
    print(f"The rivals' Python: {make_environment(arguments.env)}")


def _run(arguments: argparse.Namespace) -> None:
    given = _given(arguments)
    for name in arguments.studies or ["machine", *STUDIES]:
        if name == "machine":
            run_machine(arguments.results)
            continue
        study = STUDIES[name]
        if arguments.contestants:
            study = replace(study, contestants=tuple(arguments.contestants))
        run_study(name, study, given, arguments.rounds, arguments.quiet * 1e9, arguments.results)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was said of the work, in place of the studies' own settings."""
    said = {field.name: getattr(arguments, field.name) for field in fields(Work)}
    return {name: value for name, value in said.items() if value is not None}


def _report(arguments: argparse.Namespace) -> None:
    text = report(read_last_runs(arguments.results))
    arguments.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
