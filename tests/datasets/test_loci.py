"""BED files, and sequences and profiles at their loci."""

import gzip
import sys

import numpy as np
import pytest

from sklearn_degu.datasets import Loci, extract_loci, read_bed

GENOME = {"chrI": "AACCGGTTAN", "chrII": "acgtac"}


def loci_of(*places):
    """Return loci of (chrom, start, end, strand)."""
    chrom, start, end, strand = zip(*places, strict=True)
    names = np.full(len(places), ".")
    return Loci(np.array(chrom), np.array(start), np.array(end), np.array(strand), names)


@pytest.fixture
def track(tmp_path):
    """Return the path of a bigWig whose value at base i of chrI is i, but nothing at 3 and 4."""
    pyBigWig = pytest.importorskip("pyBigWig")
    path = tmp_path / "track.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chrI", 10), ("chrII", 6)])
        for start, stop in ((0, 3), (5, 10)):
            values = [float(i) for i in range(start, stop)]
            file.addEntries("chrI", start, values=values, span=1, step=1)
        file.addEntries(["chrII"], [0], ends=[6], values=[0.5])
    return path


BED = """track name=peaks
# a comment
chrI\t1\t5\tfirst\t0\t-\textra

chrII 0 6
browser position chrI
chrI\t0\t2\t\t0\t
"""


@pytest.mark.parametrize("opener", [open, gzip.open])
def test_bed_is_read_with_and_without_names_strands_and_compression(tmp_path, opener):
    with opener(tmp_path / "loci.bed", "wt") as file:
        file.write(BED)
    loci = read_bed(tmp_path / "loci.bed")
    assert [column.tolist() for column in loci] == [
        ["chrI", "chrII", "chrI"],
        [1, 0, 0],
        [5, 6, 2],
        ["-", ".", "."],
        ["first", ".", "."],
    ]
    assert loci.take([2]).name.tolist() == ["."]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chrI\t5", r"line 2 has 2 columns"),
        ("chrI\tx\t5", r"line 2 has start 'x'"),
        ("chrI\t5\t5", r"line 2 goes from 5 to 5"),
        ("chrI\t-1\t5", r"line 2 goes from -1 to 5"),
        ("chrI\t1\t5\ta\t0\t*", r"line 2 has the strand '\*'"),
    ],
)
def test_lines_that_are_no_loci_are_named(tmp_path, line, message):
    (tmp_path / "loci.bed").write_text(f"chrI\t0\t1\n{line}\n")
    with pytest.raises(ValueError, match=message):
        read_bed(tmp_path / "loci.bed")


def test_a_bed_without_loci_is_refused(tmp_path):
    (tmp_path / "loci.bed").write_text("# nothing\n")
    with pytest.raises(ValueError, match="holds no loci"):
        read_bed(tmp_path / "loci.bed")


def test_centred_windows_keep_the_centre():
    loci = loci_of(("chrI", 2, 6, "+"), ("chrI", 2, 7, "+"), ("chrI", 0, 1, "+")).centred(4)
    assert loci.start.tolist() == [2, 2, -2]
    assert loci.end.tolist() == [6, 6, 2]
    with pytest.raises(ValueError, match="positive integer"):
        loci.centred(0)


def test_sequences_and_profiles_follow_the_strand(track):
    loci = loci_of(("chrI", 4, 8, "+"), ("chrI", 4, 8, "-"), ("chrII", 1, 5, "."))
    data = extract_loci(loci, GENOME, track)
    assert data.sequences.tolist() == ["GGTT", "AACC", "CGTA"]
    np.testing.assert_array_equal(
        data.profiles[:, 0], [[0, 5, 6, 7], [7, 6, 5, 0], [0.5, 0.5, 0.5, 0.5]]
    )
    assert data.profiles.dtype == np.float32
    assert data.indices.tolist() == [0, 1, 2]


def test_several_tracks_are_several_targets_and_missing_values_are_chosen(track):
    data = extract_loci(loci_of(("chrI", 2, 6, "+")), GENOME, [track, track], missing=np.nan)
    np.testing.assert_array_equal(data.profiles, [[[2, np.nan, np.nan, 5]] * 2])
    assert extract_loci(loci_of(("chrI", 2, 6, "+")), GENOME).profiles is None


