"""Sequences as spreadsheets and pipelines hold them: encoded, or refused with the row at fault."""

import collections
import pathlib

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from sklearn_degu.augmentation import SequenceEdits
from sklearn_degu.datasets import kmer_groups
from sklearn_degu.sequences import (
    SequenceEncoder,
    dinucleotide_shuffle,
    mutate,
    recombine,
    reverse_complement,
    shuffle,
)
from tests.contract.hostile import read_only

DNA = ["ACGTACGTACGT", "TTGACGTAACGA", "GGNTACGATTAC"]
ENCODER = SequenceEncoder().fit(DNA)
ONE_HOT = ENCODER.transform(DNA)
EXPECTED = "Expected a 1-D array, list or Series of DNA strings"
LETTERS = "Allowed are A, C, G, T and N, in either case. Write U as T and ambiguous"

NO_SEQUENCES = {
    "generator": (lambda: (s for s in DNA), f"{EXPECTED}.* object of type generator"),
    "map": (lambda: map(str, DNA), f"{EXPECTED}.* object of type map"),
    "set": (lambda: set(DNA), f"{EXPECTED}.* object of type set"),
    "dict": (lambda: dict(enumerate(DNA)), f"{EXPECTED}.* object of type dict"),
    "None": (lambda: None, f"{EXPECTED}.* object of type NoneType"),
    "path": (lambda: pathlib.Path("a.fasta"), f"{EXPECTED}.* object of type PosixPath"),
    "one string": (lambda: DNA[0], r"got a single string. Wrap it in a list: \[sequence\]"),
    "one bytes": (lambda: b"ACGT", "got a single string"),
    "0-d array": (lambda: np.array("ACGT"), "object of type ndarray"),
    "no rows": (lambda: [], "got 0 sequences. At least 1 is required"),
    "no rows of an array": (lambda: np.array([], dtype=str), "got 0 sequences"),
    "numbers": (lambda: [1, 2, 3], r"Row 0 is of type int \(1\); expected a DNA string"),
    "range": (lambda: range(3), "an array of dtype int64"),
    "one-hot": (lambda: ONE_HOT, "Leave SequenceEncoder out if X is one-hot already"),
    "dates": (lambda: np.array(["2026-01-01"], dtype="M8[D]"), "an array of dtype datetime64"),
    "sparse": (lambda: scipy.sparse.eye(3), "object of type dia"),
    "tensor": (lambda: torch.zeros(3), "an array of dtype float32"),
    "tensor without data": (lambda: torch.empty(3, device="meta"), "object of type Tensor"),
    "two columns": (lambda: pd.DataFrame({"a": DNA, "b": DNA}), r"shape \(3, 2\). Select the col"),
    "letters in columns": (lambda: [list("ACGT"), list("ACGT")], r"shape \(2, 4\). Select the"),
    "three axes": (lambda: np.array(DNA).reshape(3, 1, 1), r"array of shape \(3, 1, 1\)"),
    "nested lists": (lambda: [["ACGT"], ["AC", "GT"]], "Row 0 is of type list"),
    "byte arrays": (lambda: [bytearray(b"ACGT")], "Row 0 is of type bytearray"),
    "masked": (
        lambda: np.ma.array(DNA, mask=[False, True, False]),
        "X is a masked array with 1 masked entries",
    ),
    "NaN": (lambda: [*DNA, np.nan], r"Row 3 is missing \(nan\).* Drop the row"),
    "None in a row": (lambda: [*DNA, None], r"Row 3 is missing \(None\)"),
    "NA of string dtype": (lambda: pd.Series([*DNA, None], dtype="string"), "Row 3 is missing"),
    "NA of categories": (lambda: pd.Series([*DNA, None], dtype="category"), "Row 3 is missing"),
    "NaT": (lambda: [*DNA, pd.NaT], "Row 3 is missing"),
    "empty string": (lambda: [*DNA, ""], "Row 3 is an empty string.* Drop the row"),
    "unequal lengths": (lambda: [*DNA, "ACG"], "Row 3 has 3 bases, expected 12.* pad='right'"),
    "gap": (lambda: ["AC-GT"], f"letter '-' at position 2. {LETTERS}"),
    "stop": (lambda: ["ACGT*"], "letter '[*]' at position 4"),
    "IUPAC": (lambda: ["ACRT"], f"letter 'R' at position 2. {LETTERS}"),
    "RNA": (lambda: ["ACGU"], "letter 'U' at position 3"),
    "space": (lambda: ["ACGT "], "letter ' ' at position 4"),
    "line break": (lambda: ["ACGT\r\n"], r"letter .* at position 4"),
    "FASTA": (lambda: [">chr1", "ACGT"], "letter '>' at position 0"),
    "Greek": (lambda: ["ACG\N{GREEK CAPITAL LETTER ALPHA}"], "letter .* at position 3"),
    "no bytes of a letter": (lambda: [b"ACG\xff"], "letter 'ÿ' at position 3"),
}

