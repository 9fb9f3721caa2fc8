"""The published data sets: downloads, and files in the published formats."""

import gzip
import io
import json
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pytest

from sklearn_degu.datasets import (
    HDF5Array,
    fetch_cagi5,
    fetch_deepstarr,
    fetch_degu_zenodo,
    fetch_lentimpra,
)
from sklearn_degu.datasets._downloads import CHECKSUMS

DEEPSTARR = """seqnames\tstart\tend\tID\tset\tSequence\tDev_log2_enrichment\tHk_log2_enrichment
chr2L\t1\t4\ta_+\tTrain\tAACG\t1.5\t-0.5
chr2L\t1\t4\ta_-\tTest\tCGTT\t1.25\t-0.25
chrX\t9\t12\tb\tTrain\tAAAA\t0\t2
chr2R\t9\t12\tc\tVal\tACCC\t3\t4
chr2R\t9\t12\td\tTest\tACGN\t3\t4
"""
CAGI5 = """Chrom\tPos\tRef\tAlt\tBarcodes\tDNA\tRNA\tCoefficient\tpValue\tElement\tRelease
2\t60494940\tC\tA\t146\t2785\t6772\t-0.05\t0.39\tBCL11A\tGRCh37
2\t60267805\tC\tA\t146\t2785\t6772\t-0.05\t0.39\tBCL11A\tGRCh38
2\t60267805\tC\t-\t32\t577\t1345\t-0.34\t0.005\tBCL11A\tGRCh38
X\t139530463\tG\tT\t12\t80\t90\tNA\tNA\tF9\tGRCh38
X\t139530464\tG\tT\t12\t80\t90\t0.5\t0.01\tF9\tGRCh38
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """Serve a folder; return it and its URL."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture
def deepstarr(server, tmp_path):
    """Return a function that fetches the DeepSTARR table from the server."""
    folder, url = server
    (folder / "Sequences_activity_all.txt").write_text(DEEPSTARR)
    pytest.importorskip("pooch")
    return partial(fetch_deepstarr, data_home=tmp_path / "home", base_url=url)


def one_hot(*sequences):
    """Return (n, L, 4) as the published files have it."""
    return np.array([[[base == letter for letter in "ACGT"] for base in s] for s in sequences])


