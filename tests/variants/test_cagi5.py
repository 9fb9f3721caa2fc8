"""The benchmark on measured variant effects, with tiny models and made-up variants."""

import joblib
import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from benchmarks import cagi5
from sklearn_degu import DistilledRegressor
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.variants import variant_effect
from tests.toys import tiny_conv_net, tiny_ensemble

pytest.importorskip("pandas")

TARGETS = ["K562", "HepG2"]


@pytest.fixture(scope="module")
def model(strings, sequences):
    X, y = sequences
    ensemble = tiny_ensemble(tiny_conv_net(), n_estimators=3).fit(X, y)
    student = DistilledRegressor(FrozenEstimator(ensemble), augment=None, random_state=0)
    return make_pipeline(SequenceEncoder().fit(strings), student.fit(X, y))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Write elements and all their variants, some of them with too few barcodes or deletions."""
    folder = tmp_path_factory.mktemp("cagi5")
    rng = np.random.default_rng(0)
    elements, variants = ["element\tseq"], ["Element\toffset0\tRef\tAlt\tBarcodes\tCoefficient"]
    for name in [*cagi5.ELEMENTS, "other"]:
        sequence = "".join(rng.choice([*"ACGT"], 30))
        elements.append(f"{name}\t{sequence}")
        for offset, ref in enumerate(sequence):
            for alt in sorted({*"ACGT-"} - {ref}):
                cells = (name, offset, ref, alt, 9 + offset % 4, f"{rng.normal():.4f}")
                variants.append("\t".join(map(str, cells)))
    paths = {"elements": folder / "elements.tsv", "variants": folder / "variants.tsv"}
    for lines, path in zip((elements, variants), paths.values(), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths


def predicted(model, tables, **how):
    measured = cagi5.read_measured(tables["variants"])
    elements = cagi5.read_elements(tables["elements"])
    return measured, elements, cagi5.predict(model, measured, elements, **how)


def test_variants_are_substitutions_with_enough_barcodes(tables):
    measured = cagi5.read_measured(tables["variants"])
    # Of four positions one has 9 barcodes, at offsets 0, 4, ...
    assert len(measured.effect) == len(cagi5.ELEMENTS) * 22 * 3
    assert set(measured.variants["element"]) == set(cagi5.ELEMENTS)
    assert set(measured.variants["alt"]) == {*"ACGT"}
    assert min(measured.variants["pos"]) == 2


def test_effects_of_ensemble_and_student_are_those_of_variant_effect(model, tables):
    measured, elements, of_model = predicted(model, tables, both_strands=True)
    how = {"edge": "shift", "both_strands": True}
    teacher = make_pipeline(model[:-1], model[-1].teacher_)
    expected = variant_effect(teacher, measured.variants, elements, return_std=True, **how)
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(of_model.effect["ensemble"], expected.effect, **tolerance)
    np.testing.assert_allclose(
        of_model.uncertainty("ensemble", "paired"), expected.std, **tolerance
    )
    student = variant_effect(model, measured.variants, elements, **how)
    np.testing.assert_allclose(of_model.student, student.effect, **tolerance)


def test_scores_are_those_of_each_element_on_its_cell_type(model, tables):
    measured, _, of_model = predicted(model, tables)
    scores = cagi5.score(of_model, measured, TARGETS)
    rows = measured.of("F9")
    members = of_model.members[:, rows, TARGETS.index("HepG2")]
    expected = np.mean([pearsonr(member, measured.effect[rows])[0] for member in members])
    assert scores["F9", "pearsonr mean member"] == pytest.approx(expected)
    assert scores["area", "student, at random: mean"] == pytest.approx(0, abs=0.05)


def test_rejection_by_the_errors_of_the_fit_is_perfect():
    rng = np.random.default_rng(0)
    effect = rng.normal(size=200)
    y = 3 * effect + 1 + rng.normal(size=200)
    std = np.abs(y - cagi5.linear_fit(effect, y))
    some = cagi5.Predicted(np.stack([effect - std, effect + std]), effect, rng.random(200))
    assert cagi5.area(y, some, "ensemble", "paired") == pytest.approx(1)
    assert abs(cagi5.area(y, some, "student", "activities")) < 0.3


def test_tables_hold_all_models_and_elements(model, tables, tmp_path, capsys):
    paths = [tmp_path / f"seed{seed}.joblib" for seed in (0, 1)]
    for path in paths:
        joblib.dump(model, path)
    options = [f"--{name}={path}" for name, path in tables.items()]
    options += ["--adaptors", "", "", "--targets", *TARGETS]
    cagi5.main([*map(str, paths), *options])
    printed = capsys.readouterr().out
    assert printed.startswith("2 models; no adaptors around the windows; both strands.")
    for element, cell in cagi5.ELEMENTS.items():
        assert printed.count(f"| {element} ({cell}) | 66 |") == 2
    assert printed.count("± 0.000") == 2 * 3 * 7 + 7
    assert "nan" not in printed


def test_missing_model_asks_for_a_table_to_train_on(tables, tmp_path):
    options = [f"--{name}={path}" for name, path in tables.items()]
    with pytest.raises(SystemExit, match="Pass --train"):
        cagi5.main([str(tmp_path / "none.joblib"), *options])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_missing_model_is_trained_and_kept(tables, tmp_path, strings, capsys):
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice([*"ACGT"], 24)) for _ in range(64)]
    lines = ["seq\tK562\tHepG2\tfold\toverlaps_cagi5"]
    for row, sequence in enumerate(sequences):
        cells = (sequence, rng.normal(), rng.normal(), row % 8, row == 0)
        lines.append("\t".join(map(str, cells)))
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    options = [f"--{name}={path}" for name, path in tables.items()]
    options += ["--adaptors", "AC", "GT", "--targets", *TARGETS, "--one-strand"]
    options += ["--members", "2", "--epochs", "1", "--width", "0.05"]
    path = tmp_path / "seed0.joblib"
    cagi5.main([str(path), *options, "--train", str(tmp_path / "train.tsv")])
    assert "AC and GT around the windows; the strand given" in capsys.readouterr().out
    model = joblib.load(path)
    seen = model[-1].seen(model[:-1].transform(sequences))
    assert seen.sum() == 7 * 8 - 1
    assert not seen[0]
