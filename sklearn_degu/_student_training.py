"""The training of a student on what a fitted teacher says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from skorch import NeuralNet

from sklearn_degu._checkpoint_folder import CheckpointFolder
from sklearn_degu._inputs import Samples, compute_dtype
from sklearn_degu._lessons import Labels, Lessons, Plan
from sklearn_degu._teaching import EnsembleTeaching
from sklearn_degu._validation import MIN_VALIDATION, TrainingRows
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.fine_tuning import fine_tuning_net, with_both_histories
from sklearn_degu.nets.losses import SampledTeacherLoss
from sklearn_degu.nets.memory import check_training_memory
from sklearn_degu.nets.prediction import forward, warn_if_constant
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.randomness import Seeds
from sklearn_degu.nets.training import Weights, initialize, train_net, warm_weights, weights_of
from sklearn_degu.uncertainty import Heads

if TYPE_CHECKING:
    from sklearn_degu.distillation import DistilledRegressor


class StudentTraining:
    """What a student learns, and how.

    Parameters
    ----------
    degu : DistilledRegressor
        Whose student it is; its teacher is fitted.
    rows : TrainingRows
        Rows to train and to stop on.
    unlabeled : ndarray of shape (n_unlabeled, ...)
        Further rows for the teacher to label.
    plan : Plan
        Which rows the student sees, and who labels them.
    seed : int
        Decides everything random in the student.
    folder : CheckpointFolder
        Where labels and weights are kept.
    """

    def __init__(
        self,
        degu: DistilledRegressor,
        rows: TrainingRows,
        unlabeled: NDArray[Any],
        plan: Plan,
        seed: int,
        folder: CheckpointFolder,
    ) -> None:
        self._degu = degu
        self._rows = rows
        self._unlabeled = unlabeled
        self._plan = plan
        self._seed = seed
        self._folder = folder
        self._dtype = compute_dtype(rows.train.X)
        self._n_positions = degu._n_positions or 1

    def run(self) -> tuple[NeuralNet, Heads]:
        """Return the trained student, and the heads that read its outputs."""
        degu = self._degu
        teaching = self._teaching("")
        lessons = self._lessons(teaching, self._plan)
        heads = self._fitted_heads(lessons)
        student = degu._configured(
            degu.teacher_,
            self._plan,
            heads.n_outputs,
            validated=self._rows.valid is not None,
            **self._loss(heads),
        )
        valid, labels = self._rows.valid, {}
        if valid is not None:
            labels = teaching(valid.X, "valid")
        stop = None if valid is None else self._stopped_on(valid, labels, heads)
        student = self._trained(student, lessons, stop, heads)
        (X, said), weight = lessons.reference, lessons.reference_weight
        if valid is not None and len(valid.X) >= MIN_VALIDATION:
            X, said, weight = valid.X, labels, valid.weight
        return student, heads.unbiased(forward(student, X), said, weight, self._n_positions)

    def _trained(
        self, student: NeuralNet, lessons: Lessons, stop: Rows | None, heads: Heads
    ) -> NeuralNet:
        """Return the student after the training on the lessons and, if asked for, fine-tuning."""
        degu, first = self._degu, lessons.rows(heads)
        check_training_memory(student, first, self._dtype)
        train = partial(train_net, valid=stop, seed=self._seed, dtype=self._dtype)
        epochs = degu.fine_tune_epochs
        # Made before the training, in which callbacks may leave attributes of theirs on the net.
        later = fine_tuning_net(student, epochs, degu.fine_tune_lr) if epochs else None
        train(
            student,
            first,
            reporter=EpochReporter("student", verbose=degu.verbose, epochs_later=epochs),
            checkpoint=self._folder.checkpoint("student"),
            initial=self._initial(student, first, heads),
            refresh=lambda epoch: lessons.refreshed(epoch, heads),
        )
        # Where the training had ended in an earlier run, no epoch has drawn its last copy.
        lessons.refreshed(len(student.history) - 1, heads)
        if later is not None:
            as_they_are = self._plan._replace(augment=None)
            train(
                later,
                self._lessons(self._teaching("clean-"), as_they_are).rows(heads),
                reporter=EpochReporter("fine-tuning of the student", verbose=degu.verbose),
                checkpoint=self._folder.checkpoint("student-fine-tuned"),
                initial=weights_of(student),
                stage=1,
            )
            student = with_both_histories(later, student)
        warn_if_constant(student, first, "The student")
        return student

    def _teaching(self, prefix: str) -> EnsembleTeaching:
        """Return what labels rows; under a prefix of their own labels are kept apart."""
        degu = self._degu
        return EnsembleTeaching(degu.teacher_, self._folder, degu.n_sampled_members, prefix)

    def _lessons(self, teaching: EnsembleTeaching, plan: Plan) -> Lessons:
        return Lessons(teaching, self._rows.train, self._unlabeled, plan, self._seed)

    def _fitted_heads(self, lessons: Lessons) -> Heads:
        """Return heads with the scales of what all members say of rows."""
        _, labels = lessons.reference
        return Heads.fit(
            labels,
            lessons.reference_weight,
            self._degu.target,
            self._degu.head_weights,
            n_positions=self._n_positions,
            mean_link=self._degu.teacher_._heads[0].heads["mean"].link,
        )

    def _loss(self, heads: Heads) -> dict[str, Any]:
        """Return what the student is trained by, as parameters of ``configure``."""
        if not self._plan.samples_members:
            return {}
        mean = heads.heads["mean"]
        unit = np.exp(heads.heads["epistemic"].loc)
        params = {
            "n_members": self._degu.n_sampled_members,
            "scales": tuple(np.concatenate([heads.heads[kind].scale for kind in heads.kinds])),
            "mean_variances": tuple(mean.scale**2 / unit),
        }
        return {"loss": SampledTeacherLoss, "loss_params": params}

    def _stopped_on(self, valid: Samples, labels: Labels, heads: Heads) -> Rows:
        """Return the validation rows with the labels that the student is stopped on."""
        if self._degu.labels == "measured":
            labels = {**labels, "mean": valid.y}
        encode = heads.encode_variances if self._plan.samples_members else heads.encode
        return Rows(valid.X, encode(labels), valid.weight, heads.output_weights)

    def _initial(self, student: NeuralNet, train: Rows, heads: Heads) -> Weights | None:
        """Return the weights that the student begins with, or None for those of the seed."""
        degu = self._degu
        if not degu.warm_start_from_teacher:
            return None
        fresh = clone(student)
        initialize(fresh, train, Seeds(self._seed), self._dtype)
        # Of a net for profiles an output is one at all positions, of one scale.
        of_target = slice(None, None, self._n_positions)
        given, own = degu.teacher_._heads[0].heads["mean"], heads.heads["mean"]
        factor = np.broadcast_to(given.scale / own.scale, degu.n_outputs_)[of_target]
        offset = np.broadcast_to((given.loc - own.loc) / own.scale, degu.n_outputs_)[of_target]
        return warm_weights(fresh, degu.teacher_.estimators_[0], factor, offset)