@pytest.fixture
def zenodo(server, tmp_path):
    """Serve an archive as published; return the parameters that fetch from it."""
    folder, url = server
    pytest.importorskip("pooch")
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for split, sequences in {
            "Train": ("AACG", "AAAA", "TTTT", "ACCC"),
            "Val": ("GGGT", "CATC", "CATT"),
            "Test": ("CGTT",),
        }.items():
            file[f"{split}/X"] = one_hot(*sequences).astype(float)
            file[f"{split}/y"] = np.arange(2.0 * len(sequences)).reshape(-1, 2)
    with tarfile.open(folder / "data.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("data/lentiMPRA_K562_activity_and_aleatoric_data.h5")
        entry.size = len(content.getvalue())
        content.seek(0)
        archive.addfile(entry, content)
    return {"data_home": tmp_path / "home", "base_url": url}


def test_deepstarr_is_read_with_its_split(deepstarr):
    data = deepstarr()
    assert data.sequences.tolist() == ["AACG", "CGTT", "AAAA", "ACCC", "ACGN"]
    assert data.published_split.tolist() == ["train", "test", "train", "valid", "test"]
    np.testing.assert_array_equal(data.y[0], [1.5, -0.5])
    assert data.columns["seqnames"].tolist() == ["chr2L", "chr2L", "chrX", "chr2R", "chr2R"]


def test_reverse_complements_are_on_one_side_by_their_bases(deepstarr):
    data = deepstarr()
    assert data.split.tolist() == ["test", "test", "train", "valid", "test"]
    assert data.groups[0] == data.groups[1]
    assert len(np.unique(data.groups)) == 4


def test_an_unknown_split_is_told(deepstarr, server):
    text = DEEPSTARR.replace("Val", "Holdout")
    (server[0] / "Sequences_activity_all.txt").write_text(text)
    with pytest.raises(ValueError, match="Holdout"):
        deepstarr()


def test_a_second_fetch_needs_no_server(deepstarr):
    first = deepstarr()
    second = deepstarr(base_url="http://127.0.0.1:9", download_if_missing=False)
    np.testing.assert_array_equal(first.y, second.y)


def test_the_subset_is_a_file_of_its_own(deepstarr, server):
    (server[0] / "Sequences_activity_subset.txt").write_text(DEEPSTARR.split("chrX")[0])
    assert len(deepstarr(subset=True).y) == 2
    assert len(deepstarr().y) == 5


def test_a_file_put_there_by_hand_is_read_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    folder = tmp_path / "sklearn_degu" / "deepstarr"
    with pytest.raises(ImportError, match=r"\[download\].*by hand to .*all\.txt") as told:
        fetch_deepstarr(data_home=tmp_path)
    assert str(folder) in str(told.value)
    (folder / "Sequences_activity_all.txt").write_text(DEEPSTARR)
    assert len(fetch_deepstarr(data_home=tmp_path).y) == 5


def test_offline_the_error_says_where_to_put_the_file(deepstarr, tmp_path):
    place = str(tmp_path / "home" / "sklearn_degu" / "deepstarr" / "Sequences_activity_all.txt")
    with pytest.raises(OSError, match="could not be downloaded") as told:
        deepstarr(base_url="http://127.0.0.1:9")
    assert place in str(told.value)
    with pytest.raises(OSError, match="download_if_missing=False") as told:
        deepstarr(download_if_missing=False)
    assert place in str(told.value)


def test_a_file_that_is_not_on_the_server_leaves_nothing_behind(deepstarr, server, tmp_path):
    (server[0] / "Sequences_activity_all.txt").unlink()
    with pytest.raises(OSError, match="404"):
        deepstarr()
    assert not list((tmp_path / "home" / "sklearn_degu" / "deepstarr").iterdir())


def test_a_file_that_changed_since_it_was_first_seen_is_refused(deepstarr, tmp_path):
    deepstarr()
    folder = tmp_path / "home" / "sklearn_degu" / "deepstarr"
    [[name, checksum]] = json.loads((folder / CHECKSUMS).read_text()).items()
    assert checksum.startswith("sha256:")
    (folder / name).write_text(DEEPSTARR.replace("1.5", "1.6"))
    with pytest.raises(ValueError, match="when it was first seen"):
        deepstarr()


def test_the_archive_of_degu_is_unpacked_once(zenodo):
    name = "lentiMPRA_K562_activity_and_aleatoric_data.h5"
    data = fetch_degu_zenodo(name, **zenodo)
    assert data.train.X.shape == (4, 4, 4)
    stored = HDF5Array(data.path, "Train/X", channels_last=True)
    np.testing.assert_array_equal(stored, data.train.X)
    changed = data.path.stat().st_mtime_ns
    assert fetch_degu_zenodo(name, **zenodo).path.stat().st_mtime_ns == changed


def test_a_file_that_the_archive_lacks_is_told(zenodo):
    with pytest.raises(ValueError, match=r"no file 'absent.h5'. It has: data/lentiMPRA_K562"):
        fetch_degu_zenodo("absent.h5", **zenodo)


def test_lentimpra_has_activity_deviation_and_pairs_on_one_side(zenodo):
    data = fetch_lentimpra("K562", **zenodo)
    assert (data.X.shape, data.X.dtype) == ((8, 4, 4), np.uint8)
    np.testing.assert_array_equal(data.y, [0, 2, 4, 6, 0, 2, 4, 0])
    np.testing.assert_array_equal(data.replicate_std, [1, 3, 5, 7, 1, 3, 5, 1])
    assert data.published_split.tolist() == ["train"] * 4 + ["valid"] * 3 + ["test"]
    assert data.split.tolist() == ["test", "train", "train", *["valid"] * 4, "test"]
    assert data.groups[1] == data.groups[2]


def test_lentimpra_names_its_cells(tmp_path):
    with pytest.raises(ValueError, match="HepG2"):
        fetch_lentimpra("WTC11", data_home=tmp_path)


def test_cagi5_is_read_by_release_and_element(server, tmp_path):
    pytest.importorskip("pooch")
    folder, url = server
    (folder / "elements.tsv.gz").write_bytes(gzip.compress(CAGI5.encode()))
    fetch = partial(fetch_cagi5, data_home=tmp_path / "home", base_url=url)
    data = fetch()
    assert {name: list(column) for name, column in data.variants.items()} == {
        "chrom": ["2", "2", "X"],
        "pos": [60267805, 60267805, 139530464],
        "ref": ["C", "C", "G"],
        "alt": ["A", "-", "T"],
    }
    np.testing.assert_array_equal(data.y, [-0.05, -0.34, 0.5])
    np.testing.assert_array_equal(data.barcodes, [146, 32, 12])
    assert fetch(elements=["F9"]).element.tolist() == ["F9"]
    assert fetch(release="GRCh37").variants["pos"].tolist() == [60494940]
    with pytest.raises(ValueError, match=r"elements names \['SORT1'\].*BCL11A, F9"):
        fetch(elements=["SORT1"])
    with pytest.raises(ValueError, match=r"release names \['hg19'\]"):
        fetch(release="hg19")
