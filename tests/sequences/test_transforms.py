import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sklearn_degu.sequences import (
    SequenceEncoder,
    _batches,
    dinucleotide_shuffle,
    mutate,
    reverse_complement,
    shuffle,
)

INSERT = slice(3, -3)
ADAPTORS = np.array([True] * 3 + [False] * 6 + [True] * 3)


def encode(*sequences):
    return SequenceEncoder().fit_transform(sequences)


def decode(X):
    return SequenceEncoder().fit(["A" * X.shape[2]]).inverse_transform(X).tolist()


def random_one_hot(n, length, *, letters=4, seed=0):
    codes = np.random.default_rng(seed).integers(0, letters, (n, length))
    return np.eye(4, dtype=np.uint8)[:, codes % 4].transpose(1, 0, 2) * (codes < 4)[:, None]


ONE_HOT = st.builds(
    random_one_hot,
    st.integers(1, 6),
    st.integers(1, 12),
    letters=st.integers(1, 5),
    seed=st.integers(0, 10_000),
)
SEEDS = st.integers(0, 10_000)
RANDOM_EDITS = {
    "mutate": lambda X, **options: mutate(X, 0.5, **options),
    "shuffle": shuffle,
    "dinucleotide_shuffle": dinucleotide_shuffle,
}
EDITS = {"reverse_complement": reverse_complement, **RANDOM_EDITS}
random_edits = pytest.mark.parametrize("edit", RANDOM_EDITS.values(), ids=RANDOM_EDITS)
every_edit = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)


# What all edits share


@every_edit
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int64, np.float16, np.float64])
def test_shape_and_dtype_are_kept(edit, dtype):
    X = random_one_hot(5, 12).astype(dtype)
    edited = edit(X)
    assert edited.shape == X.shape
    assert edited.dtype == dtype


@every_edit
def test_input_is_not_edited_in_place(edit):
    X = random_one_hot(20, 12)
    original = X.copy()
    X.flags.writeable = False
    edited = edit(X)
    assert_array_equal(X, original)
    assert not np.shares_memory(edited, X)


@every_edit
def test_only_the_region_is_edited(edit):
    X = random_one_hot(20, 12)
    edited = edit(X, region=INSERT)
    assert_array_equal(edited[:, :, ADAPTORS], X[:, :, ADAPTORS])
    assert (edited[:, :, INSERT] != X[:, :, INSERT]).any()


@every_edit
def test_mask_and_slice_are_the_same_region(edit):
    X = random_one_hot(20, 12)
    options = {} if edit is reverse_complement else {"random_state": 0}
    by_mask = edit(X, region=~ADAPTORS, **options)
    assert_array_equal(by_mask, edit(X, region=INSERT, **options))


@every_edit
def test_no_sequences_give_no_sequences(edit):
    assert edit(np.zeros((0, 4, 12))).shape == (0, 4, 12)


@random_edits
@given(X=ONE_HOT, seed=SEEDS, batch_rows=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_batch_size_changes_nothing(edit, X, seed, batch_rows):
    expected = edit(X, random_state=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_batches, "BATCH_ROWS", batch_rows)
        assert_array_equal(edit(X, random_state=seed), expected)


@random_edits
@pytest.mark.parametrize("make", [int, np.random.RandomState, np.random.default_rng])
def test_equal_seeds_give_equal_edits(edit, make):
    X = random_one_hot(20, 40)
    assert_array_equal(edit(X, random_state=make(3)), edit(X, random_state=make(3)))


@random_edits
@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_generator_moves_on_between_calls(edit, make):
    X, generator = random_one_hot(20, 40), make(3)
    first = edit(X, random_state=generator)
    assert (edit(X, random_state=generator) != first).any()


@random_edits
def test_no_seed_gives_other_edits_and_leaves_the_global_generator(edit):
    X = random_one_hot(20, 40)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert (edit(X) != edit(X)).any()
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# The other strand


def test_reverse_complement_of_letters():
    assert decode(reverse_complement(encode("AACGN", "TTTTT"))) == ["NCGTT", "AAAAA"]


@given(ONE_HOT)
def test_reverse_complement_undoes_itself(X):
    assert_array_equal(reverse_complement(reverse_complement(X)), X)


def test_reverse_complement_of_the_insert_between_adaptors():
    assert decode(reverse_complement(encode("AAACCGTTT"), region=slice(3, 6))) == ["AAACGGTTT"]


def test_reverse_complement_turns_attributions_around():
    X = np.random.default_rng(0).normal(size=(2, 4, 5))
    assert_array_equal(reverse_complement(X), X[:, [3, 2, 1, 0], ::-1])


# Mutations


@given(ONE_HOT, st.floats(0, 1), SEEDS)
def test_mutated_columns_stay_one_hot_and_unknown_bases_unknown(X, rate, seed):
    mutated = mutate(X, rate, random_state=seed)
    assert_array_equal(mutated.sum(axis=1), X.sum(axis=1))
    assert mutated.max() <= 1


@given(ONE_HOT, SEEDS)
def test_rate_one_changes_every_known_base(X, seed):
    assert not (mutate(X, 1, random_state=seed) & X).any()


@given(ONE_HOT, SEEDS)
def test_rate_zero_changes_nothing(X, seed):
    assert_array_equal(mutate(X, 0, random_state=seed), X)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_rate_is_the_fraction_of_bases_that_change(rate):
    X = random_one_hot(1000, 200)
    changed = (mutate(X, rate, random_state=0) != X).any(axis=1).mean()
    assert changed == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 200_000))