SAME_SEQUENCES = {
    "tuple": tuple,
    "array": np.array,
    "object": lambda s: np.array(s, dtype=object),
    "bytes": lambda s: np.array(s, dtype="S"),
    "strings and bytes": lambda s: [s[0], s[1].encode(), np.str_(s[2])],
    "lower case": lambda s: [row.lower() for row in s],
    "series of odd index": lambda s: pd.Series(s, index=[10**6, -3, 7]),
    "string dtype": lambda s: pd.Series(s, dtype="string"),
    "categories": lambda s: pd.Series(s, dtype="category"),
    "index": pd.Index,
    "table": lambda s: pd.DataFrame({"sequence": s}, index=[0, 0, 0]),
    "column": lambda s: np.array(s).reshape(-1, 1),
    "nested lists": lambda s: [[row] for row in s],
    "deque": collections.deque,
    "strided": lambda s: np.repeat(s, 2)[::2],
    "read-only": lambda s: read_only(np.array(s)),
    "masked array without a mask": np.ma.array,
}

ARRAY = "X must be an array, a list or a table .* got an object of type"
NO_ONE_HOT = {
    "strings": (lambda: DNA, "Encode strings with SequenceEncoder first"),
    "complex": (lambda: ONE_HOT + 0j, "Expected a one-hot array of numbers, got dtype complex128"),
    "objects": (lambda: ONE_HOT.astype(object), "got dtype object"),
    "dates": (lambda: ONE_HOT.astype("M8[s]"), "got dtype datetime64"),
    "generator": (lambda: iter(ONE_HOT), ARRAY),
    "None": (lambda: None, ARRAY),
    "set": (lambda: {1, 2}, ARRAY),
    "ragged": (lambda: [[[1], [0], [0], [0, 1]]], "X is ragged"),
    "masked": (lambda: np.ma.array(ONE_HOT, mask=ONE_HOT == 1), "X is a masked array with"),
    "gradients": (
        lambda: torch.from_numpy(ONE_HOT.astype(float)).requires_grad_(),
        r"X, of type Tensor, cannot be read as an array.* X.detach\(\)",
    ),
    "tensor without data": (lambda: torch.empty(2, 4, 12, device="meta"), "cannot be read as an"),
    "one sequence": (lambda: ONE_HOT[0], r"Give a single sequence an axis of its own: X\[None\]"),
    "channels last": (lambda: ONE_HOT.transpose(0, 2, 1), r"X.transpose\(0, 2, 1\)"),
    "flattened": (lambda: ONE_HOT.reshape(3, -1), "Unfold a flattened array"),
    "five channels": (lambda: np.zeros((3, 5, 12)), r"got shape \(3, 5, 12\)"),
    "no positions": (lambda: ONE_HOT[:, :, :0], "at least one base"),
}
NO_COLUMNS = {
    "NaN": (lambda: np.where(ONE_HOT == 1, np.nan, 0), "Row 0 is not one-hot at position 0"),
    "inf": (lambda: np.where(ONE_HOT == 1, np.inf, 0), "Row 0 is not one-hot at position 0"),
    "1e300": (lambda: ONE_HOT * 1e300, r"hold \[1e\+300, 0.0, 0.0, 0.0\]. Expected a single 1"),
    "negative": (lambda: -ONE_HOT.astype(np.int8), "Row 0 is not one-hot"),
    "halves": (lambda: ONE_HOT * 0.5, "Row 0 is not one-hot"),
    "two bases": (lambda: np.ones_like(ONE_HOT), "Row 0 is not one-hot"),
}
READ_COLUMNS = {
    "inverse_transform": ENCODER.inverse_transform,
    "mutate": lambda X: mutate(X, 0.5, random_state=0),
    "dinucleotide_shuffle": lambda X: dinucleotide_shuffle(X, random_state=0),
    "SequenceEdits": lambda X: SequenceEdits()(X, np.random.default_rng(0)),
}
EDITS = READ_COLUMNS | {
    "reverse_complement": reverse_complement,
    "shuffle": lambda X: shuffle(X, random_state=0),
    "recombine": lambda X: recombine(X, random_state=0),
}

