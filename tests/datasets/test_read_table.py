"""Tests of the reader of delimited tables."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_degu.datasets import read_table

TABLE = """name,seq,A,B,a1,a2,a3,b1,b2,fold,control,note
s1,ACGT,1.5,2,1,2,NA,2,2,0,True,x
s2,ggnn,-3e-1,NA,0.5,,,1,3,7,False,007
s3,TTTT,nan,4,NaN,null,None,N/A,4,7,TRUE,NA
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def write(tmp_path, text):
    path = tmp_path / "made.tsv"
    path.write_text(text)
    return path


def test_one_target_gives_one_dimensional_y(table):
    data = read_table(table, sequence="seq", targets="A")
    assert_array_equal(data.sequences, ["ACGT", "ggnn", "TTTT"])
    assert data.sequences.dtype.kind == "U"
    assert_array_equal(data.y, [1.5, -0.3, np.nan])
    assert data.y.dtype == np.float64
    assert data.replicates is None
    assert data.split is None
    assert data.columns == {}
    assert data.target_names == ["A"]


def test_list_with_one_target_gives_one_dimensional_y(table):
    assert read_table(table, sequence="seq", targets=["B"]).y.shape == (3,)


def test_several_targets_keep_their_order(table):
    data = read_table(table, sequence="seq", targets=["B", "A"])
    assert_array_equal(data.y, [[2, 1.5], [np.nan, -0.3], [4, np.nan]])
    assert data.target_names == ["B", "A"]


@pytest.mark.parametrize(
    "replicates", [[["a1", "a2", "a3"], ["b1", "b2"]], {"B": ["b1", "b2"], "A": ["a1", "a2", "a3"]}]
)
def test_shorter_replicate_lists_are_padded_with_nan(table, replicates):
    data = read_table(table, sequence="seq", targets=["A", "B"], replicates=replicates)
    nan = np.nan
    expected = [
        [[1, 2, nan], [2, 2, nan]],
        [[0.5, nan, nan], [1, 3, nan]],
        [[nan, nan, nan], [nan, 4, nan]],
    ]
    assert_array_equal(data.replicates, expected)


def test_replicates_of_one_target_have_two_axes(table):
    data = read_table(table, sequence="seq", targets="A", replicates=["a1", "a2"])
    assert_array_equal(data.replicates, [[1, 2], [0.5, np.nan], [np.nan, np.nan]])
    assert_array_equal(data.y, [1.5, -0.3, np.nan])


@pytest.mark.filterwarnings("error")
def test_without_targets_y_is_the_mean_of_the_measured_replicates(table):
    data = read_table(table, sequence="seq", replicates=["a1", "a2", "a3"])
    assert_array_equal(data.y, [1.5, 0.5, np.nan])
    assert data.target_names == ["activity"]


def test_without_targets_a_mapping_names_them(table):
    data = read_table(table, sequence="seq", replicates={"b": ["b1", "b2"], "a": ["a1"]})
    assert data.target_names == ["b", "a"]
    assert_array_equal(data.y, [[2, 1], [2, 0.5], [4, np.nan]])


def test_without_targets_a_list_of_lists_numbers_them(table):
    data = read_table(table, sequence="seq", replicates=[["b1"], ["a1"]])
    assert data.target_names == ["activity0", "activity1"]


def test_columns_are_typed_by_their_values(table):
    data = read_table(
        table,
        sequence="seq",
        targets="A",
        split="fold",
        columns=["control", "b1", "note", "name"],
    )
    assert data.split.dtype == np.int64
    assert_array_equal(data.split, [0, 7, 7])
    assert_array_equal(data.columns["control"], [True, False, True])
    assert_array_equal(data.columns["b1"], [2, 1, np.nan])
    assert_array_equal(data.columns["note"], ["x", "007", "NA"])
    assert list(data.columns) == ["control", "b1", "note", "name"]


def test_numbers_with_leading_zeros_stay_names(tmp_path):
    path = write(tmp_path, "seq\ty\tid\nA\t1\t007\nC\t2\tx1\n")
    assert_array_equal(
        read_table(path, sequence="seq", targets="y", columns=["id"]).columns["id"], ["007", "x1"]
    )


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("compressed", [False, True])
def test_separator_and_compression_are_told_by_content(tmp_path, separator, compressed):
    text = TABLE.replace(",", separator).encode()
    path = tmp_path / "misleading.txt"
    path.write_bytes(gzip.compress(text) if compressed else text)
    assert_array_equal(read_table(path, sequence="seq", targets="A").y, [1.5, -0.3, np.nan])


def test_given_delimiter_is_used(tmp_path):
    path = write(tmp_path, "seq|y,z|u\nA|1|2\n")
    assert read_table(path, sequence="seq", targets="y,z", delimiter="|").y == 1


