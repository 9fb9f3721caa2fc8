"""The runner of the speed benchmarks, without its rivals."""

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks.speed import rounds
from benchmarks.speed import work as work_module
from benchmarks.speed.acceptance import wanted
from benchmarks.speed.contestants import CONTESTANTS, NAMES, TABULAR
from benchmarks.speed.contestants.torch_nets import PlainDeepSTARR, plain_mlp
from benchmarks.speed.environment import REPOSITORY
from benchmarks.speed.figures import Spread, by_contestant, exponent, ratio, read_last_runs
from benchmarks.speed.report import report
from benchmarks.speed.studies import STUDIES
from benchmarks.speed.work import (
    Work,
    deepstarr_flop,
    load_sequences,
    load_table,
    make_sequences,
    one_hot,
)
from sklearn_degu.modules import MLP, DeepSTARR


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(work_module.tempfile, "gettempdir", lambda: str(tmp_path))


def run(contestant, round_number, seconds, study="train", **more):
    return {
        "study": study,
        "contestant": contestant,
        "round": round_number,
        "date": "2026-01-01 00:00:00",
        "work": vars(Work(members=2, epochs=1)),
        "seconds": seconds,
        "epoch": seconds / 2,
        "fastest_epoch": None,
        "pearson": [0.8, 0.7],
        "peak_mib": 500,
        "numpy_flop_s": 2e11,
        "versions": {"torch": "2.13.0"},
        **more,
    }


def test_work_is_read_back_from_its_arguments():
    work = Work(n=7, members=3, width=0.5, strategy="", jobs=-1)
    parser = argparse.ArgumentParser()
    Work.add_arguments(parser, Work())
    assert Work.parse(parser.parse_args(work.arguments())) == work


def test_flop_of_deepstarr_are_those_of_its_layers():
    forward, training = deepstarr_flop(249)
    assert forward == pytest.approx(19.62e6, rel=1e-3)
    assert training == pytest.approx(55.30e6, rel=1e-3)


def test_sequences_are_one_hot_and_the_same_when_read_again():
    work = Work(n=40, length=64)
    first, second = load_sequences(work), load_sequences(work)
    assert first.X_train.shape == (40, 4, 64)
    assert first.X_val.shape == (4, 4, 64)
    assert (first.X_train.sum(axis=1) == 1).all()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sequences_are_made_once():
    work = Work(n=40, length=64)
    made = make_sequences(work)
    when = made.stat().st_mtime_ns
    assert make_sequences(work) == made
    assert made.stat().st_mtime_ns == when


def test_targets_belong_to_their_sequences():
    data = load_sequences(Work(n=2000, length=64))
    gc = data.X_train[:, 1:3].mean(axis=(1, 2))
    test_gc = data.X_test[:, 1:3].mean(axis=(1, 2))
    assert np.corrcoef(gc, data.y_train[:, 1])[0, 1] > 0.3
    assert np.corrcoef(test_gc, data.y_test[:, 1])[0, 1] > 0.3


def test_one_hot_of_codes():
    np.testing.assert_array_equal(one_hot(np.array([[0, 3]]))[0], [[1, 0], [0, 0], [0, 0], [0, 1]])


@pytest.mark.parametrize(
    ("plain", "ours"),
    [
        (PlainDeepSTARR(2, 249), DeepSTARR(2, 249)),
        (plain_mlp(10, 1), MLP(10, 1)),
    ],
)
def test_rivals_train_as_many_weights_as_ours(plain, ours):
    counts = [sum(p.numel() for p in net.parameters()) for net in (plain, ours)]
    assert counts[0] == counts[1]


def test_plain_net_reads_flattened_sequences_alike():
    net = PlainDeepSTARR(2, 32).eval()
    X = torch.rand(3, 4, 32)
    torch.testing.assert_close(net(X), net(X.flatten(1)))