ARGUMENTS = {
    "rate NaN": (lambda: mutate(ONE_HOT, np.nan), r"rate must be a float in the range \[0, 1\]"),
    "rate in per cent": (lambda: mutate(ONE_HOT, 5), "got 5"),
    "rate as text": (lambda: mutate(ONE_HOT, "0.1"), "got '0.1'"),
    "rate of every base": (lambda: mutate(ONE_HOT, np.array([0.1, 0.2])), "rate must be a float"),
    "seed as text": (lambda: shuffle(ONE_HOT, random_state="a"), "random_state must be a non-neg"),
    "seed negative": (lambda: shuffle(ONE_HOT, random_state=-1), "got -1"),
    "region a position": (lambda: shuffle(ONE_HOT, region=3), r"region=slice\(15, 200\)"),
    "region a pair": (lambda: shuffle(ONE_HOT, region=(1, 3)), "region must be None, a slice or a"),
    "region ragged": (lambda: shuffle(ONE_HOT, region=[[1], [1, 2]]), "region is ragged"),
    "region of floats": (
        lambda: shuffle(ONE_HOT, region=slice(0.5, 3)),
        "is no slice of positions",
    ),
    "region without step": (lambda: shuffle(ONE_HOT, region=slice(0, 5, 0)), "a step other than 0"),
    "region outside": (lambda: shuffle(ONE_HOT, region=slice(99, 200)), "selects none of the 12"),
    "region with gaps": (
        lambda: reverse_complement(ONE_HOT, region=slice(0, 8, 2)),
        "must be one unbroken stretch",
    ),
    "mask too short": (lambda: shuffle(ONE_HOT, region=[True] * 5), r"must have shape \(12,\)"),
    "edits without generator": (lambda: SequenceEdits()(ONE_HOT, 0), "must be a numpy Generator"),
    "edits of no probability": (
        lambda: SequenceEdits(mutation=np.nan)(ONE_HOT, np.random.default_rng(0)),
        "mutation must be a probability",
    ),
    "length of a float": (lambda: SequenceEncoder(length=2.5).fit(DNA), "Got 2.5 instead"),
    "padding of True": (lambda: SequenceEncoder(pad=True).fit(DNA), "Got True instead"),
    "other length": (lambda: ENCODER.inverse_transform(ONE_HOT[:, :, 1:]), "11 positions, expect"),
    "groups of numbers": (lambda: kmer_groups([1, 2]), "Row 0 of the sequences is 1 of type int"),
    "groups of a generator": (lambda: kmer_groups(iter(DNA)), "sequences must be an array"),
    "groups of gaps": (lambda: kmer_groups(["ACGT-ACGT"], k=4), "holds '-' at position 4"),
}


def by_name(table):
    return pytest.mark.parametrize(("make", "message"), table.values(), ids=table.keys())


def over(functions):
    return pytest.mark.parametrize("function", functions.values(), ids=functions.keys())


@by_name(NO_SEQUENCES)
def test_what_is_no_sequence_is_refused(make, message):
    for method in (SequenceEncoder().fit, ENCODER.transform):
        with pytest.raises((TypeError, ValueError), match=message):
            method(make())


@pytest.mark.parametrize("container", SAME_SEQUENCES.values(), ids=SAME_SEQUENCES.keys())
def test_the_container_does_not_change_the_encoding(container):
    np.testing.assert_array_equal(ENCODER.transform(container(DNA)), ONE_HOT)


@by_name(NO_ONE_HOT)
@over(EDITS)
def test_what_is_no_one_hot_array_is_refused(function, make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        function(make())


@by_name(NO_COLUMNS)
@over(READ_COLUMNS)
def test_columns_that_are_no_bases_are_refused(function, make, message):
    with pytest.raises(ValueError, match=message):
        function(make())


@by_name(ARGUMENTS)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize(
    "container",
    [
        np.asfortranarray,
        read_only,
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: X[::-1].copy()[::-1],
        lambda X: X.astype(np.float16),
        lambda X: X.astype(np.uint64),
        lambda X: torch.from_numpy(X.copy()),
        lambda X: X.tolist(),
    ],
)
@over(EDITS)
def test_the_memory_layout_does_not_change_an_edit(function, container):
    before = ONE_HOT.copy()
    np.testing.assert_array_equal(function(container(ONE_HOT)), function(ONE_HOT))
    np.testing.assert_array_equal(ONE_HOT, before)