def test_spreadsheet_habits_are_read(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b'\xef\xbb\xbfseq,"y, log2"\r\n" ACGT ",1\r\n\r\nAC,2\r\n')
    data = read_table(path, sequence="seq", targets="y, log2")
    assert_array_equal(data.sequences, ["ACGT", "AC"])
    assert_array_equal(data.y, [1, 2])


def test_missing_column_suggests_and_lists(table):
    with pytest.raises(ValueError, match=r"no column 'Seq'. Did you mean 'seq'\?.*name, seq, A"):
        read_table(table, sequence="Seq", targets="A")
    with pytest.raises(ValueError, match=r"Did you mean 'control'\?"):
        read_table(table, sequence="seq", targets="A", columns=["contrl"])
    with pytest.raises(ValueError, match=r"no column 'zzz'. The columns are"):
        read_table(table, sequence="seq", targets="A", split="zzz")


@pytest.mark.parametrize("cell", ["high", "inf", "-Infinity", "1,5"])
def test_unreadable_number_names_line_and_content(tmp_path, cell):
    path = write(tmp_path, f"seq\ty\nA\t1\n\nC\t{cell}\n")
    with pytest.raises(ValueError, match=rf"'y', line 4, holds '{cell}'.*NA"):
        read_table(path, sequence="seq", targets="y")


@pytest.mark.parametrize("cell", ["", "  ", "NA"])
def test_missing_sequence_names_the_line(tmp_path, cell):
    path = write(tmp_path, f"seq\ty\nA\t1\n{cell}\t2\n")
    with pytest.raises(ValueError, match="'seq', line 3"):
        read_table(path, sequence="seq", targets="y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("seq\ty\n", "no rows"),
        ("seq\ty\n\n\n", "no rows"),
        ("seq y\nA 1\n", "Pass delimiter="),
        ("seq\ty\ty\nA\t1\t2\n", "'y' occurs 2 times"),
        ("seq\ty\nA\t1\nC\n", "Line 3 has 1 cells, but the header has 2"),
    ],
)
def test_unusable_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, text), sequence="seq", targets="y")


@pytest.mark.parametrize(
    ("targets", "replicates", "message"),
    [
        (None, None, "neither targets nor replicates"),
        ("A", "a1", "a list of columns was expected"),
        (["A", "B"], {"A": ["a1"]}, "one entry per target"),
        (["A", "B"], ["a1", "a2"], "one list of columns per target"),
        (["A", "B"], [["a1"], []], "one list of columns per target"),
        (None, [], "one list of columns per target"),
    ],
)
def test_replicates_that_do_not_fit_the_targets_are_refused(table, targets, replicates, message):
    with pytest.raises(ValueError, match=message):
        read_table(table, sequence="seq", targets=targets, replicates=replicates)


@given(st.lists(st.floats(allow_infinity=False), min_size=1))
def test_written_numbers_are_read_exactly(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("table") / "t.tsv"
    path.write_text("seq\ty\n" + "".join(f"ACGT\t{value!r}\n" for value in values))
    assert_array_equal(read_table(path, sequence="seq", targets="y").y, values)


def test_lentimpra_table(real_data):
    data = read_table(
        real_data("lentimpra_joint.tsv.gz"),
        sequence="seq",
        targets=["HepG2", "K562", "WTC11"],
        split="fold",
        columns=["overlaps_cagi5"],
    )
    assert data.y.shape == (45581, 3)
    assert_allclose(data.y[0], [0.32, -0.439, -1.505])
    assert set(data.split.tolist()) == set(range(8))
    assert data.columns["overlaps_cagi5"].dtype == bool
    assert set(map(len, data.sequences.tolist())) == {230}


def test_crx_table_with_replicates(real_data):
    data = read_table(
        real_data("crx_mpra.tsv.gz"),
        sequence="seq",
        replicates=[f"log2_rep{i}" for i in range(1, 6)],
        columns=["chrom", "library", "n_bc"],
    )
    assert data.replicates.shape == (47053, 5)
    in_library3 = data.columns["library"] == "library3"
    assert np.isnan(data.replicates[~in_library3, 3:]).all()
    assert not np.isnan(data.replicates[in_library3]).any()
    assert_allclose(data.y[0], np.mean([1.6001, 1.4313, 1.7475]))


def test_deepstarr_table(real_data):
    data = read_table(
        real_data("deepstarr_sample.tsv.gz"),
        sequence="Sequence",
        targets=["Dev_log2_enrichment", "Hk_log2_enrichment"],
        split="set",
    )
    assert data.y.shape == (2969, 2)
    assert not np.isnan(data.y).any()
    assert set(data.split.tolist()) == {"Train"}
