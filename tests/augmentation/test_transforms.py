"""Random edits of sequences, each by itself."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_degu import DistilledRegressor
from sklearn_degu.augmentation import (
    Augment,
    Deletion,
    DinucleotideShuffle,
    Insertion,
    Inversion,
    Mutation,
    Noise,
    PositionShuffle,
    ReverseComplement,
    Translocation,
)
from sklearn_degu.sequences import SequenceEncoder
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble

STRETCHES = [Deletion, Insertion, Inversion]
OF_DNA = [*STRETCHES, Translocation, Mutation, ReverseComplement, PositionShuffle]
ALL = [*OF_DNA, DinucleotideShuffle, Noise, Augment]


def sequences(n=6, length=30, seed=0, dtype=torch.uint8):
    bases = torch.randint(4, (n, length), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(bases, 4).transpose(1, 2).contiguous().to(dtype)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def letters(X):
    return ["".join("ACGT"[base] for base in row) for row in X.argmax(dim=1)]


def float_for(transform):
    return torch.float32 if transform is Noise else torch.uint8


class TestEvery:
    @pytest.mark.parametrize("transform", ALL)
    @settings(max_examples=20)
    @given(n=st.integers(1, 5), length=st.integers(25, 40), seed=st.integers(0, 99))
    def test_keeps_shape_type_and_the_original(self, transform, n, length, seed):
        X = sequences(n, length, seed, float_for(transform))
        before = X.clone()
        edited = transform()(X, seeded(seed))
        assert edited.shape == X.shape
        assert edited.dtype == X.dtype
        assert edited.data_ptr() != X.data_ptr()
        assert torch.equal(X, before)

    @pytest.mark.parametrize("transform", [*OF_DNA, DinucleotideShuffle, Augment])
    @settings(max_examples=20)
    @given(length=st.integers(25, 40), seed=st.integers(0, 99))
    def test_of_dna_is_dna(self, transform, length, seed):
        edited = transform()(sequences(5, length, seed), seeded(seed))
        assert (edited.sum(dim=1) == 1).all()

    @pytest.mark.parametrize("transform", ALL)
    def test_follows_its_generator(self, transform):
        X = sequences(20, dtype=float_for(transform))
        edit = transform()
        torch.manual_seed(5)
        first = edit(X, seeded(1))
        assert torch.equal(edit(X, seeded(1)), first)
        assert not torch.equal(edit(X, seeded(2)), first)
        torch.manual_seed(5)
        assert not torch.equal(edit(X), edit(X))

    @pytest.mark.parametrize("transform", [*OF_DNA, DinucleotideShuffle, Noise])
    def test_edits_as_many_as_asked(self, transform):
        X = sequences(2000, dtype=float_for(transform))

        def fraction_edited(p):
            different = (transform(p=p)(X, seeded()) != X).flatten(1).any(dim=1)
            return different.float().mean().item()

        assert fraction_edited(0.0) == 0
        assert fraction_edited(0.3) == pytest.approx(0.3 * fraction_edited(1.0), abs=0.04)

    @pytest.mark.parametrize("transform", [t for t in ALL if t is not ReverseComplement])
    def test_edits_every_sequence_by_itself(self, transform):
        X = sequences(1, dtype=float_for(transform)).repeat(50, 1, 1)
        assert len(torch.unique(transform()(X, seeded()), dim=0)) > 20

    @pytest.mark.parametrize("transform", ALL)
    def test_says_what_is_no_sequence(self, transform):
        with pytest.raises(ValueError, match=r"shape \(n, 4, length\), got \(2, 30, 4\)"):
            transform()(sequences(2).transpose(1, 2))
        with pytest.raises(TypeError, match="must be a torch tensor"):
            transform()(sequences(2).numpy())

    @pytest.mark.parametrize("transform", ALL)
    def test_shows_its_parameters(self, transform):
        assert "p=" in repr(transform()) or "max_per_sequence=2" in repr(transform())


class TestStretches:
    def test_deletion_joins_what_is_on_both_sides(self):
        X = sequences(200)
        for before, after in zip(letters(X), letters(Deletion(4, 4)(X, seeded())), strict=True):
            assert any(before[:i] + before[i + 4 :] == after[2:-2] for i in range(27))

    def test_insertion_parts_what_is_on_both_sides(self):
        X = sequences(200)
        for before, after in zip(letters(X), letters(Insertion(4, 4)(X, seeded())), strict=True):
            options = [before[:i] + "...." + before[i:] for i in range(31)]
            assert any(
                all(a in (b, ".") or b == "." for a, b in zip(after, option[2:-2], strict=True))
                for option in options
            )

    def test_inversion_takes_the_other_strand_of_a_stretch(self):
        X = sequences(200)
        turned = str.maketrans("ACGT", "TGCA")
        for before, after in zip(letters(X), letters(Inversion(6, 6)(X, seeded())), strict=True):
            options = {
                before[:i] + before[i : i + 6][::-1].translate(turned) + before[i + 6 :]
                for i in range(25)
            }
            assert after in options

    @pytest.mark.parametrize("transform", STRETCHES)
    def test_of_no_length_change_nothing(self, transform):
        X = sequences()
        assert torch.equal(transform(0, 0)(X, seeded()), X)

    @pytest.mark.parametrize("transform", STRETCHES)
    def test_may_be_anywhere_and_as_long_as_the_sequence(self, transform):
        X = sequences(3000, length=10)
        edited = transform(1, 10)(X, seeded())
        assert ((edited != X).any(dim=1).float().mean(dim=0) > 0.2).all()

    @pytest.mark.parametrize("transform", STRETCHES)
    def test_that_do_not_fit_are_refused(self, transform):
        with pytest.raises(ValueError, match=r"max_length=31 is longer than the sequences.*30"):
            transform(0, 31)(sequences())
        with pytest.raises(ValueError, match="min_length=3 is larger than max_length=2"):
            transform(3, 2)
        with pytest.raises(ValueError, match="min_length must be a whole number"):
            transform(-1, 2)
        with pytest.raises(ValueError, match="max_length must be a whole number"):
            transform(1, 2.5)

    def test_made_up_of_random_bases_are_of_all_four(self):
        added = Deletion(8, 8)(sequences(4000), seeded())[:, :, :4].float().mean(dim=(0, 2))
        torch.testing.assert_close(added, torch.full((4,), 0.25), atol=0.02, rtol=0)


class TestOthers:
    def test_translocation_rolls_either_way(self):
        X = sequences(1).repeat(500, 1, 1)
        [before], after = letters(X[:1]), set(letters(Translocation(1, 3)(X, seeded())))
        shifts = {before[-k:] + before[:-k] for k in (1, 2, 3, -1, -2, -3)}
        assert after == shifts
        with pytest.raises(ValueError, match="min_shift=4 is larger than max_shift=3"):
            Translocation(4, 3)

    @pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
    def test_mutation_has_its_rate(self, rate):
        X = sequences(2000)
        mutated = (Mutation(rate)(X, seeded()) != X).any(dim=1).float().mean().item()
        assert mutated == pytest.approx(rate, abs=0.005)

    def test_mutation_takes_each_of_the_others_as_often(self):
        X = torch.zeros(500, 4, 30)
        X[:, 2] = 1
        frequencies = Mutation(1.0)(X, seeded()).mean(dim=(0, 2))
        third = 1 / 3
        torch.testing.assert_close(
            frequencies, torch.tensor([third, third, 0, third]), atol=0.02, rtol=0
        )

    @pytest.mark.parametrize("unknown", [0.0, 0.25])
    @pytest.mark.parametrize("transform", [Mutation, ReverseComplement, Inversion])
    def test_unknown_bases_stay_unknown(self, transform, unknown):
        X = torch.full((5, 4, 30), unknown)
        assert torch.equal(transform()(X, seeded()), X)

    def test_noise_has_its_deviation(self):
        X = sequences(2000, dtype=torch.float32)
        assert (Noise(0.3)(X, seeded()) - X).std().item() == pytest.approx(0.3, rel=0.01)
        with pytest.raises(ValueError, match=r"floating type, got torch\.uint8"):
            Noise()(X.to(torch.uint8))
        with pytest.raises(ValueError, match="std must be"):
            Noise(-1)

    def test_other_strand_twice_is_the_sequence(self):
        X, turn = sequences(), ReverseComplement(1.0)
        assert torch.equal(turn(turn(X)), X)
        expected = SequenceEncoder().fit(letters(X)).transform(letters(turn(X)))
        assert np.array_equal(turn(X).numpy(), expected)

    @pytest.mark.parametrize("transform", [PositionShuffle, DinucleotideShuffle])
    def test_shuffles_keep_the_composition(self, transform):
        X = sequences()
        shuffled = transform()(X, seeded())
        assert torch.equal(shuffled.sum(dim=2), X.sum(dim=2))

    def test_dinucleotide_shuffle_keeps_dinucleotides(self):
        X = sequences()
        for before, after in zip(
            letters(X), letters(DinucleotideShuffle()(X, seeded())), strict=True
        ):
            pairs = [sorted(a + b for a, b in pairwise(s)) for s in (before, after)]
            assert pairs[0] == pairs[1]

    @pytest.mark.parametrize("p", [-0.1, 1.5, "1", True, None, float("nan")])
    def test_what_is_no_probability_is_refused(self, p):
        with pytest.raises(ValueError, match="p must be a probability"):
            Mutation(p=p)
        with pytest.raises(ValueError, match="rate must be a probability"):
            Mutation(rate=p)

    def test_numbers_of_numpy_are_numbers(self):
        assert Mutation(np.float32(0.25)).rate == Mutation(0.25, p=np.float32(1.0)).rate == 0.25
        assert Noise(np.float32(0.5)).std == 0.5


class Mark(Mutation):
    """Make a position of all sequences unknown, to see which were edited."""

    def __init__(self, position):
        super().__init__()
        self.position = position

    def edited(self, X, draws):
        X = X.clone()
        X[:, :, self.position] = 0
        return X


class TestAugment:
    @pytest.mark.parametrize(("hard", "expected"), [(False, [0, 0.5, 0.5]), (True, [0, 0, 1])])
    def test_edits_by_a_few_of_the_transforms(self, hard, expected):
        X = sequences(3000)
        augment = Augment([Mark(i) for i in range(5)], max_per_sequence=2, hard=hard)
        marks = augment(X, seeded())[:, :, :5].sum(dim=1) == 0
        numbers = torch.bincount(marks.sum(dim=1), minlength=3) / len(X)
        torch.testing.assert_close(numbers, torch.tensor(expected).float(), atol=0.03, rtol=0)
        often = marks.float().mean(dim=0)
        torch.testing.assert_close(often, often.mean().expand(5), atol=0.03, rtol=0)

    @pytest.mark.parametrize("most", [0, 6, 1.5, True])
    def test_of_more_than_there_are_is_refused(self, most):
        with pytest.raises(ValueError, match="from 1 to the number of transforms, 5"):
            Augment(max_per_sequence=most)

    def test_of_something_else_is_refused(self):
        with pytest.raises(TypeError, match="must be transforms"):
            Augment([torch.nn.ReLU()])

    def test_labels_a_student(self):
        X = sequences(60, LENGTH).numpy()
        teacher = tiny_ensemble(tiny_conv_net(max_epochs=5))
        edits = Augment([Deletion(0, 3), Mutation()])
        students = [
            DistilledRegressor(teacher, augment=augment, random_state=0).fit(X, X[:, 0].sum(1))
            for augment in (edits, edits, None)
        ]
        first, same, plain = (student.predict(X) for student in students)
        assert np.array_equal(first, same)
        assert not np.array_equal(first, plain)
