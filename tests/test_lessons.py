"""What a student is shown, epoch by epoch."""

import numpy as np
import pytest

from sklearn_degu._inputs import Samples
from sklearn_degu._lessons import EPOCHS_A_COPY, Lessons
from sklearn_degu.uncertainty import Heads

X = np.arange(12.0).reshape(6, 2)
UNLABELED = np.full((2, 2), 100.0)


def label(rows, what=""):
    """A teacher whose mean is the first column and whose deviation is the second."""
    return {"mean": rows[:, :1], "epistemic": 1 + np.abs(rows[:, 1:])}


def noisy(rows, generator):
    return rows + generator.normal(size=rows.shape)


def lessons(augment=None, unlabeled=X[:0], weight=None, seed=0):
    train = Samples(X, X[:, :1], weight)
    return Lessons(label, train, unlabeled, augment, seed)


def heads_of(taught):
    return Heads.fit(taught.labels, taught.weight)


def test_without_augmentation_the_training_rows_are_shown_in_every_epoch():
    taught = lessons()
    np.testing.assert_array_equal(taught.X, X)
    assert all(
        taught.refreshed(epoch, heads_of(taught)) is None for epoch in range(2 * EPOCHS_A_COPY)
    )


def test_edited_copies_are_shown_instead_of_the_training_rows():
    taught = lessons(noisy)
    assert taught.X.shape == X.shape
    assert not np.isclose(taught.X, X).any()
    np.testing.assert_array_equal(taught.labels["mean"], taught.X[:, :1])


def test_a_new_copy_comes_every_few_epochs():
    taught = lessons(noisy)
    heads = heads_of(taught)
    news = [taught.refreshed(epoch, heads) is not None for epoch in range(2 * EPOCHS_A_COPY + 1)]
    assert np.flatnonzero(news).tolist() == [EPOCHS_A_COPY, 2 * EPOCHS_A_COPY]


def test_a_new_copy_is_labelled_anew():
    taught = lessons(noisy)
    heads = heads_of(taught)
    rows = taught.refreshed(EPOCHS_A_COPY, heads)
    np.testing.assert_allclose(rows.y, heads.encode(label(rows.X)))


def test_the_seed_decides_the_copies():
    np.testing.assert_array_equal(lessons(noisy, seed=1).X, lessons(noisy, seed=1).X)
    assert (lessons(noisy, seed=1).X != lessons(noisy, seed=2).X).any()


@pytest.mark.parametrize("augment", [None, noisy])
def test_further_rows_are_shown_with_every_copy(augment):
    taught = lessons(augment, unlabeled=UNLABELED)
    assert len(taught.X) == len(X) + 2
    np.testing.assert_array_equal(taught.X[-2:], UNLABELED)
    np.testing.assert_array_equal(taught.labels["mean"][-2:], UNLABELED[:, :1])


def test_heads_weigh_as_they_say_in_every_copy():
    taught = lessons(noisy)
    heads = Heads.fit(taught.labels, loss_weights={"epistemic": 3.0})
    first = taught.encoded(heads)
    later = taught.refreshed(EPOCHS_A_COPY, heads)
    for rows in (first, later):
        np.testing.assert_array_equal(rows.target_weight, [1, 3])
    assert taught.encoded(heads_of(taught)).target_weight is None


def test_further_rows_have_the_average_weight():
    taught = lessons(unlabeled=UNLABELED, weight=np.array([1.0, 2, 3, 4, 5, 9]))
    np.testing.assert_array_equal(taught.weight, [1, 2, 3, 4, 5, 9, 4, 4])


def test_an_augmentation_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"augment must return an array of the shape .*\(6, 2\)"):
        lessons(lambda rows, generator: rows[:3])


def test_an_augmentation_cannot_edit_the_training_rows_in_place():
    def in_place(rows, generator):
        rows += 1
        return rows

    with pytest.raises(ValueError, match="read-only"):
        lessons(in_place)


@pytest.mark.parametrize("returned", [None, X * np.nan, ["a", "b"]])
def test_an_augmentation_that_returns_no_numbers_is_refused(returned):
    with pytest.raises(ValueError, match="augment must return finite numbers"):
        lessons(lambda rows, generator: returned)
