"""Variants from tables and VCF files, sequences from dicts and FASTA files."""

import gzip
import sys

import numpy as np
import pytest

from sklearn_degu.variants import read_vcf, variant_effect
from tests.variants.models import additive

COLUMNS = {"chrom": ["s", "s"], "pos": [4, 5], "ref": ["T", "T"], "alt": ["A", "-"]}
SEQUENCES = {"s": "ACGTTGCAATCGGCTAAGCT"}
HEADER = "##fileformat=VCFv4.2\n##source=test\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\n"


def effects(variants, sequences=SEQUENCES):
    return variant_effect(additive(), variants, sequences, edge="pad")


def vcf(tmp_path, *lines, header=HEADER):
    path = tmp_path / "some.vcf"
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return path


def test_kinds_of_tables_say_the_same():
    pandas = pytest.importorskip("pandas")
    records = list(zip(*COLUMNS.values(), strict=True))
    dtype = [("chrom", "U9"), ("pos", int), ("ref", "U9"), ("alt", "U9")]
    expected = effects(COLUMNS)
    frame = pandas.DataFrame(COLUMNS, index=["x", "y"])
    for table in (frame, frame.astype({"chrom": "category"}), np.array(records, dtype=dtype)):
        np.testing.assert_array_equal(effects(table).effect, expected.effect)
    np.testing.assert_array_equal(effects(expected.variants).effect, expected.effect)


def test_element_is_another_name_for_chrom():
    table = {"element": COLUMNS["chrom"], **{k: v for k, v in COLUMNS.items() if k != "chrom"}}
    np.testing.assert_array_equal(effects(table).effect, effects(COLUMNS).effect)


def test_chromosomes_may_be_numbers():
    table = {**COLUMNS, "chrom": [7, 7]}
    sequences = {7: SEQUENCES["s"]}
    np.testing.assert_array_equal(effects(table, sequences).effect, effects(COLUMNS).effect)


def test_result_holds_the_variants_as_they_were_read():
    variants = effects({**COLUMNS, "ref": ["t", "T"], "pos": [4.0, 5.0]}).variants
    assert len(variants) == 2
    assert variants.chrom.tolist() == ["s", "s"]
    assert variants.pos.tolist() == [4, 5]
    assert variants.ref.tolist() == ["T", "T"]
    assert variants.alt.tolist() == ["A", ""]


@pytest.mark.parametrize("missing", COLUMNS)
def test_table_without_a_column_is_refused(missing):
    table = {name: column for name, column in COLUMNS.items() if name != missing}
    with pytest.raises(ValueError, match="needs the columns 'chrom'"):
        effects(table)


def test_table_with_two_names_of_sequences_is_refused():
    with pytest.raises(ValueError, match="one alone of 'chrom' and 'element'"):
        effects({**COLUMNS, "element": ["s", "s"]})


@pytest.mark.parametrize("table", [np.zeros((2, 4)), 3, [("s", 4, "T", "A")]])
def test_what_is_no_table_is_refused(table):
    with pytest.raises(TypeError, match="variants must be a DataFrame"):
        effects(table)


def test_columns_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match="vectors of one length"):
        effects({**COLUMNS, "ref": "T"})


def test_empty_table_is_refused():
    with pytest.raises(ValueError, match="no variants"):
        effects({name: [] for name in COLUMNS})


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("pos", 0, r"Row 1: pos must be .* Add 1 to positions that are counted from 0"),
        ("pos", 2.5, "Row 1: pos must be"),
        ("pos", float("nan"), "Row 1: pos must be"),
        ("pos", float("inf"), "Row 1: pos must be"),
        ("pos", True, "Row 1: pos must be"),
        ("pos", "5", "Row 1: pos must be"),
        ("chrom", None, "Row 1: the name of the sequence is missing"),
        ("chrom", "", "Row 1: the name of the sequence is missing"),
        ("chrom", float("nan"), "Row 1: the name of the sequence is missing"),
        ("ref", "", "Row 1: ref must be one or more of the letters"),
        ("ref", "-", r"Row 1: ref must be .*write an insertion with the base before it"),
        ("ref", "N", "Row 1: ref must be"),
        ("alt", "R", "Row 1: alt must be"),
        ("alt", "", "Row 1: alt must be"),
        ("alt", None, "Row 1: alt must be"),
        ("alt", "t", "Row 1: ref and alt are the same, 'T'"),
    ],
)
def test_row_that_is_no_variant_is_refused(column, value, message):
    table = {**COLUMNS, column: [COLUMNS[column][0], value]}
    with pytest.raises(ValueError, match=message):
        effects(table)


def test_vcf_is_read_allele_by_allele(tmp_path):
    path = vcf(tmp_path, "s\t4\t.\tT\tA,TC\t.", "s\t5\trs1\ttg\tt\t.")
    variants = read_vcf(path)
    assert variants.pos.tolist() == [4, 4, 5]
    assert variants.ref.tolist() == ["T", "T", "TG"]
    assert variants.alt.tolist() == ["A", "TC", "T"]
    assert variants.lines.tolist() == [4, 4, 5]


