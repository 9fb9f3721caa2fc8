"""One network that learns what an ensemble predicts and how far its members disagree."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, check_memory
from skorch import NeuralNet
from torch import nn

from sklearn_degu._base import NeuralRegressor, layout
from sklearn_degu._checkpoint_folder import CheckpointFolder, checkpoint_folder
from sklearn_degu._distillation_checks import (
    check_frozen,
    check_labels,
    check_parameters,
    check_plan,
    check_student,
    check_teacher,
    components_of,
)
from sklearn_degu._failed_fits import restored_on_failure
from sklearn_degu._inputs import (
    Samples,
    check_fit_data,
    check_more_rows,
    is_dna,
)
from sklearn_degu._lessons import Augmentation, Plan
from sklearn_degu._prediction_module import PredictionModule, StudentReadout
from sklearn_degu._rows import row_hashes
from sklearn_degu._student_net import default_student_net
from sklearn_degu._student_training import StudentTraining
from sklearn_degu._validation import GivenRows, TrainingRows, training_rows
from sklearn_degu.augmentation import SequenceEdits
from sklearn_degu.augmentation.policy import edited_copy
from sklearn_degu.ensemble import EnsembleRegressor, fingerprint
from sklearn_degu.nets.configure import configure, is_sequence_net
from sklearn_degu.nets.prediction import forward
from sklearn_degu.nets.progress import tidy_history
from sklearn_degu.nets.randomness import MAX_SEED
from sklearn_degu.uncertainty import Array, UncertaintyTarget


class DistilledRegressor(NeuralRegressor):
    """One network distilled from an ensemble, with the ensemble's uncertainty [1]_.

    A teacher, an :class:`EnsembleRegressor`, is trained on the data. A student, one net with a
    wider last layer, then learns the teacher's mean and the standard deviation of its members.
    The student predicts at the cost of one net, nearly as accurately as the ensemble, and knows
    where the ensemble is unsure.

    Parameters
    ----------
    teacher : EnsembleRegressor or FrozenEstimator, default=None
        The ensemble to learn from; it is cloned and fitted. A fitted ensemble is used as it is
        if wrapped, ``FrozenEstimator(ensemble)``; inside cross-validation that leaks, because
        such a teacher has seen the held-out rows. None is ``EnsembleRegressor()``.
    student : skorch.NeuralNet, default=None
        The net of the student, unfitted. None takes the teacher's net, the first one if it has
        several, and averages its weights over the training
        (:class:`~sklearn_degu.nets.WeightAverage`), unless its callbacks are disabled. Where it
        learns on edited copies, a net of :mod:`sklearn_degu.modules` has no dropout
        (``module__dropout=0``): it meets new sequences all the time, and follows the teacher the
        better. A net given here is trained as it is.
    target : {"log_var", "std"}, default="log_var"
        How the standard deviation is learned: as the logarithm of its square, or as itself,
        kept positive by softplus.
    head_weights : dict of str to float, default=None
        Weights of the heads ``"mean"``, ``"epistemic"`` and ``"aleatoric"`` in the student's loss,
        1 where none is given. Every head is learned with unit variance, so that equal weights
        have each explain as large a part of its own variance. A weight for a head that the
        teacher does not have is ignored, so that a search over teachers can keep one dict.
    validation : "inherit", None, float or splitter, default="inherit"
        Rows that the student is stopped on. "inherit" takes the teacher's; else as in
        :class:`EnsembleRegressor`.
    labels : {"teacher", "measured"}, default="teacher"
        Targets of the validation rows: what the teacher says of them, or for the mean the
        measured y.
    augment : "auto", None or callable, default="auto"
        What the teacher labels for the student in place of the training rows: called as
        ``augment(X, generator)``, it returns an edited copy of X, of the same shape. A torch
        module, such as :class:`~sklearn_degu.augmentation.Augment`, is called with tensors.
        "auto" is :class:`~sklearn_degu.augmentation.SequenceEdits` for one-hot sequences and None
        for everything else. None has the student learn on the training rows.
    copy_epochs : int, default=4
        How many epochs the student learns on a copy, and on what is said of it, before the next
        is drawn. With 1 no batch is ever seen again (dynamic augmentation).
    keep_originals : bool, default=False
        Whether the student sees the training rows beside their copy, and not the copy alone. All
        members label them once, sampled ones anew with every copy.
    n_sampled_members : int, default=None
        How many members of the teacher, drawn anew for every row and copy, label it; None is all
        of them. Labels cost the time of so many members. The student then learns the deviations
        by the likelihood of unbiased estimates of their squares (with one member, of the squared
        distance from its own mean), which needs ``target="log_var"``; the scales of its outputs,
        and the validation rows, are labelled by all members.
    checkpoint_dir : str or path-like, default=None
        A folder in which the fit keeps what it has reached, so that the same fit goes on from
        there if it was cut off; a teacher that has none of its own is given a folder in it. None
        keeps nothing.
    memory : str or joblib.Memory, default=None
        Where the fitted teacher is cached, so that a search over student parameters trains each
        teacher once. It needs an int ``random_state``.
    random_state : int, RandomState instance or None, default=None
        Decides everything random in the student, and in a teacher whose own ``random_state`` is
        None.
    verbose : int, default=0
        Print a line for the student (1) or every epoch of it (2), with the time left.
    fine_tune_epochs : int, default=0
        For how many epochs the student trains on with the training rows as they are, labelled by
        the teacher, after its training on edited copies: the second stage, as in
        :class:`EnsembleRegressor`. It needs labels of all members. The student's deviations are
        still scaled as without it. 0 leaves it out.
    fine_tune_lr : float, default=None
        Learning rate of the second stage. None is a tenth of that of the student's net.
    warm_start_from_teacher : bool, default=False
        Whether the student begins with the weights of the teacher's first member, whose outputs
        become those of the mean, and not with random ones. It needs the architecture of that
        member.

    Attributes
    ----------
    teacher_ : EnsembleRegressor
        The fitted teacher.
    student_ : skorch.NeuralNet
        The fitted student. Its outputs are standardised; :meth:`predict` gives y's units.
    history_ : ndarray of shape (n_epochs,)
        Structured array of the student's epochs, as :attr:`EnsembleRegressor.history_`.
    uncertainty_kinds_ : tuple of str
        The kinds that :meth:`predict_uncertainty` offers: those of the teacher. The aleatoric
        deviation is that which the teacher's ``noise_of`` named at fit: the student has learned
        it, and ``teacher__noise_of`` has no effect before the next fit.
    n_outputs_ : int
        Number of targets; of profiles, number of targets times positions.
    input_shape_ : tuple of int
        Shape of a sample.
    n_features_in_ : int
        Product of ``input_shape_``.
    feature_names_in_ : ndarray of str
        Names of the columns, if X had string column names.

    See Also
    --------
    EnsembleRegressor : The teacher.

    Notes
    -----
    On the rows that they were trained on, the members repeat the measurements they have fitted,
    and agree more than elsewhere. What an ensemble knows shows on rows that no member has seen; a
    student taught on the training rows learns little more than one member knows. Hence
    ``augment``, and ``X_unlabeled`` for further rows of the user's own.

    Of a teacher that predicts rates of counts, the student learns their logarithms.

    The student's deviations, and rates, are scaled to have the teacher's mean over the validation
    rows, or, with fewer than 20 of these, over the rows that the student learned on.

    References
    ----------
    .. [1] Zhou, Rizzo, Christensen, Tang and Koo, "Uncertainty-aware genomic deep learning with
       knowledge distillation", npj Artificial Intelligence 2, 2026.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import DistilledRegressor, EnsembleRegressor
    >>> X, y = make_regression(n_samples=100, n_features=5, random_state=0)
    >>> teacher = EnsembleRegressor(n_estimators=3)
    >>> degu = DistilledRegressor(teacher, random_state=0).fit(X, y)
    >>> degu.predict_uncertainty(X[:4], kind="epistemic").shape
    (4,)
    """

    def __init__(
        self,
        teacher: Any = None,
        student: Any = None,
        *,
        target: UncertaintyTarget = "log_var",
        head_weights: Mapping[str, float] | None = None,
        validation: Any = "inherit",
        labels: Literal["teacher", "measured"] = "teacher",
        augment: Literal["auto"] | Augmentation | nn.Module | None = "auto",
        copy_epochs: int = 4,
        keep_originals: bool = False,
        n_sampled_members: int | None = None,
        checkpoint_dir: str | PathLike[str] | None = None,
        memory: Any = None,
        random_state: Any = None,
        verbose: int = 0,
        fine_tune_epochs: int = 0,
        fine_tune_lr: float | None = None,
        warm_start_from_teacher: bool = False,
    ) -> None:
        self.teacher = teacher
        self.student = student
        self.target = target
        self.head_weights = head_weights
        self.validation = validation
        self.labels = labels
        self.augment = augment
        self.copy_epochs = copy_epochs
        self.keep_originals = keep_originals
        self.n_sampled_members = n_sampled_members
        self.checkpoint_dir = checkpoint_dir
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose
        self.fine_tune_epochs = fine_tune_epochs
        self.fine_tune_lr = fine_tune_lr
        self.warm_start_from_teacher = warm_start_from_teacher

    def set_params(self, **params: Any) -> DistilledRegressor:
        """Set parameters, those of teacher and student as ``teacher__name``, ``student__name``.

        Parameters
        ----------
        **params : object
            Names and values.

        Returns
        -------
        self : DistilledRegressor
            This estimator.

        Raises
        ------
        ValueError
            If a parameter is unknown, or set under ``teacher=None`` or ``student=None``.
        """
        for part, default in (("teacher", "EnsembleRegressor()"), ("student", "the teacher's net")):
            inner = [key for key in params if key.startswith(f"{part}__")]
            if inner and params.get(part, getattr(self, part)) is None:
                raise ValueError(
                    f"Cannot set {inner[0]}: {part}=None stands for {default}, which is made at "
                    f"fit. Pass the {part} itself, and then set its parameters."
                )
        super().set_params(**params)
        return self

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        replicates: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        replicates_val: ArrayLike | None = None,
        X_unlabeled: ArrayLike | None = None,
    ) -> DistilledRegressor:
        """Train the teacher, label the rows by it, and train the student on the labels.

        Parameters
        ----------
        X, y, sample_weight, replicates, groups, X_val, y_val, sample_weight_val, replicates_val
            As for :meth:`EnsembleRegressor.fit`; teacher and student are given the same.
        X_unlabeled : array-like of shape (n_unlabeled, n_features) or \
                (n_unlabeled, channels, length), optional
            Further samples, without measurements, that the teacher labels for the student.

        Returns
        -------
        self : DistilledRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data, a parameter or a net is not usable; the message says how to mend it.
        TrainingDivergedError
            If a loss becomes NaN or infinite.
        """
        check_parameters(self)
        teacher = self._teacher()
        check_teacher(self, teacher, replicates)
        with restored_on_failure(self):
            samples = check_fit_data(
                self, X, y, sample_weight, groups, sequences=_reads_sequences(teacher)
            )
            nets = teacher.nets() if self.student is None else [*teacher.nets(), self.student]
            positions = self._read_layout(y, nets, y_val)
            self.n_outputs_ = samples.y.shape[1]
            unlabeled = samples.X[:0]
            if X_unlabeled is not None:
                unlabeled = check_more_rows(self, X_unlabeled, name="X_unlabeled").X
            given = GivenRows(X_val, y_val, sample_weight_val, replicates_val)
            data = {
                **{"X": X, "y": y, "sample_weight": sample_weight},
                **{"replicates": replicates, "groups": groups, **given._asdict()},
            }
            decisive = {**data, **samples._asdict(), "X_unlabeled": unlabeled, **layout(positions)}
            if isinstance(self.teacher, FrozenEstimator):
                check_frozen(self, teacher)
                if self.checkpoint_dir is not None:
                    decisive["teacher"] = _sample_of(teacher, samples.X)
            with checkpoint_folder(self, decisive, self._drawn_seeds) as folder:
                return self._fit(teacher, samples, given, unlabeled, data, folder)

    def _fit(
        self,
        teacher: EnsembleRegressor,
        samples: Samples,
        given: GivenRows,
        unlabeled: NDArray[Any],
        data: dict[str, Any],
        folder: CheckpointFolder,
    ) -> DistilledRegressor:
        teacher_seed, validation_seed, seed = folder.seeds
        inherits = given.X_val is None and _is_inherit(self.validation)
        validation = None if inherits else self.validation
        rows = training_rows(self, samples, validation, validation_seed, given, folder)
        holds_out = rows.valid is not None or (inherits and _holds_out(teacher))
        plan = self._plan(samples.X)
        check_plan(self, plan, samples.X, unlabeled)
        check_labels(self, teacher, validated=holds_out)
        n_heads = 1 + len(components_of(teacher))
        student = self._configured(teacher, plan, n_heads * self.n_outputs_, validated=holds_out)
        check_student(self, student, teacher, plan)
        self.teacher_ = self._fitted(teacher, teacher_seed, data, folder)
        self.uncertainty_kinds_ = self.teacher_.uncertainty_kinds_
        if inherits:
            rows = self._inherited_rows(samples)
        training = StudentTraining(self, rows, unlabeled, plan, seed, folder)
        self.student_, self._heads = training.run()
        self._remember(rows, row_hashes(unlabeled), self.teacher_._seen_rows)
        self.history_ = tidy_history([self.student_])
        return self

    def _drawn_seeds(self) -> list[int]:
        """Return seeds for the teacher, the validation rows and the student."""
        random_state = check_random_state(self.random_state)
        drawn: list[int] = random_state.randint(MAX_SEED, size=3).tolist()
        return drawn

    def _configured(
        self,
        teacher: EnsembleRegressor,
        plan: Plan,
        n_outputs: int,
        *,
        validated: bool,
        **loss: Any,
    ) -> NeuralNet:
        """Return the student's net, sized for the data."""
        return configure(
            self._student_net(teacher, plan),
            n_outputs=n_outputs,
            input_shape=self.input_shape_,
            validated=validated,
            n_positions=self._n_positions,
            **loss,
        )

    def _plan(self, X: NDArray[Any]) -> Plan:
        """Return which rows the student sees, and who labels them."""
        samples_members = self.n_sampled_members is not None
        augment = self._augmentation(X)
        return Plan(augment, int(self.copy_epochs), self.keep_originals, samples_members)

    def _augmentation(self, X: NDArray[Any]) -> Augmentation | None:
        if isinstance(self.augment, nn.Module):
            return partial(edited_copy, self.augment)
        if self.augment == "auto":
            return SequenceEdits() if is_dna(X) else None
        return self.augment

    def _predict_moments(self, X: NDArray[Any]) -> tuple[Array, dict[str, Array]]:
        predicted = self._heads.decode(forward(self.student_, X))
        mean = predicted.pop("mean")
        return mean, {kind: std**2 for kind, std in predicted.items()}

    def _prediction_module(self, names: tuple[str, ...]) -> PredictionModule:
        readout = StudentReadout(self._heads, names)
        return PredictionModule(
            [self.student_.module_], readout, names, self.n_outputs_, self._n_positions
        )

    def _teacher(self) -> EnsembleRegressor:
        """Return the teacher: a clone to fit, or the fitted one that is frozen."""
        if isinstance(self.teacher, FrozenEstimator):
            frozen: EnsembleRegressor = self.teacher.estimator
            check_is_fitted(frozen)
            return frozen
        return EnsembleRegressor() if self.teacher is None else clone(self.teacher)

    def _fitted(
        self,
        teacher: EnsembleRegressor,
        seed: int,
        data: dict[str, Any],
        folder: CheckpointFolder,
    ) -> EnsembleRegressor:
        if isinstance(self.teacher, FrozenEstimator):
            return teacher
        if teacher.random_state is None:
            teacher.set_params(random_state=seed)
        fit = check_memory(self.memory).cache(_fit, ignore=["folder"])
        fitted: EnsembleRegressor = fit(teacher, folder.below("teacher"), **data)
        return fitted

    def _student_net(self, teacher: EnsembleRegressor, plan: Plan) -> NeuralNet:
        if self.student is not None:
            return self.student
        sees_edits = plan.augment is not None
        return default_student_net(clone(teacher.nets()[0]), sees_edits=sees_edits)

    def _inherited_rows(self, samples: Samples) -> TrainingRows:
        """Separate the rows as the teacher did."""
        held_out = self.teacher_.validation_indices_
        if held_out is None:
            return TrainingRows(samples, None, None)
        if fingerprint(samples.X) != self.teacher_.fingerprint_:
            raise ValueError(
                "validation='inherit' needs the rows that the teacher was fitted on, in the same "
                "order, but these are others. Set validation to a fraction or a splitter, or "
                "pass X_val and y_val."
            )
        kept = np.delete(np.arange(len(samples.X)), held_out)
        return TrainingRows(samples.take(kept), samples.take(held_out), held_out)


