"""The examples, small: from the command line as a user runs them, and their errors."""

import gzip
import re
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import joblib
import numpy as np
import pytest

from sklearn_degu.datasets import make_mpra
from sklearn_degu.modules import DeepSTARR, MPRAnn, ResidualBind
from sklearn_degu.sequences import SequenceEncoder

pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICKSTART = EXAMPLES / "quickstart.py"
CONFORMAL = EXAMPLES / "conformal_coverage.py"
ATTRIBUTION = EXAMPLES / "attribution.py"
NOISY = {"epistemic", "aleatoric", "total"}
SMALL = ["--members", "2", "--epochs", "2", "--width", "0.05"]


@pytest.fixture(scope="module")
def quickstart():
    return SimpleNamespace(**runpy.run_path(str(QUICKSTART)))


@pytest.fixture(scope="module")
def conformal():
    return SimpleNamespace(**runpy.run_path(str(CONFORMAL)))


def run_quickstart(*arguments, folder):
    return run_example(QUICKSTART, *arguments, folder=folder)


def run_example(script, *arguments, folder):
    return subprocess.run(
        [sys.executable, str(script), *arguments],
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
    options += ["--augment"]
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


def write_replicates(path):
    """Write 20 rows on each of eight chromosomes, in origins of two rows, with gaps and a copy."""
    data = make_mpra(160, seq_len=60, n_replicates=4, random_state=0)
    data.sequences[1] = data.sequences[0]  # held out, and trained on
    cells = data.replicates.astype(str)
    cells[::2, 3] = "NA"
    cells[9] = "NA"
    with gzip.open(path, "wt") as file:
        file.write("seq\trep1\trep2\trep3\trep4\tchrom\torigin\n")
        for i, (sequence, row) in enumerate(zip(data.sequences, cells, strict=True)):
            file.write("\t".join([sequence, *row, f"chr{i % 8}", f"{i % 8}:{i // 16}"]) + "\n")


def table_cells(output, title):
    """Return the cells of a Markdown table of intervals by level and score."""
    lines = output.split(f"Intervals, {title}:\n\n")[1].split("\n\n")[0].splitlines()[2:]
    rows = [line.strip("| ").split(" | ") for line in lines]
    return {(float(level), score): cells for level, score, *cells in rows}


def known_predictions(conformal, n=4000):
    """Return draws from normal distributions, predicted with their true deviations."""
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 3, size=n)
    return conformal.Predicted(rng.normal(0, std), np.zeros(n), std)