def test_every_contestant_has_a_name_and_every_study_known_contestants():
    assert set(NAMES) == set(CONTESTANTS) >= set(TABULAR)
    for study in STUDIES.values():
        assert set(study.contestants) <= set(CONTESTANTS)
        assert study.contestants[0].startswith("ours")


def test_study_varies_its_axis_and_takes_what_is_given():
    works = list(STUDIES["growth_n"].works({"epochs": 3}))
    assert [work.n for work in works] == [4096, 16384, 65536]
    assert {work.epochs for work in works} == {3}


def test_order_alternates():
    assert rounds.alternating("abc", 0) == ["a", "b", "c"]
    assert rounds.alternating("abc", 1) == ["c", "b", "a"]


def test_waits_until_the_machine_is_quiet(monkeypatch):
    speeds = iter([1.0, 2.0, 5.0, 9.0])
    monkeypatch.setattr(rounds, "numpy_speed", lambda: next(speeds))
    monkeypatch.setattr(rounds, "PAUSE", 0.0)
    assert rounds.wait_until_quiet(4.0) == 5.0


def test_goes_on_when_the_machine_stays_busy(monkeypatch):
    monkeypatch.setattr(rounds, "numpy_speed", lambda: 1.0)
    monkeypatch.setattr(rounds, "PATIENCE", 0.0)
    assert rounds.wait_until_quiet(4.0) == 1.0


def test_ratio_pairs_the_rounds():
    runs = by_contestant(
        [run("skorch", 1, 9.0), run("skorch", 0, 4.0), run("ours", 0, 2.0), run("ours", 1, 3.0)]
    )
    assert ratio(runs["skorch"], runs["ours"]) == (6.5 / 2.5, 2.0, 3.0)


def test_spread_is_median_and_quartiles():
    assert Spread.of([5, 1, 2, 3, 4]) == (2, 3, 4)


def test_exponent_of_a_power_law():
    points = np.array([1.0, 10.0, 100.0])
    assert exponent(points, 3 * points**1.05) == pytest.approx(1.05)


def test_only_the_last_session_of_a_study_counts(tmp_path):
    path = tmp_path / "runs.jsonl"
    later = {**run("ours", 0, 2.0), "date": "2026-01-02 00:00:00"}
    path.write_text("".join(json.dumps(record) + "\n" for record in (run("ours", 0, 9.0), later)))
    assert [record["seconds"] for record in read_last_runs(path)["train"]] == [2.0]


def test_report_has_ratios_and_says_what_is_met():
    runs = [run("skorch", 0, 8.0), run("ours", 0, 2.0), run("torch_loop", 0, 6.0)]
    text = report({"train": runs})
    assert "| skorch, one after another | 8.00 [8.00, 8.00] |" in text
    assert "4.00 [4.00, 4.00]" in text
    assert "All members learned the task" in text
    met = {row["wanted"]: row[""] for row in wanted({"train": runs})}
    assert met == {"train: skorch over ours": "yes", "train: torch_loop over ours": "**no**"}


def test_report_names_who_has_not_learned():
    runs = [run("skorch", 0, 8.0, pearson=[0.1, 0.9]), run("ours", 0, 2.0)]
    assert "**Members have not learned (Pearson below 0.3 in a run): skorch" in report(
        {"train": runs}
    )


def test_table_target_is_learnable():
    data = load_table(Work(n=500))
    assert data.X_train.shape == (500, 10)
    assert np.corrcoef(data.X_train[:, 0], data.y_train[:, 0])[0, 1] > 0.3


@pytest.mark.slow
def test_worker_prints_a_line_of_json():
    command = [sys.executable, "-m", "benchmarks.speed.worker", "torch_mlp"]
    small = Work(n=64, members=2, epochs=1, batch=32)
    done = subprocess.run(
        [*command, *small.arguments()], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["seconds"] > 0
    assert result["peak_mib"] > 0
    assert len(result["pearson"]) == 1
