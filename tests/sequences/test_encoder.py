import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

from sklearn_degu.sequences import SequenceEncoder, _batches

ONE_LENGTH = st.integers(1, 12).flatmap(
    lambda length: st.lists(
        st.text("ACGTN", min_size=length, max_size=length), min_size=1, max_size=9
    )
)
MANY_LENGTHS = st.lists(st.text("ACGTN", min_size=1, max_size=12), min_size=1, max_size=9)
SIDES = st.sampled_from(["left", "right", "both"])


def encode_slowly(sequences):
    """Encode letter by letter: the definition, to compare with."""
    return np.array([[[letter == base for letter in s] for base in "ACGT"] for s in sequences])


def aligned(sequence, length, pad, trim):
    """Pad and trim one string to a length: the definition, to compare with."""
    surplus = max(len(sequence) - length, 0)
    cut = {"left": surplus, "both": surplus // 2, "right": 0}[trim]
    sequence = sequence[cut : cut + length]
    missing = length - len(sequence)
    added = {"left": missing, "both": missing // 2, "right": 0}[pad]
    return "N" * added + sequence + "N" * (missing - added)


@given(ONE_LENGTH)
def test_encoding_equals_the_letter_by_letter_definition(sequences):
    X = SequenceEncoder().fit_transform(sequences)
    np.testing.assert_array_equal(X, encode_slowly(sequences))
    assert X.dtype == np.uint8


@given(ONE_LENGTH, st.sampled_from(["zero", "uniform"]))
def test_inverse_transform_restores_the_strings(sequences, unknown):
    encoder = SequenceEncoder(unknown=unknown)
    X = encoder.fit_transform(sequences)
    assert encoder.inverse_transform(X).tolist() == sequences


@given(MANY_LENGTHS, st.integers(1, 15), SIDES, SIDES)
def test_padding_and_trimming_equal_the_string_by_string_definition(sequences, length, pad, trim):
    encoder = SequenceEncoder(length=length, pad=pad, trim=trim)
    decoded = encoder.inverse_transform(encoder.fit_transform(sequences))
    assert decoded.tolist() == [aligned(s, length, pad, trim) for s in sequences]


@given(MANY_LENGTHS, st.integers(1, 4))
@settings(deadline=None)
def test_batch_size_changes_nothing(sequences, batch_rows):
    encoder = SequenceEncoder(pad="right", trim="right").fit(sequences)
    expected = encoder.transform(sequences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_batches, "BATCH_ROWS", batch_rows)
        np.testing.assert_array_equal(encoder.transform(sequences), expected)


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        np.array,
        lambda s: np.array(s, dtype=object),
        lambda s: np.array(s, dtype="S"),
        lambda s: [letters.encode() for letters in s],
        lambda s: [s[0], s[1].encode()],
        lambda s: [letters.lower() for letters in s],
        lambda s: pd.Series(s, index=[7, 3]),
        lambda s: pd.Series(s, dtype="string"),
        lambda s: pd.DataFrame({"sequence": s}),
        lambda s: np.array(s)[:, None],
        lambda s: [[letters] for letters in s],
    ],
)
def test_every_container_of_strings_encodes_alike(container):
    sequences = ["ACGTN", "TTGCA"]
    X = SequenceEncoder().fit_transform(container(sequences))
    np.testing.assert_array_equal(X, encode_slowly(sequences))


def test_uniform_unknown_bases_are_a_quarter_in_float32():
    X = SequenceEncoder(unknown="uniform").fit_transform(["AN"])
    assert X.dtype == np.float32
    assert X[0].T.tolist() == [[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]]


def test_uniform_dtype_does_not_depend_on_the_letters():
    assert SequenceEncoder(unknown="uniform").fit_transform(["AC"]).dtype == np.float32


@pytest.mark.parametrize("unknown", ["uniform", "error"])
def test_padding_is_zero_whatever_becomes_of_unknown_bases(unknown):
    X = SequenceEncoder(unknown=unknown, length=3, pad="right").fit_transform(["A"])
    assert not X[0, :, 1:].any()


@pytest.mark.parametrize(
    ("parameters", "length"),
    [({"pad": "left"}, 4), ({"trim": "left"}, 2), ({"pad": "left", "trim": "left"}, 4)],
)
def test_length_is_learnt_from_what_may_be_mended(parameters, length):
    assert SequenceEncoder(**parameters).fit(["ACG", "AC", "ACGT"]).length_ == length


def test_length_given_wins_over_length_seen():
    encoder = SequenceEncoder(length=np.int64(3), trim="right").fit(["ACGT"])
    assert encoder.length_ == 3
    assert type(encoder.length_) is int


def test_input_is_left_untouched():
    sequences = np.array(["acgt", "nnnn"])
    SequenceEncoder().fit_transform(sequences)
    assert sequences.tolist() == ["acgt", "nnnn"]


def test_feature_names_follow_the_flattened_output():
    encoder = SequenceEncoder().fit(["AC"])
    names = encoder.get_feature_names_out()
    on = encoder.transform(["GT"]).reshape(-1).astype(bool)
    assert names[on].tolist() == ["G_0", "T_1"]
    assert names.tolist() == ["A_0", "A_1", "C_0", "C_1", "G_0", "G_1", "T_0", "T_1"]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float16, np.float64])
def test_inverse_transform_reads_every_numeric_type(dtype):
    encoder = SequenceEncoder()
    X = encoder.fit_transform(["ACGTN"]).astype(dtype)
    assert encoder.inverse_transform(X).tolist() == ["ACGTN"]


def test_inverse_transform_of_no_rows_is_empty():
    assert SequenceEncoder().fit(["AC"]).inverse_transform(np.zeros((0, 4, 2))).shape == (0,)


def test_clone_keeps_parameters_and_forgets_the_fit():
    encoder = SequenceEncoder(unknown="error", length=2, pad="left", trim="both").fit(["AC"])
    cloned = clone(encoder)
    assert cloned.get_params() == encoder.get_params()
    assert not hasattr(cloned, "length_")


def test_pickled_encoder_transforms_alike():
    encoder = SequenceEncoder().fit(["ACGT"])
    restored = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(restored.transform(["TTTT"]), encoder.transform(["TTTT"]))


def test_pipeline_with_encoder_first_cross_validates(random_sequences):
    flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    model = make_pipeline(SequenceEncoder(), flatten, Ridge(alpha=1e-3))
    gc = [s.count("G") + s.count("C") for s in random_sequences]
    assert cross_val_score(model, random_sequences, gc, cv=3).min() > 0.99


@pytest.fixture
def random_sequences():
    letters = np.random.default_rng(0).choice(list("ACGT"), size=(120, 8))
    return ["".join(row) for row in letters]


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_scikit_learn_checks_pass():
    check_estimator(SequenceEncoder())


def test_tags_declare_a_vector_of_strings():
    tags = get_tags(SequenceEncoder())
    assert tags.input_tags.string
    assert tags.input_tags.one_d_array
    assert not tags.input_tags.two_d_array
    assert tags.requires_fit
    assert not tags.no_validation


def test_set_output_is_not_offered_for_three_dimensions():
    assert not hasattr(SequenceEncoder(), "set_output")


def test_number_of_features_is_not_claimed_for_a_vector():
    encoder = SequenceEncoder().fit(["AC"])
    assert not hasattr(encoder, "n_features_in_")


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "get_feature_names_out"])
def test_unfitted_encoder_says_so(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(SequenceEncoder(), method)(["ACGT"])