@pytest.mark.slow
def test_conformal_coverage_tells_its_tables_on_simulated_data(tmp_path):
    options = ["--rows", "400", *SMALL, "--splits", "5", "--figure", "out.png"]
    run = run_example(CONFORMAL, *options, folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "Rows to train on: 240, to stop on: 40, held out: 120." in run.stdout
    for name in ("ensemble", "student"):
        (line,) = lines_of(run.stdout, f"| {name} |")
        correlations = [float(number) for number in re.findall(r"-?\d\.\d+", line)]
        assert len(correlations) == 4
        assert max(np.abs(correlations)) <= 1
    for title in ("means over 5 random halves of the groups", "calibrated on 3, tested on 1, 2"):
        assert len(table_cells(run.stdout, title)) == 6
    assert "nan" not in run.stdout
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_conformal_coverage_of_a_kept_model_is_that_of_the_fitted_one(
    conformal, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_replicates(tmp_path / "table.tsv.gz")
    options = ["--data", "table.tsv.gz", "--replicates", "rep1", "rep2", "rep3", "rep4"]
    options += ["--split", "chrom", "--groups", "origin", "--validate", "chr4"]
    options += ["--calibrate", "chr1", "chr2", "chr3", "--keep", "model.joblib", "--splits", "3"]
    printed = []
    for _ in range(2):
        conformal.main([*options, *SMALL])
        printed.append(capsys.readouterr().out)
    fitted, kept = printed
    # Row 9, on chr1, has no measurement.
    assert "Rows to train on: 80, to stop on: 20, held out: 59." in fitted
    assert "member 2/2" in fitted
    assert "member" not in kept
    assert "Taking the model from model.joblib." in kept
    copies = "Left out as copies of rows that the model knows: 1."
    assert fitted[fitted.index(copies) :] == kept[kept.index(copies) :]


def test_normalized_intervals_cover_every_third_and_absolute_ones_only_all_rows(conformal):
    predicted = known_predictions(conformal)
    held_out = SimpleNamespace(y=predicted.y, group=np.arange(len(predicted.y)))
    splits = conformal.halves(held_out, SimpleNamespace(splits=20, seed=0))
    rows = table_cells(conformal.coverage_table("halves", predicted, splits) + "\n", "halves")
    for level in (0.8, 0.9, 0.95):
        normalized, absolute = (
            np.array(rows[level, score], dtype=float) for score in ("normalized", "absolute")
        )
        for coverage, deviation, _, _, *thirds, lowest in (normalized, absolute):
            assert coverage == pytest.approx(level, abs=0.02)
            assert 0 < deviation < 0.03
            assert np.mean(thirds) == pytest.approx(coverage, abs=0.002)
            assert lowest <= min(thirds) + 0.001
        assert normalized[4:7] == pytest.approx(level, abs=0.03)
        assert absolute[4] > level + 0.03
        assert absolute[6] < level - 0.03
        # Interval scores.
        assert normalized[3] < absolute[3]
    # The width of a normal distribution's interval, twice 1.645 deviations of 1.75 on average.
    assert float(rows[0.9, "normalized"][2]) == pytest.approx(5.76, rel=0.03)


def test_one_split_has_no_deviation_between_splits(conformal):
    predicted = known_predictions(conformal, n=300)
    split = np.arange(100), np.arange(100, 300)
    rows = table_cells(conformal.coverage_table("one", predicted, [split]) + "\n", "one")
    assert {cells[1] for cells in rows.values()} == {"-"}


def test_groups_are_never_calibrated_and_tested_on_at_once(conformal):
    group = np.repeat(np.arange(30), np.arange(1, 31))
    held_out = SimpleNamespace(y=np.zeros(len(group)), group=group)
    splits = conformal.halves(held_out, SimpleNamespace(splits=4, seed=0))
    tested = []

    def intervals(score, levels, calibrate, test):
        splits.append((calibrate, test))
        tested.extend(test)
        return None, np.zeros(len(test)), np.ones(len(test))

    predicted = SimpleNamespace(y=held_out.y, intervals=intervals)
    conformal.tested_once(predicted, "absolute", 0.9, group, 0)
    assert len(splits) == 4 + 10
    for calibrate, test in splits:
        assert not set(group[calibrate]) & set(group[test])
    for calibrate, test in splits[:4]:
        assert len(set(group[calibrate])) == len(set(group[test])) == 15
    assert sorted(tested) == list(range(len(group)))


def test_replicates_have_a_deviation_where_there_are_two(conformal):
    nan = np.nan
    replicates = np.array([[1.0, 3.0, nan], [1.0, nan, nan], [1.0, 2.0, 3.0]])
    rows = np.arange(3)
    std = conformal.Assay(rows, rows, replicates, rows, rows, rows).replicate_std()
    np.testing.assert_allclose(std, [np.sqrt(2), nan, 1])


def test_conformal_coverage_refuses_a_model_that_knows_all_held_out_rows(conformal):
    model = SimpleNamespace(seen=lambda X: np.ones(len(X), dtype=bool))
    with pytest.raises(SystemExit, match="trained on all rows of --calibrate"):
        conformal.without_known(model, SimpleNamespace(X=np.zeros((5, 4, 10))))


def test_conformal_coverage_names_the_extra_that_brings_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit, match=r"pip install '\.\[plots\]'"):
        runpy.run_path(str(CONFORMAL))


def test_conformal_coverage_subtracts_the_training_mean_of_each_batch(conformal):
    rng = np.random.default_rng(0)
    batch = np.array(["b", "a"] * 10)
    replicates = rng.normal(size=(20, 3)) + 5.0 * (batch == "b")[:, np.newaxis]
    y = replicates.mean(axis=1)
    assay = conformal.Assay(np.zeros((20, 4, 8)), y, replicates, y, y, batch)
    train, test = conformal.without_batch_means(
        (assay.take(np.arange(14)), assay.take(range(14, 20)))
    )
    for name in "ab":
        assert train.y[train.batch == name].mean() == pytest.approx(0)
    offset = y[14:] - test.y
    np.testing.assert_allclose(replicates[14:] - test.replicates, np.c_[offset, offset, offset])
    np.testing.assert_allclose(offset[::2], y[:14:2].mean())
    with pytest.raises(SystemExit, match="no training row is of b"):
        conformal.without_batch_means((assay.take(np.arange(1, 20, 2)), assay))


def test_conformal_coverage_refuses_folds_that_are_not_there(conformal):
    with pytest.raises(SystemExit, match=r"'tenth'.*The groups are: '0', '4'"):
        conformal.main(["--rows", "50", "--validate", "tenth"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "table.tsv", "--split", "chrom"], "--data needs --replicates and --split"),
        (["--calibrate", "1"], "--calibrate needs two folds or more"),
        (["--calibrate", "0", "1"], "--calibrate and --validate must name different folds"),
    ],
)
def test_conformal_coverage_refuses_options_that_do_not_fit(conformal, capsys, options, message):
    with pytest.raises(SystemExit):
        conformal.main(options)
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_trains_and_goes_on_from_its_checkpoints(tmp_path):
    pytest.importorskip("dask.distributed")
    small = ["--rows", "300", "--members", "2", "--epochs", "2", "--width", "0.05"]
    options = [*small, "--workers", "2", "--checkpoint-dir", "kept"]
    for _ in range(2):
        run = run_example(EXAMPLES / "dask_cluster.py", *options, folder=tmp_path)
        assert run.returncode == 0, run.stderr
        assert "2 workers" in run.stdout
        assert re.search(r"R2 of the student on 30 sequences .*: -?\d", run.stdout)
    assert (tmp_path / "kept" / "teacher" / "fit.json").exists()


