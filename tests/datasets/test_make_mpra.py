"""Tests of the simulated reporter assay."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest, spearmanr

from sklearn_degu.datasets import make_mpra, simulation

N_MOTIFS = 6
NOISE, UNSEEN = N_MOTIFS, N_MOTIFS + 1
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def plain():
    return make_mpra(10_000, 120, random_state=0)


def counts(data):
    """Return the number of sites of each motif in each row."""
    n_motifs = len(data.motifs)
    flat = data.sites["row"] * n_motifs + data.sites["motif"]
    return np.bincount(flat, minlength=len(data.y) * n_motifs).reshape(-1, n_motifs)


def gc_content(data):
    return np.array([(s.count("G") + s.count("C")) / len(s) for s in data.sequences.tolist()])


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 40), st.sampled_from([55, 66]), st.integers(1, 2), st.sampled_from([1, 3]))
def test_shapes(n, length, n_targets, n_replicates):
    data = make_mpra(n, length, n_targets, n_replicates, random_state=0)
    shape = (n,) if n_targets == 1 else (n, n_targets)
    assert data.sequences.shape == (n,)
    assert set(map(len, data.sequences.tolist())) == {length}
    assert set("".join(data.sequences.tolist())) <= set("ACGT")
    assert data.y.shape == data.mean.shape == data.noise_std.shape == shape
    assert data.replicates.shape == (*shape, n_replicates)
    assert_allclose(data.y, data.replicates.mean(axis=-1))


@pytest.mark.parametrize("r2", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("n_replicates", [1, 3])
def test_stated_r2_holds(r2, n_replicates):
    data = make_mpra(10_000, 80, 2, n_replicates, r2=r2, task_seed=3, random_state=1)
    signal = data.mean.var(axis=0)
    noise = (data.noise_std**2).mean(axis=0) / n_replicates
    assert_allclose(signal / (signal + noise), r2, atol=0.015)
    reached = 1 - ((data.y - data.mean) ** 2).mean(axis=0) / data.y.var(axis=0)
    assert_allclose(reached, r2, atol=0.02)


def test_mean_is_standardised_over_unshifted_sequences(plain):
    assert_allclose(plain.mean.mean(), 0, atol=0.05)
    assert_allclose(plain.mean.std(), 1, atol=0.05)


def test_replicates_scatter_as_noise_std_says(plain):
    z = (plain.replicates - plain.mean[:, None]) / plain.noise_std[:, None]
    for level in np.unique(plain.noise_std):
        assert kstest(z[plain.noise_std == level].ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 0.05


@pytest.mark.parametrize("noise_ratio", [1.0, 4.0, 10.0])
def test_noise_spans_the_ratio(noise_ratio):
    noise_std = make_mpra(300, noise_ratio=noise_ratio, random_state=0).noise_std
    assert_allclose(noise_std.max() / noise_std.min(), noise_ratio)


def test_noise_is_independent_of_the_mean(plain):
    assert abs(spearmanr(plain.noise_std, plain.mean).statistic) < 0.04
    shares = np.unique(plain.noise_std, return_counts=True)[1] / len(plain.y)
    assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.03)


def test_noise_is_driven_by_the_noise_motif(plain):
    level = np.minimum(counts(plain)[:, NOISE], 2) / 2
    assert_allclose(plain.noise_std, plain.noise_std.min() * 4**level)


def test_every_motif_matters_and_so_do_interactions(plain):
    sites = counts(plain)
    assert (sites[:, :NOISE].sum(axis=0) > 1000).all()
    design = np.column_stack([np.log2(1 + sites[:, :NOISE]), gc_content(plain), np.ones(10_000)])
    coefficients, residual, *_ = np.linalg.lstsq(design, plain.mean, rcond=None)
    assert (np.abs(coefficients[:NOISE]) > 0.1).all()
    unexplained = residual[0] / len(plain.y) / plain.mean.var()
    assert 0.02 < unexplained < 0.6


def test_sites_are_where_the_sequences_match_the_motifs(plain):
    for site in plain.sites[:300]:
        found = plain.sequences[site["row"]][site["start"] : site["stop"]]
        if site["strand"] == "-":
            found = found.translate(COMPLEMENT)[::-1]
        motif = plain.motifs[site["motif"]]
        chances = motif[["ACGT".index(base) for base in found], np.arange(motif.shape[1])]
        assert (chances > 0).all()
    assert set(plain.sites["strand"]) == {"+", "-"}
    assert_array_equal(
        np.lexsort((plain.sites["start"], plain.sites["row"])), np.arange(len(plain.sites))
    )


def test_motifs_are_probabilities_with_their_consensus(plain):
    assert plain.motif_names == [*(f"motif{i}" for i in range(N_MOTIFS)), "noise", "unseen"]
    for motif, consensus in zip(plain.motifs, plain.consensus, strict=True):
        assert_allclose(motif.sum(axis=0), 1)
        assert ["ACGT"[i] for i in motif.argmax(axis=0)] == list(consensus)


def test_truth_reproduces_the_data_and_reads_variants(plain):
    mean, noise_std = plain.truth(plain.sequences[:50])
    assert_array_equal(mean, plain.mean[:50])
    assert_array_equal(noise_std, plain.noise_std[:50])
    site = plain.sites[plain.sites["motif"] == 0][0]
    original = plain.sequences[site["row"]]
    ablated = original[: site["start"]] + "N" * 8 + original[site["start"] + 8 :]
    (before, after), _ = plain.truth([original, ablated])
    assert abs(before - after) > 0.1


def test_truth_survives_pickling(plain):
    again = pickle.loads(pickle.dumps(plain.truth))
    assert_array_equal(again(plain.sequences[:20])[0], plain.mean[:20])


@pytest.mark.parametrize("sequences", [["ACGT", "ACG"], []])
def test_truth_refuses_unequal_lengths(plain, sequences):
    with pytest.raises(ValueError, match="of a common length were expected"):
        plain.truth(sequences)


def test_effects_of_an_interacting_pair_do_not_add_up():
    data = make_mpra(2, 80, random_state=0)
    first, second = data.consensus[0], data.consensus[1]
    blank = "A" * 80
    with_first, with_second = first + blank[len(first) :], blank[len(second) :] + second
    both = with_first[:40] + with_second[40:]
    (none, one, other, joint), _ = data.truth([blank, with_first, with_second, both])
    assert abs((joint - none) - (one - none) - (other - none)) > 0.05


def test_order_of_an_interacting_pair_matters():
    data = make_mpra(2, 80, random_state=0)
    # The terms (1, 2) and (3, 4) depend on which comes first.
    one, two = data.consensus[1], data.consensus[2]
    filler = "A" * 10
    sequences = [filler + one + filler + two + filler, filler + two + filler + one + filler]
    (first, second), _ = data.truth(sequences)
    assert abs(first - second) > 0.05
    far = filler + one + filler * 3 + two
    near = filler * 3 + one + filler + two
    (at_distance, close), _ = data.truth([far, near])
    assert abs(at_distance - close) > 0.01


def test_seeds_separate_the_sample_from_the_truth():
    first = make_mpra(50, task_seed=1, random_state=0)
    again = make_mpra(50, task_seed=1, random_state=0)
    sample = make_mpra(50, task_seed=1, random_state=1)
    task = make_mpra(50, task_seed=2, random_state=0)
    assert_array_equal(first.y, again.y)
    assert_array_equal(first.sequences, again.sequences)
    assert (first.sequences != sample.sequences).all()
    assert first.consensus == sample.consensus
    assert first.consensus != task.consensus
    assert_array_equal(sample.truth(first.sequences)[0], first.mean)


def test_random_state_instance_moves_on_and_global_state_is_untouched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    state = np.random.RandomState(0)
    assert (make_mpra(5, random_state=state).y != make_mpra(5, random_state=state).y).all()
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_changing_the_returned_motifs_leaves_the_truth_alone():
    data = make_mpra(20, random_state=0)
    data.motifs[0][:] = 0
    assert_array_equal(make_mpra(20, random_state=0).mean, data.mean)
    with pytest.raises(ValueError, match="read-only"):
        data.truth.dose[0] = 0


@pytest.mark.parametrize("shift", [None, "unseen_motif", "motif_dose", "gc"])
@pytest.mark.parametrize("seq_len", [55, 150])
def test_each_shift_crosses_its_own_limit_only(shift, seq_len):
    data = make_mpra(1000, seq_len, shift=shift, task_seed=4, random_state=2)
    sites = counts(data)
    crossed = {
        "unseen_motif": sites[:, UNSEEN] > 0,
        "motif_dose": (sites[:, :NOISE] > 2).any(axis=1),
        "gc": gc_content(data) > 0.6,
    }
    for name, rows in crossed.items():
        assert rows.all() if name == shift else not rows.any()
    assert sites[:, NOISE].max() <= 2


@pytest.mark.parametrize("shift", ["unseen_motif", "motif_dose", "gc"])
def test_shifted_samples_share_the_truth(plain, shift):
    data = make_mpra(200, 120, shift=shift, random_state=5)
    assert_array_equal(plain.truth(data.sequences)[0], data.mean)
    assert data.noise_std.min() == pytest.approx(plain.noise_std.min())


@pytest.mark.parametrize("n_motifs", [1, 2, 40])
def test_few_and_many_motifs(n_motifs):
    data = make_mpra(300, n_motifs=n_motifs, random_state=0)
    assert len(data.motifs) == n_motifs + 2
    assert np.isfinite(data.y).all()
    assert len(set(data.sites["motif"].tolist())) == n_motifs + 1


@pytest.mark.parametrize("task_seed", range(8))
def test_motifs_of_any_task_are_told_apart(task_seed):
    data = make_mpra(2, 60, n_motifs=20, task_seed=task_seed, random_state=0)
    sequences = [name + "A" * (60 - len(name)) for name in data.consensus]
    sites = simulation.find_sites(
        np.array([["ACGT".index(base) for base in s] for s in sequences], dtype=np.uint8),
        data.truth.motifs,
    )
    at_start = sites[sites["start"] == 0]
    assert_array_equal(at_start["row"], at_start["motif"])
    assert set(at_start["strand"]) == {"+"}


def test_no_two_motifs_share_six_bases_on_either_strand():
    seen = set()
    for consensus in make_mpra(1, n_motifs=40, random_state=0).consensus:
        for strand in (consensus, consensus.translate(COMPLEMENT)[::-1]):
            words = {strand[i : i + 6] for i in range(len(strand) - 5)}
            assert len(words) == len(strand) - 5
            assert not words & seen
            seen |= words


def test_region_that_admits_nothing_is_reported(monkeypatch):
    monkeypatch.setattr(simulation, "_MAX_ROUNDS", 0)
    with pytest.raises(RuntimeError, match="not admitted after 0 rounds with 6 motifs"):
        make_mpra(10, task_seed=12345)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples=0, but an integer of 1 or more"),
        ({"seq_len": 54}, "seq_len=54, but an integer of 55 or more"),
        ({"n_targets": 1.5}, "n_targets=1.5"),
        ({"n_replicates": 0}, "n_replicates=0"),
        ({"n_motifs": 41}, "n_motifs=41, but an integer from 1 to 40"),
        ({"task_seed": -1}, "task_seed=-1"),
        ({"r2": 0.0}, "r2=0.0, but a number above 0 and at most 1"),
        ({"r2": np.nan}, "r2=nan"),
        ({"noise_ratio": 0.5}, "noise_ratio=0.5"),
        ({"noise_ratio": np.inf}, "noise_ratio=inf"),
        ({"shift": "GC"}, r"shift='GC', but None or one of \('unseen_motif'"),
    ],
)
def test_unusable_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_mpra(**arguments)