@pytest.mark.parametrize("base", range(4))
def test_mutations_are_uniform_over_the_three_other_bases(base):
    X = np.zeros((300, 4, 100))
    X[:, base] = 1
    fractions = mutate(X, 1.0, random_state=0).mean(axis=(0, 2))
    assert_array_equal(np.flatnonzero(fractions == 0), [base])
    assert np.delete(fractions, base) == pytest.approx([1 / 3] * 3, abs=0.01)


def test_positions_mutate_independently():
    X = random_one_hot(4000, 50)
    changed = (mutate(X, 0.3, random_state=0) != X).any(axis=1)
    per_sequence, per_position = changed.sum(axis=1).var(), changed.sum(axis=0).var()
    assert per_sequence == pytest.approx(50 * 0.3 * 0.7, rel=0.1)
    assert per_position < 3 * 4000 * 0.3 * 0.7


def test_uniform_unknown_bases_stay_as_they_are():
    X = SequenceEncoder(unknown="uniform").fit_transform(["ANNA"])
    assert_array_equal(mutate(X, 1.0)[:, :, 1:3], np.full((1, 4, 2), 0.25))


def test_mutate_takes_positions_with_gaps():
    X = random_one_hot(50, 12)
    changed = (mutate(X, 1.0, region=ADAPTORS) != X).any(axis=1)
    assert_array_equal(changed, np.tile(ADAPTORS, (50, 1)))


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), "0.1", None])
def test_rates_that_are_no_probability_are_refused(rate):
    with pytest.raises(ValueError, match=r"rate must be a float in the range \[0, 1\], got"):
        mutate(random_one_hot(1, 4), rate)


# Shuffles


@given(ONE_HOT, SEEDS)
def test_shuffle_keeps_the_composition_of_each_sequence(X, seed):
    shuffled = shuffle(X, random_state=seed)
    assert_array_equal(shuffled.sum(axis=2), X.sum(axis=2))


def test_every_permutation_is_equally_likely():
    X = np.tile(np.array([[[1, 2, 3]]] * 4).transpose(1, 0, 2), (6000, 1, 1))
    orders, counts = np.unique(shuffle(X, random_state=0)[:, 0], axis=0, return_counts=True)
    assert len(orders) == 6
    assert counts == pytest.approx([1000] * 6, abs=130)


def test_columns_move_as_a_whole():
    X = np.random.default_rng(0).normal(size=(3, 4, 8))
    shuffled = shuffle(X, random_state=0)
    for before, after in zip(X, shuffled, strict=True):
        assert sorted(map(tuple, after.T)) == sorted(map(tuple, before.T))


def test_positions_with_gaps_change_places_among_themselves():
    X = np.tile(np.arange(12), (50, 4, 1))
    shuffled = shuffle(X, region=ADAPTORS, random_state=0)
    assert_array_equal(np.sort(shuffled[:, :, ADAPTORS]), X[:, :, ADAPTORS])
    assert_array_equal(shuffled[:, :, ~ADAPTORS], X[:, :, ~ADAPTORS])


# Errors


@every_edit
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 12, 4), r"got shape \(2, 12, 4\).*X.transpose\(0, 2, 1\)"),
        ((2, 48), r"got shape \(2, 48\).*X.reshape\(len\(X\), 4, -1\)"),
        ((4, 12), r"got shape \(4, 12\).*X\[None\]"),
        ((12,), r"got shape \(12,\).$"),
        ((2, 5, 12), r"got shape \(2, 5, 12\).$"),
    ],
)
def test_other_shapes_are_refused_with_the_remedy(edit, shape, message):
    with pytest.raises(ValueError, match=message):
        edit(np.zeros(shape))


@every_edit
def test_strings_are_refused_with_the_encoder_named(edit):
    with pytest.raises(TypeError, match=r"dtype <U4\. Encode strings with SequenceEncoder first"):
        edit(["ACGT"])


@every_edit
@pytest.mark.parametrize("region", [3, [0, 1, 2], (0, 3), "all"])
def test_regions_of_another_kind_are_refused(edit, region):
    with pytest.raises(TypeError, match="region must be None, a slice or a boolean mask"):
        edit(random_one_hot(2, 12), region=region)


@every_edit
@pytest.mark.parametrize("region", [slice(5, 5), slice(12, None), np.zeros(12, dtype=bool)])
def test_empty_regions_are_refused(edit, region):
    with pytest.raises(ValueError, match="selects none of the 12 positions"):
        edit(random_one_hot(2, 12), region=region)


@every_edit
def test_masks_of_another_length_are_refused(edit):
    with pytest.raises(ValueError, match=r"must have shape \(12,\).*got shape \(3,\)"):
        edit(random_one_hot(2, 12), region=[True] * 3)


@pytest.mark.parametrize("edit", [reverse_complement, dinucleotide_shuffle])
@pytest.mark.parametrize("region", [ADAPTORS, slice(None, None, 2)])
def test_regions_with_gaps_are_refused_where_order_matters(edit, region):
    with pytest.raises(ValueError, match="region must be one unbroken stretch"):
        edit(random_one_hot(2, 12), region=region)


@random_edits
@pytest.mark.parametrize("random_state", ["0", 1.0, -1, True])
def test_random_states_of_another_kind_are_refused(edit, random_state):
    with pytest.raises(ValueError, match="random_state must be a non-negative int"):
        edit(random_one_hot(2, 12), random_state=random_state)


@pytest.mark.parametrize("edit", [RANDOM_EDITS["mutate"], dinucleotide_shuffle])
def test_columns_that_are_not_one_hot_are_refused(edit):
    X = random_one_hot(3, 12).astype(float)
    X[2, :, 7] = [0.5, 0.5, 0, 0]
    with pytest.raises(ValueError, match=r"Row 2 is not one-hot at position 7"):
        edit(X)