def test_windows_over_an_edge_are_refused_dropped_or_padded(track):
    loci = loci_of(("chrI", 2, 4, "+"), ("chrI", 0, 2, "-"), ("chrII", 4, 6, "+"))
    with pytest.raises(ValueError, match=r"Of 3 windows 2, the first at chrI:-1-3, has bases"):
        extract_loci(loci, GENOME, track, width=4)
    dropped = extract_loci(loci, GENOME, track, width=4, edges="drop")
    assert (dropped.sequences.tolist(), dropped.indices.tolist()) == (["ACCG"], [0])
    padded = extract_loci(loci, GENOME, track, width=4, edges="pad")
    assert padded.sequences.tolist() == ["ACCG", "GTTN", "TACN"]
    np.testing.assert_array_equal(padded.profiles[1, 0], [2, 1, 0, np.nan])
    np.testing.assert_array_equal(padded.profiles[2, 0], [0.5, 0.5, 0.5, np.nan])
    assert padded.loci.start.tolist() == [1, -1, 3]


def test_unknown_letters_are_refused_dropped_or_kept(track):
    genome = {"chrI": "AACRGGTTAN", "chrII": "ACGTAC"}
    loci = loci_of(("chrI", 0, 3, "+"), ("chrI", 7, 10, "-"), ("chrI", 2, 5, "+"))
    with pytest.raises(ValueError, match="letters other than A, C, G and T"):
        extract_loci(loci, genome)
    dropped = extract_loci(loci, genome, track, unknown="drop")
    assert (dropped.sequences.tolist(), dropped.indices.tolist()) == (["AAC"], [0])
    assert dropped.profiles.tolist() == [[[0, 1, 2]]]
    kept = extract_loci(loci, genome, unknown="keep")
    assert kept.sequences.tolist() == ["AAC", "NTA", "CNG"]
    none = extract_loci(loci.take([1]), genome, track, unknown="drop")
    assert (len(none.sequences), len(none.profiles)) == (0, 0)


@pytest.mark.parametrize(
    ("places", "params", "message"),
    [
        ([("chrI", 0, 3, "+"), ("chrI", 0, 4, "+")], {}, "3 to 4 bases wide"),
        ([("chrX", 0, 3, "+")], {}, "no such sequence"),
        ([("chrI", 20, 23, "+")], {"edges": "pad"}, "another assembly"),
        ([("chrI", 0, 3, "+")], {"edges": "clip"}, "edges must be one of"),
        ([("chrI", 0, 3, "+")], {"unknown": "N"}, "unknown must be one of"),
    ],
)
def test_loci_that_cannot_be_cut_are_explained(places, params, message):
    with pytest.raises(ValueError, match=message):
        extract_loci(loci_of(*places), GENOME, **params)


def test_no_loci_are_explained():
    with pytest.raises(ValueError, match="no loci to cut"):
        extract_loci(loci_of(("chrI", 0, 3, "+")).take([]), GENOME)


def test_a_track_of_another_assembly_is_refused(track, tmp_path):
    loci = loci_of(("chrI", 0, 3, "+"))
    with pytest.raises(ValueError, match="different assemblies"):
        extract_loci(loci, {"chrI": "ACGTACGT"}, track)
    with pytest.raises(ValueError, match="has nothing"):
        extract_loci(loci_of(("chrIII", 0, 3, "+")), {"chrIII": "ACGT"}, track)
    with pytest.raises(FileNotFoundError, match="no bigWig file"):
        extract_loci(loci, GENOME, tmp_path / "absent.bw")


def test_without_the_reader_the_extra_is_named(track, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyBigWig", None)
    with pytest.raises(ImportError, match=r"\[genomics\]"):
        extract_loci(loci_of(("chrI", 0, 3, "+")), GENOME, track)


def test_profiles_of_yeast_hold_the_insertions_of_their_fragments(real_data, tmp_path):
    pytest.importorskip("pyBigWig")
    pytest.importorskip("pyfaidx")
    track, fragments = (
        real_data(f"yeast_atac_{name}") for name in ("insertions.bw", "fragments.bedpe.gz")
    )
    fasta = tmp_path / "genome.fa"
    fasta.write_bytes(gzip.decompress(real_data("yeast_genome.fa.gz").read_bytes()))
    (tmp_path / "loci.bed").write_text("chrI\t30000\t31000\nchrIII\t50000\t51000\ta\t0\t-\n")
    loci = read_bed(tmp_path / "loci.bed")
    data = extract_loci(loci, fasta, track)
    assert data.profiles.shape == (2, 1, 1000)
    assert set("".join(data.sequences)) == set("ACGT")
    # The track counts both ends of every fragment once, however often it was read.
    ends = read_bed(fragments)
    for row, chrom, start, end in zip(range(2), *loci[:3], strict=True):
        on = ends.take(ends.chrom == chrom)
        first, behind = np.unique([on.start, on.end], axis=1)
        at = np.r_[first, behind - 1]
        counts = np.bincount(at[(at >= start) & (at < end)] - start, minlength=1000)
        expected = counts[::-1] if row == 1 else counts
        np.testing.assert_array_equal(data.profiles[row, 0], expected)
