"""The quickstart, small: from the command line as a user runs it, and its errors."""

import gzip
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_degu.datasets import make_mpra

pytest.importorskip("matplotlib")

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart.py"
SMALL = ["--members", "2", "--epochs", "2", "--width", "0.05"]


@pytest.fixture(scope="module")
def quickstart():
    return SimpleNamespace(**runpy.run_path(str(QUICKSTART)))


def run_quickstart(*arguments, folder):
    return subprocess.run(
        [sys.executable, str(QUICKSTART), *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def numbers(line):
    return [
        float(word.replace(",", "")) for word in re.findall(r"\s(-?[\d,]*\.?\d+)(?=\s|$)", line)
    ]


def lines_of(output, start):
    return [line for line in output.splitlines() if line.startswith(start)]


def write_table(path):
    """Write three targets, one of them with gaps, in seven folds."""
    data = make_mpra(140, seq_len=60, n_targets=3, random_state=0)
    cells = data.y.astype(str)
    cells[::5, 2] = "NA"
    cells[3] = "NA"
    with gzip.open(path, "wt") as file:
        file.write("seq\tHepG2\tK562\tWTC11\tfold\n")
        for i, (sequence, row) in enumerate(zip(data.sequences, cells, strict=True)):
            file.write("\t".join([sequence, *row, str(i % 7)]) + "\n")


@pytest.mark.slow
def test_quickstart_tells_accuracy_uncertainty_and_speed_on_simulated_data(tmp_path):
    run = run_quickstart("--rows", "300", *SMALL, "--figure", "out.png", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "240 sequences to train, 30 to validate and 30 to test on, of 80 bp" in run.stdout
    assert "member 2/2, 2 epochs" in run.stdout
    for target in ("activity 1", "activity 2"):
        accuracy, deviation = lines_of(run.stdout, target)
        assert "mean member" in accuracy
        pearson, spearman, mse, pearson_true = numbers(accuracy.split("mean member")[1])
        assert max(abs(pearson), abs(spearman), abs(pearson_true)) <= 1
        assert mse > 0
        *correlations, student, ensemble = numbers(deviation.removeprefix(target))
        assert max(np.abs(correlations)) <= 1
        assert student > 0
        assert ensemble > 0
    seconds, speed = numbers(lines_of(run.stdout, "student ")[-1])
    assert seconds > 0
    assert speed > 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_quickstart_reads_a_table_with_folds_and_gaps(tmp_path):
    write_table(tmp_path / "table.tsv.gz")
    options = ["--data", "table.tsv.gz", "--targets", "HepG2", "K562", "WTC11", "--split", "fold"]
    run = run_quickstart(
        *options, "--validate", "5", "--test", "6", "1", *SMALL, "--verbose", "2", folder=tmp_path
    )
    assert run.returncode == 0, run.stderr
    # Row 3 has no measurement; it lies in fold 3, which is trained on.
    assert "79 sequences to train, 20 to validate and 40 to test on, of 60 bp" in run.stdout
    assert "member 1/2, epoch 2/2" in run.stdout
    assert "true activity" not in run.stdout
    for target in ("HepG2", "K562", "WTC11"):
        assert len(lines_of(run.stdout, target)) == 2
    assert "nan" not in run.stdout
    assert (tmp_path / "quickstart.png").exists()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_quickstart_repeats_itself(quickstart, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    printed = []
    for _ in range(2):
        quickstart.main(["--rows", "200", *SMALL, "--seed", "3"])
        printed.append(lines_of(capsys.readouterr().out, "activity"))
    assert printed[0] == printed[1]


def test_quickstart_names_the_extra_that_brings_matplotlib(quickstart, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match=r"pip install '\.\[plots\]'"):
        quickstart.main([])


def test_quickstart_refuses_folds_that_are_not_there(quickstart):
    with pytest.raises(SystemExit, match=r"There are 0 rows to test on\. The folds are 0, 1, 2"):
        quickstart.main(["--rows", "50", "--test", "tenth"])


def test_quickstart_asks_for_the_targets_of_a_table(quickstart, capsys):
    with pytest.raises(SystemExit):
        quickstart.main(["--data", "table.tsv"])
    assert "--data needs --targets" in capsys.readouterr().err