def place_deepstarr(home):
    """Put a table in the published format where the download would have put it."""
    data = make_mpra(60, seq_len=100, n_targets=2, random_state=0)
    path = home / "sklearn_degu" / "deepstarr" / "Sequences_activity_all.txt"
    path.parent.mkdir(parents=True)
    lines = ["seqnames\tstart\tend\tID\tset\tSequence\tDev_log2_enrichment\tHk_log2_enrichment"]
    for i, (sequence, (dev, hk)) in enumerate(zip(data.sequences, data.y, strict=True)):
        part = ("Train", "Train", "Train", "Val", "Test")[i % 5]
        lines.append(f"chrX\t{i}\t{i}\t{i}\t{part}\t{sequence}\t{dev}\t{hk}")
    path.write_text("\n".join(lines))
    return data.sequences


def place_lentimpra(home):
    """Put an archive in the published format where the download would have put it."""
    data = make_mpra(60, seq_len=60, n_replicates=3, random_state=0)
    path = home / "lentiMPRA_K562_activity_and_aleatoric_data.h5"
    archive = home / "sklearn_degu" / "degu" / "data.tar.gz"
    archive.parent.mkdir(parents=True)
    X = SequenceEncoder().fit_transform(data.sequences).transpose(0, 2, 1)
    y = np.column_stack([data.replicates.mean(axis=1), data.replicates.std(axis=1, ddof=1)])
    with h5py.File(path, "w") as file:
        for name, rows in {"Train": slice(36), "Val": slice(36, 48), "Test": slice(48, 60)}.items():
            file[f"{name}/X"], file[f"{name}/y"] = X[rows].astype(float), y[rows]
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(path, f"data/{path.name}")
    return data.sequences


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "net", "module", "place", "kinds"),
    [
        ("deepstarr", [], DeepSTARR, place_deepstarr, {"epistemic"}),
        ("lentimpra-K562", [], ResidualBind, place_lentimpra, NOISY),
        ("lentimpra-K562", ["--net", "mprann"], MPRAnn, place_lentimpra, NOISY),
    ],
)
def test_published_data_trains_on_what_was_downloaded(
    name, net, module, place, kinds, tmp_path, capsys
):
    sequences = place(tmp_path)
    example = SimpleNamespace(**runpy.run_path(str(EXAMPLES / "published_data.py")))
    options = ["--members", "2", "--epochs", "1", "--jobs", "2", "--verbose", "0"]
    options += ["--data-home", str(tmp_path), "--model", str(tmp_path / "model.joblib")]
    example.main([name, *net, *options, "--checkpoint-dir", str(tmp_path / "kept")])
    printed = capsys.readouterr().out
    assert "Sequences: 36 to train, 12 to valid, 12 to test." in printed
    for line in printed.splitlines()[2:]:
        figures = [float(cell) for cell in re.findall(r"-?\d\.\d+", line)]
        assert all(-1 <= figure <= 1 for figure in figures)
    assert {
        kind for kind in ("epistemic", "aleatoric", "total") if f"| {kind} |" in printed
    } == kinds
    model = joblib.load(tmp_path / "model.joblib")
    assert len(model.predict(sequences[:3])) == 3
    assert type(model[-1].student_.module_) is module
    assert (tmp_path / "kept" / "teacher" / "fit.json").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_attribution_compares_maps_with_the_truth_and_explains_a_kept_model(
    tmp_path, monkeypatch, capsys
):
    for library in ("captum", "logomaker", "tangermeme"):
        pytest.importorskip(library)
    attribution = SimpleNamespace(**runpy.run_path(str(ATTRIBUTION)))
    monkeypatch.chdir(tmp_path)
    attribution.main(["--rows", "200", "--top", "5", *SMALL, "--maps", "maps.npz"])
    printed = capsys.readouterr().out
    saliency, of_saliency = lines_of(printed, "| saliency")
    deep_lift, of_deep_lift = lines_of(printed, "| Deep")
    for line in (saliency, deep_lift):
        assert all(-1 <= number <= 1 for number in numbers(line)[:3])
    assert min(numbers(of_saliency)[:2] + numbers(of_deep_lift)[:2]) >= 0
    assert "nan" not in printed
    assert np.load("maps.npz")["saliency"].shape == (5, 4, 80)
    assert Path("attribution.png").read_bytes().startswith(b"\x89PNG")

    data = make_mpra(60, seq_len=80, random_state=0)
    model = attribution.fit(data, attribution.parse(SMALL))
    joblib.dump(model, "model.joblib")
    Path("table.csv").write_text("\n".join(["seq,other", *(f"{s},0" for s in data.sequences)]))
    attribution.main(["--model", "model.joblib", "--data", "table.csv", "--top", "3"])
    printed = capsys.readouterr().out
    assert "AUROC" not in printed
    assert "agreement with the ensemble" in printed


def test_attribution_names_its_extra_and_options_that_go_together(monkeypatch, capsys):
    pytest.importorskip("logomaker")
    attribution = SimpleNamespace(**runpy.run_path(str(ATTRIBUTION)))
    with pytest.raises(SystemExit):
        attribution.main(["--data", "table.csv"])
    assert "--model and --data go together" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "logomaker", None)
    with pytest.raises(SystemExit, match=r"pip install '\.\[attribution\]'"):
        runpy.run_path(str(ATTRIBUTION))