def _is_inherit(validation: Any) -> bool:
    return isinstance(validation, str) and validation == "inherit"


def _holds_out(teacher: EnsembleRegressor) -> bool:
    """Whether a teacher, fitted or not, has validation rows of its own to pass on."""
    return getattr(teacher, "validation_indices_", teacher.validation) is not None


def _reads_sequences(teacher: EnsembleRegressor) -> bool:
    """Whether a teacher, fitted or not, reads a 2-D X as flattened sequences."""
    shape = getattr(teacher, "input_shape_", None)
    return any(map(is_sequence_net, teacher.nets())) if shape is None else len(shape) == 2


def _fit(teacher: EnsembleRegressor, folder: str | None, **data: Any) -> EnsembleRegressor:
    """Fit a teacher; a function of its own, so that a joblib.Memory can cache it.

    The teacher is kept in ``folder`` unless it has one of its own.
    """
    own = teacher.checkpoint_dir
    teacher.set_params(checkpoint_dir=folder if own is None else own)
    return teacher.fit(**data).set_params(checkpoint_dir=own)


def _sample_of(teacher: EnsembleRegressor, X: NDArray[Any]) -> list[Array]:
    """Return what tells a fitted teacher from another: all that it says of some rows."""
    some = X[:64]
    return [teacher.predict_members(some), *teacher.predict_components(some).values()]
