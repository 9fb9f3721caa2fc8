"""What a student is shown, epoch by epoch."""

import numpy as np
import pytest

from sklearn_degu._inputs import Samples
from sklearn_degu._lessons import Lessons, Plan
from sklearn_degu.uncertainty import Heads

X = np.arange(12.0).reshape(6, 2)
UNLABELED = np.full((2, 2), 100.0)


class Teaching:
    """A teacher whose mean is the first column and whose deviation is the second."""

    def __init__(self):
        self.labelled = []

    def __call__(self, rows, name, generator=None):
        self.labelled.append((name, len(rows)))
        noise = 0.0 if generator is None else generator.normal(size=(len(rows), 1))
        return {"mean": rows[:, :1] + noise, "epistemic": 1 + np.abs(rows[:, 1:])}


def noisy(rows, generator):
    return rows + generator.normal(size=rows.shape)


def lessons(augment=None, unlabeled=X[:0], weight=None, seed=0, teaching=None, **plan):
    train = Samples(X, X[:, :1], weight)
    return Lessons(teaching or Teaching(), train, unlabeled, Plan(augment, **plan), seed)


def heads_of(taught):
    return Heads.fit(taught.labels, taught.weight)


def test_without_augmentation_the_training_rows_are_shown_in_every_epoch():
    taught = lessons()
    np.testing.assert_array_equal(taught.X, X)
    assert all(taught.refreshed(epoch, heads_of(taught)) is None for epoch in range(5))


def test_edited_copies_are_shown_instead_of_the_training_rows():
    taught = lessons(noisy)
    assert taught.X.shape == X.shape
    assert not np.isclose(taught.X, X).any()
    np.testing.assert_array_equal(taught.labels["mean"], taught.X[:, :1])


@pytest.mark.parametrize("copy_epochs", [1, 2, 3])
def test_a_new_copy_comes_every_few_epochs(copy_epochs):
    taught = lessons(noisy, copy_epochs=copy_epochs)
    heads = heads_of(taught)
    news = [taught.refreshed(epoch, heads) is not None for epoch in range(2 * copy_epochs + 1)]
    assert np.flatnonzero(news).tolist() == [copy_epochs, 2 * copy_epochs]


def test_a_new_copy_is_labelled_anew():
    taught = lessons(noisy)
    heads = heads_of(taught)
    rows = taught.refreshed(1, heads)
    np.testing.assert_allclose(rows.y, heads.encode(Teaching()(rows.X, 1)))


def test_an_epoch_sees_the_same_copy_whatever_came_before():
    straight, skipped = lessons(noisy), lessons(noisy)
    for epoch in (1, 2, 3):
        straight.refreshed(epoch, heads_of(straight))
    skipped.refreshed(3, heads_of(skipped))
    np.testing.assert_array_equal(straight.X, skipped.X)


def test_the_seed_decides_the_copies():
    np.testing.assert_array_equal(lessons(noisy, seed=1).X, lessons(noisy, seed=1).X)
    assert (lessons(noisy, seed=1).X != lessons(noisy, seed=2).X).any()


class TestSampledMembers:
    def test_label_anew_although_the_rows_stay(self):
        taught = lessons(samples_members=True)
        first = taught.labels["mean"]
        taught.refreshed(1, heads_of(taught))
        np.testing.assert_array_equal(taught.X, X)
        assert (taught.labels["mean"] != first).all()

    def test_are_drawn_by_the_seed(self):
        one, same, other = (lessons(samples_members=True, seed=s).labels for s in (0, 0, 1))
        np.testing.assert_array_equal(one["mean"], same["mean"])
        assert (one["mean"] != other["mean"]).all()

    def test_label_further_rows_too(self):
        taught = lessons(unlabeled=UNLABELED, samples_members=True)
        assert (taught.labels["mean"] != taught.X[:, :1]).all()

    def test_leave_the_reference_to_all_members(self):
        taught = lessons(noisy, samples_members=True)
        first = taught.X
        taught.refreshed(1, heads_of(taught))
        rows, labels = taught.reference
        np.testing.assert_array_equal(rows, first)
        np.testing.assert_array_equal(labels["mean"], rows[:, :1])

    def test_have_their_variances_learned_by_a_likelihood(self):
        taught = lessons(samples_members=True)
        heads = heads_of(taught)
        np.testing.assert_allclose(taught.rows(heads).y, heads.encode_variances(taught.labels))


class TestOriginals:
    def test_are_shown_beside_their_copy(self):
        taught = lessons(noisy, keep_originals=True, unlabeled=UNLABELED)
        assert not np.isclose(taught.X[:6], X).any()
        np.testing.assert_array_equal(taught.X[6:], np.r_[X, UNLABELED])
        np.testing.assert_array_equal(taught.labels["mean"], taught.X[:, :1])

    def test_have_their_weights(self):
        weight = np.array([1.0, 2, 3, 4, 5, 9])
        taught = lessons(noisy, unlabeled=UNLABELED, weight=weight, keep_originals=True)
        np.testing.assert_array_equal(taught.weight, [*weight, *weight, 4, 4])
        assert len(taught.weight) == len(taught.X)

    def test_are_not_doubled_without_an_augmentation(self):
        np.testing.assert_array_equal(lessons(keep_originals=True).X, X)


@pytest.mark.parametrize("augment", [None, noisy])
def test_further_rows_are_shown_with_every_copy(augment):
    taught = lessons(augment, unlabeled=UNLABELED)
    assert len(taught.X) == len(X) + 2
    np.testing.assert_array_equal(taught.X[-2:], UNLABELED)
    np.testing.assert_array_equal(taught.labels["mean"][-2:], UNLABELED[:, :1])


def test_heads_weigh_as_they_say_in_every_copy():
    taught = lessons(noisy)
    heads = Heads.fit(taught.labels, loss_weights={"epistemic": 3.0})
    first = taught.rows(heads)
    later = taught.refreshed(1, heads)
    for rows in (first, later):
        np.testing.assert_array_equal(rows.target_weight, [1, 3])
    assert taught.rows(heads_of(taught)).target_weight is None


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


def test_rows_of_reference_are_drawn_from_all(monkeypatch):
    monkeypatch.setattr("sklearn_degu._lessons.N_REFERENCE", 20)
    many = np.arange(2000.0).reshape(1000, 2)
    weight = np.arange(1.0, 1001)
    train = Samples(many, many[:, :1], weight)
    taught = Lessons(Teaching(), train, many[:0], Plan(samples_members=True), seed=0)
    rows, labels = taught.reference
    assert len(rows) == 20
    assert rows[:, 0].min() < 500 < 1500 < rows[:, 0].max()
    np.testing.assert_array_equal(labels["mean"], rows[:, :1])
    np.testing.assert_array_equal(taught.reference_weight, weight[(rows[:, 0] / 2).astype(int)])


def test_rows_that_last_are_labelled_by_all_members_once():
    teaching = Teaching()
    taught = lessons(
        noisy, unlabeled=UNLABELED, keep_originals=True, copy_epochs=1, teaching=teaching
    )
    heads = heads_of(taught)
    for epoch in range(1, 4):
        taught.refreshed(epoch, heads)
    assert [name for name, _ in teaching.labelled].count("lasting") == 1
    np.testing.assert_array_equal(taught.labels["mean"], taught.X[:, :1])
