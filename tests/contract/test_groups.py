"""Groups: one label a row, of one kind, none missing, wherever they are passed."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold

from sklearn_degu.datasets import GroupHoldOut, KmerGroupKFold
from sklearn_degu.shift import check_exchangeability
from tests.contract.takers import OTHER, QUICK, N, X, Y, conformal, recalibrated
from tests.toys import tiny_ensemble

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DNA = ["ACGTACGTAC", "TTGACCATTG", "GGGACTCATG", "CATGATTACA"]
LABELS = np.repeat(["chr1", "chr2"], N // 2)


def with_label(label):
    labels = LABELS.astype(object)
    labels[3] = label
    return labels


def held_out(**parts):
    return tiny_ensemble(QUICK, 1, validation=0.5).fit(X, Y, **parts)


GROUPS = {
    "None": (lambda: held_out(groups=with_label(None)), r"missing labels \(None at row 3\)"),
    "NaN": (lambda: held_out(groups=with_label(np.nan)), r"missing labels \(nan at row 3\)"),
    "pandas NA": (lambda: held_out(groups=with_label(pd.NA)), r"missing labels \(<NA> at row 3\)"),
    "NaT": (lambda: held_out(groups=np.full(N, np.datetime64("NaT"))), "missing labels"),
    "floats with NaN": (lambda: held_out(groups=np.r_[np.nan, Y[1:]]), "missing labels .*row 0"),
    "text and numbers": (lambda: held_out(groups=with_label(1)), "types int, str, .* all strings"),
    "two columns": (lambda: held_out(groups=np.c_[LABELS, LABELS]), r"shape \(40, 2\), .* \(40,\)"),
    "too few": (lambda: held_out(groups=LABELS[1:]), r"shape \(39,\).*inconsistent numbers"),
    "one label": (lambda: held_out(groups="chr1"), "groups must be an array.* type str"),
    "masked": (
        lambda: held_out(groups=np.ma.array(LABELS, mask=LABELS == "chr1")),
        "groups is a masked array with 20 masked",
    ),
    "generator": (lambda: held_out(groups=iter(LABELS)), "groups must be an array, a list"),
    "a splitter without them": (
        lambda: tiny_ensemble(QUICK, 1, validation=GroupKFold(2)).fit(X, Y),
        "validation=GroupKFold.* cannot split the 40 training rows",
    ),
    "conformal None": (
        lambda: conformal().fit(OTHER, Y, groups=with_label(None)),
        "missing labels",
    ),
    "conformal too few": (lambda: conformal().fit(OTHER, Y, groups=LABELS[1:]), r"\(39,\)"),
    "recalibrated mixed": (
        lambda: recalibrated().fit(OTHER, Y, groups=with_label(1)),
        "no order among them",
    ),
    "GroupHoldOut None": (
        lambda: next(GroupHoldOut(["chr1"]).split(X, groups=with_label(None))),
        "missing labels",
    ),
    "KmerGroupKFold mixed": (
        lambda: next(KmerGroupKFold(2, k=4).split(DNA, groups=["a", 1, None, "b"])),
        "missing labels",
    ),
    "check_exchangeability None": (
        lambda: check_exchangeability(
            None, X, OTHER, features=None, groups=np.r_[with_label(None), with_label("b")]
        ),
        "missing labels",
    ),
}


@pytest.mark.parametrize(("call", "message"), GROUPS.values(), ids=GROUPS.keys())
def test_of_no_use_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_may_be_a_column_of_a_table():
    table = pd.DataFrame({"chromosome": LABELS}, index=range(100, 100 + N))
    expected = held_out(groups=LABELS).validation_indices_
    np.testing.assert_array_equal(held_out(groups=table).validation_indices_, expected)
