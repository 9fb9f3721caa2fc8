"""The example of variant effects, small: simulated, and with files of a user."""

import csv
import runpy
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from sklearn_degu import DistilledRegressor
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.variants import variant_effect
from tests.toys import tiny_conv_net, tiny_ensemble

pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parents[2] / "examples" / "variant_effects.py"
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def example():
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture
def model(strings, sequences, tmp_path):
    X, y = sequences
    ensemble = tiny_ensemble(tiny_conv_net()).fit(X, y)
    student = DistilledRegressor(FrozenEstimator(ensemble), augment=None, random_state=0)
    model = make_pipeline(SequenceEncoder().fit(strings), student.fit(X, y))
    joblib.dump(model, tmp_path / "model.joblib")
    return model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_simulated_effects_are_told_and_drawn(example, tmp_path, capsys):
    figure = tmp_path / "out.png"
    small = ["--rows", "200", "--members", "2", "--epochs", "2", "--width", "0.05"]
    example.main([*small, "--figure", str(figure)])
    printed = capsys.readouterr().out
    assert "2,880 variants." in printed
    assert "| true effects |" in printed
    coverage = float(printed.split("Intervals at 90% cover ")[1].split("%")[0])
    assert coverage == pytest.approx(90, abs=4)
    assert figure.read_bytes().startswith(PNG)


def test_own_table_of_variants_becomes_a_table_of_effects(example, model, tmp_path, capsys):
    (tmp_path / "variants.csv").write_text(
        "element,pos,ref,alt,log2\np,9,T,A,0.5\np,10,C,-,-0.5\np,3,G,T,0.1\n"
    )
    (tmp_path / "elements.tsv").write_text("name\tseq\np\tACGTTGCATCGTTACGGATC\n")
    names = {"model": "model.joblib", "variants": "variants.csv", "sequences": "elements.tsv"}
    names |= {"table": "effects.tsv", "figure": "out.png"}
    options = [o for key, name in names.items() for o in (f"--{key}", str(tmp_path / name))]
    example.main([*options, "--measured", "log2", "--target", "1"])
    printed = capsys.readouterr().out
    assert "| measured effects |" in printed
    assert "Intervals" not in printed
    with open(tmp_path / "effects.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["alt"] for row in rows] == ["A", "-", "T"]
    variants = {"chrom": ["p"] * 3, "pos": [9, 10, 3], "ref": [*"TCG"], "alt": [*"A-T"]}
    expected = variant_effect(model, variants, {"p": "ACGTTGCATCGTTACGGATC"}, edge="shift")
    np.testing.assert_allclose([float(r["student"]) for r in rows], expected.effect[:, 1])
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


@pytest.mark.usefixtures("model")
def test_own_vcf_and_fasta_are_read(example, tmp_path, capsys):
    pytest.importorskip("pyfaidx")
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n"
    (tmp_path / "some.vcf").write_text(f"{header}p\t9\t.\tT\tA,TT\n")
    (tmp_path / "genome.fa").write_text(">p\nACGTTGCATCGTTACGGATC\n")
    names = {"model": "model.joblib", "variants": "some.vcf", "sequences": "genome.fa"}
    options = [o for key, name in names.items() for o in (f"--{key}", str(tmp_path / name))]
    example.main([*options, "--figure", str(tmp_path / "out.png")])
    assert "2 variants." in capsys.readouterr().out


def test_model_without_variants_is_refused(example, capsys):
    with pytest.raises(SystemExit):
        example.main(["--model", "model.joblib"])
    assert "--model needs --variants and --sequences" in capsys.readouterr().err
