"""What a model is given to read of a variant."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sklearn_degu.variants import variant_effect
from tests.variants.models import additive

SEQUENCE = "ACGTTGCAATCGGCTAAGCT"


def windows(pos, ref, alt, *, sequence=SEQUENCE, length=8, **how):
    """Return the strings that a model reads of one variant."""
    model = additive(length)
    variants = {"chrom": ["s"], "pos": [pos], "ref": [ref], "alt": [alt]}
    variant_effect(model, variants, {"s": sequence}, **how)
    (strings,) = model.read_
    return strings


@pytest.mark.parametrize(("length", "start"), [(7, 6), (8, 6)])
def test_window_has_the_variant_in_its_middle(length, start):
    # Position 10 counted from 1 is base 9 counted from 0: the middle is (length - 1) // 2 = 3.
    ref, alt = windows(10, "T", "G", length=length)
    assert ref == SEQUENCE[start : start + length]
    assert alt == ref[:3] + "G" + ref[4:]


def test_published_windows_of_230_bases_have_the_variant_at_index_114():
    sequence = "ACGT" * 100
    ref, alt = windows(201, "A", "C", sequence=sequence, length=230)
    assert (ref[114], alt[114]) == ("A", "C")
    assert ref[:114] + ref[115:] == alt[:114] + alt[115:]


def test_deletion_is_filled_up_on_the_right():
    assert windows(10, "TCG", "T") == ["CAATCGGC", "CAATGCTA"]


def test_deletion_of_the_whole_reference_allele_is_written_as_a_dash():
    assert windows(10, "TC", "-") == ["CAATCGGC", "CAAGGCTA"]


def test_insertion_pushes_bases_out_on_the_right():
    assert windows(10, "T", "TCC") == ["CAATCGGC", "CAATCCCG"]


def test_lower_case_is_read_as_upper_case():
    assert windows(10, "t", "g", sequence=SEQUENCE.lower()) == windows(10, "T", "G")


@given(
    st.text("ACGT", min_size=12, max_size=30),
    st.text("ACGT", min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from(["pad", "shift"]),
    st.data(),
)
def test_alleles_share_the_left_flank_and_the_right_one_follows_them(
    sequence, alt, n_ref, edge, data
):
    pos = data.draw(st.integers(1, len(sequence) - n_ref + 1))
    ref = sequence[pos - 1 : pos - 1 + n_ref]
    assume(ref != alt)
    padded = "N" * 8 + sequence + "N" * 8
    mutated = padded[: pos + 7] + alt + padded[pos + 7 + n_ref :]
    # Near the end of the sequence an indel has no right flank to fill up from.
    reach = pos - 1 + max(n_ref, len(alt), 2 * n_ref - len(alt))
    assume(edge == "pad" or reach <= len(sequence))
    # In a repeat, both alleles may have the same window.
    of_ref, *_, of_alt = windows(pos, ref, alt, sequence=sequence, edge=edge) * 2
    assert "N" not in of_ref + of_alt or edge == "pad"
    starts = [i for i in range(pos + 8) if padded[i : i + 8] == of_ref]
    assert any(mutated[i : i + 8] == of_alt for i in starts)


@pytest.mark.parametrize("pos", [3, 17])
def test_window_beyond_the_edge_is_refused_by_default(pos):
    with pytest.raises(ValueError, match=r"Row 0 \(s:\d+ .>.\).*needs? the bases.*edge='shift'"):
        windows(pos, SEQUENCE[pos - 1], "A" if SEQUENCE[pos - 1] != "A" else "C")


@pytest.mark.parametrize(("pos", "start"), [(4, 0), (16, 12)])
def test_window_up_to_the_very_edge_is_accepted(pos, start):
    ref = SEQUENCE[pos - 1]
    assert windows(pos, ref, "A" if ref != "A" else "C")[0] == SEQUENCE[start : start + 8]


def test_window_beyond_the_edge_is_filled_up_with_unknown_bases():
    assert windows(2, "C", "A", edge="pad") == ["NNACGTTG", "NNAAGTTG"]
    assert windows(19, "C", "A", edge="pad") == ["AAGCTNNN", "AAGATNNN"]


def test_window_beyond_the_edge_is_moved_inwards():
    assert windows(2, "C", "A", edge="shift") == ["ACGTTGCA", "AAGTTGCA"]
    assert windows(19, "C", "A", edge="shift") == [SEQUENCE[12:], SEQUENCE[12:18] + "AT"]


def test_window_of_a_deletion_is_moved_until_both_alleles_are_filled_up():
    assert windows(17, "AG", "A", edge="shift") == [SEQUENCE[11:19], SEQUENCE[11:17] + "CT"]


def test_sequence_as_long_as_the_window_is_read_whole():
    assert windows(1, "A", "G", sequence="ACGTACGT", edge="shift") == ["ACGTACGT", "GCGTACGT"]


def test_sequence_shorter_than_the_window_cannot_be_shifted():
    with pytest.raises(ValueError, match=r"need 8 bases, but the sequence has 5.*edge='pad'"):
        windows(1, "A", "G", sequence="ACGTA", edge="shift")


@pytest.mark.parametrize(("ref", "alt"), [("TCGGCT", "T"), ("T", "TCGGCT")])
def test_allele_that_reaches_out_of_the_window_is_refused(ref, alt):
    with pytest.raises(ValueError, match=r"Row 0 .* does not fit into the window of 8 bases"):
        windows(10, ref, alt)


def test_deletion_at_the_end_of_a_sequence_has_nothing_to_fill_it_up():
    with pytest.raises(ValueError, match=r"of which 7 lie before it\. .* set edge='pad'"):
        windows(19, "CT", "C", edge="shift")
    assert windows(19, "CT", "C", edge="pad") == ["AAGCTNNN", "AAGCNNNN"]


def test_adaptors_go_around_a_shorter_window():
    assert windows(10, "T", "G", adaptors=("gg", "C")) == ["GGAATCGC", "GGAAGCGC"]


def test_other_strand_is_read_between_the_same_adaptors():
    read = windows(10, "T", "G", adaptors=("GG", "C"), both_strands=True)
    assert read == ["GGAATCGC", "GGCGATTC", "GGAAGCGC", "GGCGCTTC"]


def test_unknown_bases_of_the_sequence_reach_the_encoder():
    sequence = SEQUENCE[:7] + "n" + SEQUENCE[8:]
    assert windows(10, "T", "G", sequence=sequence) == ["CNATCGGC", "CNAGCGGC"]


def test_unknown_bases_are_refused_on_request():
    with pytest.raises(ValueError, match="holds the letter 'N'; allowed are A, C, G and T,"):
        windows(10, "T", "G", sequence=SEQUENCE[:7] + "N" + SEQUENCE[8:], unknown="error")


def test_ambiguous_letters_in_a_window_are_refused():
    with pytest.raises(ValueError, match="holds the letter 'R'; allowed are A, C, G, T and N"):
        windows(10, "T", "G", sequence=SEQUENCE[:7] + "r" + SEQUENCE[8:])


def test_reference_allele_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"ref is 'C', but the sequence has 'T' there.*from 1"):
        windows(10, "C", "G")


def test_variant_outside_the_sequence_is_refused():
    with pytest.raises(ValueError, match="lies outside the 20 bases of 's'"):
        windows(20, "TA", "G", edge="pad")


def test_error_names_all_rows_that_are_refused_before_anything_is_predicted():
    model = additive()
    variants = {
        "chrom": ["s"] * 14,
        "pos": [10] * 14,
        "ref": ["T", *["C"] * 13],
        "alt": ["G"] * 14,
    }
    message = (
        r"^Row 1 \(s:10 C>G\): ref is .* Of 14 variants 13 are refused: "
        r"rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more\.$"
    )
    with pytest.raises(ValueError, match=message):
        variant_effect(model, variants, {"s": SEQUENCE})
    assert model.read_ == []


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"edge": "wrap"}, "edge must be one of"),
        ({"unknown": "drop"}, "unknown must be 'encode' or 'error'"),
        ({"adaptors": "AC"}, "adaptors must be a pair"),
        ({"adaptors": ("AC", "NN")}, "adaptors must be a pair"),
        ({"adaptors": ("ACGT", "ACGT")}, "at least one base"),
        ({"window": 5}, r"reads 8 bases, but window=5 .* make 5\. Leave window out"),
        ({"window": 0}, "at least one base"),
        ({"window": 8.0}, "at least one base"),
        ({"batch_size": 0}, "batch_size must be a positive integer"),
        ({"batch_size": True}, "batch_size must be a positive integer"),
    ],
)
def test_parameter_out_of_range_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        windows(10, "T", "G", **how)


def test_window_may_be_said_if_it_fits():
    assert windows(10, "T", "G", window=np.int64(6), adaptors=("G", "G"))[0] == "GAATCGGG"