def test_vcf_and_table_give_the_same_effects(tmp_path):
    path = vcf(tmp_path, "s\t4\t.\tT\tA", "s\t4\t.\tTT\tT")
    table = {"chrom": ["s"] * 2, "pos": [4, 4], "ref": ["T", "TT"], "alt": ["A", "T"]}
    for file in (path, str(path)):
        np.testing.assert_array_equal(effects(file).effect, effects(table).effect)


def test_compressed_vcf_is_known_by_its_content(tmp_path):
    path = vcf(tmp_path, "s\t4\t.\tT\tA")
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_vcf(path).alt.tolist() == ["A"]


@pytest.mark.parametrize("alt", ["<DEL>", "*", ".", "G]17:198982]", "-", "A,<INS>", ""])
def test_allele_that_is_not_spelt_out_is_refused_with_its_line(tmp_path, alt):
    path = vcf(tmp_path, "s\t4\t.\tT\tA\t.", f"s\t5\t.\tT\t{alt}\t.")
    with pytest.raises(ValueError, match="Line 5: alt must be"):
        read_vcf(path)


def test_vcf_position_that_is_no_number_is_refused_with_its_line(tmp_path):
    with pytest.raises(ValueError, match="Line 4: pos must be a whole number"):
        read_vcf(vcf(tmp_path, "s\tx\t.\tT\tA\t."))


def test_mismatch_in_a_vcf_is_named_by_its_line(tmp_path):
    path = vcf(tmp_path, "s\t4\t.\tT\tA\t.", "s\t5\t.\tC\tA,G\t.")
    with pytest.raises(ValueError, match=r"^Line 5 \(s:5 C>A\).*refused: lines 5, 5\.$"):
        effects(path)


def test_vcf_line_with_too_few_columns_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Line 4 .* has 3 columns"):
        read_vcf(vcf(tmp_path, "s\t4\tT"))


@pytest.mark.parametrize(
    "header", ["", HEADER.replace("##fileformat", "##format"), HEADER.replace("\t", " ")]
)
def test_file_that_is_no_vcf_is_refused(tmp_path, header):
    with pytest.raises(ValueError, match="is no VCF file"):
        read_vcf(vcf(tmp_path, "s\t4\t.\tT\tA", header=header))


def test_file_without_column_names_is_refused(tmp_path):
    for header in ("", "##fileformat=VCFv4.2\n"):
        with pytest.raises(ValueError, match="is no VCF file"):
            read_vcf(vcf(tmp_path, header=header))


def test_vcf_without_variants_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no variants"):
        read_vcf(vcf(tmp_path))


def test_sequences_may_be_a_series():
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(SEQUENCES)
    np.testing.assert_array_equal(effects(COLUMNS, series).effect, effects(COLUMNS).effect)
    with pytest.raises(ValueError, match="Two sequences have the same name"):
        effects(COLUMNS, pandas.concat([series, series]))


def test_fasta_says_what_a_dict_says(tmp_path):
    pytest.importorskip("pyfaidx")
    path = tmp_path / "genome.fa"
    sequence = SEQUENCES["s"]
    path.write_text(f">other\nACGT\n>s described\n{sequence[:12].lower()}\n{sequence[12:]}\n")
    for file in (path, str(path)):
        np.testing.assert_array_equal(effects(COLUMNS, file).effect, effects(COLUMNS).effect)
    with pytest.raises(ValueError, match="no sequence named 'chrs' among 'other', 's'"):
        effects({**COLUMNS, "chrom": ["chrs", "s"]}, path)


def test_fasta_without_pyfaidx_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyfaidx", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-degu\[genomics\]'"):
        effects(COLUMNS, tmp_path / "genome.fa")


def test_fasta_that_is_not_there_is_refused(tmp_path):
    pytest.importorskip("pyfaidx")
    with pytest.raises(FileNotFoundError, match=r"no FASTA file .* as a dict"):
        effects(COLUMNS, tmp_path / "genome.fa")


@pytest.mark.parametrize(("asked", "there"), [("chr1", "1"), ("1", "chr1")])
def test_other_naming_of_chromosomes_is_recognised(asked, there):
    with pytest.raises(ValueError, match=f"no sequence named '{asked}'.* There is one named"):
        effects({**COLUMNS, "chrom": [asked, asked]}, {there: SEQUENCES["s"]})


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        ([SEQUENCES["s"]], TypeError, "sequences must be a dict or Series"),
        ({"s": 3}, TypeError, "Sequence 's' must be a str, got int"),
        ({}, ValueError, "empty mapping"),
    ],
)
def test_what_are_no_sequences_is_refused(sequences, error, message):
    with pytest.raises(error, match=message):
        variant_effect(additive(), COLUMNS, sequences)


def test_long_alleles_are_shortened_in_messages():
    table = {"chrom": ["s"], "pos": [1], "ref": ["ACGT" * 10], "alt": ["A"]}
    with pytest.raises(ValueError, match=r"\(s:1 (ACGT){5}\.\.\. \(40 bases\)>A\)"):
        effects(table)
