import numpy as np
import pandas as pd
import pytest

from sklearn_degu.sequences import SequenceEncoder, _batches


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"unknown": "N"}, r"'unknown' parameter .* must be a str among .*'uniform'.* Got 'N'"),
        ({"unknown": None}, r"'unknown' parameter .* Got None"),
        ({"pad": "center"}, r"'pad' parameter .*\{'both', 'error', 'left', 'right'\}"),
        ({"trim": ["left"]}, r"'trim' parameter .* Got \['left'\]"),
        ({"length": 0}, r"'length' parameter .* must be an int in the range \[1, inf\) or None"),
        ({"length": 2.0}, r"'length' parameter .* Got 2.0"),
        ({"length": True}, r"'length' parameter .* Got True"),
    ],
)
def test_parameters_out_of_range_are_refused_in_fit(parameters, message):
    encoder = SequenceEncoder(**parameters)
    with pytest.raises(ValueError, match=message):
        encoder.fit(["AC"])


@pytest.mark.parametrize(
    ("sequence", "letter", "position"),
    [
        ("ACUT", "U", 2),
        ("ACGT\n", r"\\n", 4),
        ("é", "é", 0),
        (b"A\xe9", "é", 1),
        ("AC\0T", "x00", 2),
    ],
)
def test_foreign_letters_are_refused_by_row_position_and_letter(sequence, letter, position):
    message = rf"Row 1 has the letter '.*{letter}' at position {position}. Allowed are A, C, G, T"
    with pytest.raises(ValueError, match=message):
        SequenceEncoder().fit(["ACGT", sequence])


def test_foreign_letters_are_refused_where_they_would_be_trimmed():
    with pytest.raises(ValueError, match="'X' at position 3"):
        SequenceEncoder(length=2, trim="right").fit(["ACGX"])


def test_unknown_bases_are_refused_on_request():
    with pytest.raises(ValueError, match=r"'n' at position 2.*unknown='zero'"):
        SequenceEncoder(unknown="error").fit(["ACn"])


def test_rows_are_counted_across_batches(monkeypatch):
    monkeypatch.setattr(_batches, "BATCH_ROWS", 2)
    encoder = SequenceEncoder().fit(["AC"])
    with pytest.raises(ValueError, match=r"Row 3 has the letter 'X' at position 1"):
        encoder.transform(["AC", "CC", "GG", "AX", "AC"])
    with pytest.raises(ValueError, match=r"Row 4 has 3 bases, expected 2"):
        encoder.transform(["AC", "CC", "GG", "AA", "ACG"])
    with pytest.raises(ValueError, match=r"Row 2 is missing"):
        encoder.transform(["AC", "CC", None])


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        (["AC", "ACG", "ACG"], r"Row 0 has 2 bases, expected 3.*pad='right'"),
        (["ACG", "ACG", "ACGT"], r"Row 2 has 4 bases, expected 3.*trim='right'"),
    ],
)
def test_the_odd_length_out_is_named_with_its_remedy(sequences, message):
    with pytest.raises(ValueError, match=message):
        SequenceEncoder().fit(sequences)


@pytest.mark.parametrize(
    ("parameters", "sequence"), [({"pad": "right"}, "ACGT"), ({"trim": "right"}, "AC")]
)
def test_only_the_mending_asked_for_is_done(parameters, sequence):
    encoder = SequenceEncoder(**parameters).fit(["ACG"])
    with pytest.raises(ValueError, match="expected 3"):
        encoder.transform([sequence])


def test_transform_refuses_another_length_than_fit():
    encoder = SequenceEncoder().fit(["ACG"])
    with pytest.raises(ValueError, match="Row 0 has 2 bases, expected 3"):
        encoder.transform(["AC"])


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT])
def test_missing_entries_are_refused_by_row(missing):
    with pytest.raises(ValueError, match="Row 1 is missing"):
        SequenceEncoder().fit(["ACGT", missing])


@pytest.mark.parametrize("parameters", [{}, {"pad": "right"}])
def test_empty_strings_are_refused_even_if_padded(parameters):
    with pytest.raises(ValueError, match="Row 1 is an empty string"):
        SequenceEncoder(**parameters).fit(["AC", ""])


@pytest.mark.parametrize("empty", [[], (), np.array([], dtype=str), pd.Series([], dtype=object)])
def test_no_sequences_are_refused(empty):
    with pytest.raises(ValueError, match=r"got 0 sequences. At least 1 is required"):
        SequenceEncoder().fit(empty)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("ACGT", r"got a single string. Wrap it in a list"),
        (b"ACGT", r"got a single string"),
        ([1, 2], r"Row 0 is of type int \(1\); expected a DNA string"),
        (["AC", ["AC"]], r"Row 1 is of type list"),
        (np.ones((2, 4, 5)), r"dtype float64 and shape \(2, 4, 5\).*one-hot already"),
        (None, "object of type NoneType"),
        ((letters for letters in ["AC"]), "object of type generator"),
    ],
)
def test_what_is_no_string_is_refused(X, message):
    with pytest.raises(TypeError, match=message):
        SequenceEncoder().fit(X)


@pytest.mark.parametrize(
    "table", [pd.DataFrame({"a": ["AC"], "b": ["GT"]}), [["AC", "GT"]], np.full((1, 1, 1), "A")]
)
def test_tables_of_several_columns_are_refused(table):
    with pytest.raises(ValueError, match="Select the column that holds the sequences"):
        SequenceEncoder().fit(table)


def test_inverse_transform_names_row_and_position_of_a_foreign_column(monkeypatch):
    monkeypatch.setattr(_batches, "BATCH_ROWS", 2)
    encoder = SequenceEncoder()
    X = encoder.fit_transform(["ACG"] * 4)
    X[3, :, 1] = [1, 0, 0, 1]
    with pytest.raises(ValueError, match=r"Row 3 is not one-hot at position 1.*\[1, 0, 0, 1\]"):
        encoder.inverse_transform(X)


@pytest.mark.parametrize(
    "column", [[2, 0, 0, 0], [1, 0, 0, 0.5], [0.25, 0.25, 0.25, 0], [-1, 0, 0, 0], [np.nan] * 4]
)
def test_inverse_transform_refuses_what_is_neither_one_hot_nor_unknown(column):
    encoder = SequenceEncoder().fit(["A"])
    with pytest.raises(ValueError, match="not one-hot at position 0"):
        encoder.inverse_transform(np.reshape(column, (1, 4, 1)))


def test_inverse_transform_refuses_another_length():
    encoder = SequenceEncoder().fit(["ACG"])
    with pytest.raises(ValueError, match="X has 2 positions, expected 3"):
        encoder.inverse_transform(np.zeros((1, 4, 2)))
