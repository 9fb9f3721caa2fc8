"""One network that learns what an ensemble predicts and how far its members disagree."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import PredefinedSplit
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, check_memory
from skorch import NeuralNet

from sklearn_degu._base import NeuralRegressor
from sklearn_degu._inputs import (
    Samples,
    check_fit_data,
    check_more_rows,
    compute_dtype,
    is_one_hot,
)
from sklearn_degu._lessons import Augmentation, Lessons
from sklearn_degu._validation import TrainingRows, training_rows
from sklearn_degu.augmentation import SequenceEdits
from sklearn_degu.ensemble import MAX_SEED, EnsembleRegressor
from sklearn_degu.nets.configure import check_net, configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.prediction import forward, warn_if_constant
from sklearn_degu.nets.progress import EpochReporter, tidy_history
from sklearn_degu.nets.randomness import one_intra_op_thread
from sklearn_degu.nets.training import train_net
from sklearn_degu.uncertainty import Array, Heads


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
        several.
    target : {"log_var", "std"}, default="log_var"
        How the standard deviation is learned: as the logarithm of its square, or as itself,
        kept positive by softplus.
    validation : "inherit", None, float or splitter, default="inherit"
        Rows that the student is stopped on. "inherit" takes the teacher's; else as in
        :class:`EnsembleRegressor`.
    labels : {"teacher", "measured"}, default="teacher"
        Targets of the validation rows: what the teacher says of them, or for the mean the
        measured y.
    augment : "auto", None or callable, default="auto"
        What the teacher labels for the student in place of the training rows: called as
        ``augment(X, generator)``, it returns an edited copy of X, of the same shape; a new copy
        is drawn every few epochs. "auto" is
        :class:`~sklearn_degu.augmentation.SequenceEdits` for one-hot sequences and None for
        everything else. None has the student learn on the training rows.
    memory : str or joblib.Memory, default=None
        Where the fitted teacher is cached, so that a search over student parameters trains each
        teacher once. It needs an int ``random_state``.
    random_state : int, RandomState instance or None, default=None
        Decides everything random in the student, and in a teacher whose own ``random_state`` is
        None.
    verbose : int, default=0
        Print a line for the student (1) or every epoch of it (2), with the time left.

    Attributes
    ----------
    teacher_ : EnsembleRegressor
        The fitted teacher.
    student_ : skorch.NeuralNet
        The fitted student. Its outputs are standardised; :meth:`predict` gives y's units.
    history_ : ndarray of shape (n_epochs,)
        Structured array of the student's epochs, as :attr:`EnsembleRegressor.history_`.
    uncertainty_kinds_ : tuple of str
        The kinds that :meth:`predict_uncertainty` offers: those of the teacher.
    n_outputs_ : int
        Number of targets.
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
        target: str = "log_var",
        validation: Any = "inherit",
        labels: str = "teacher",
        augment: Any = "auto",
        memory: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.teacher = teacher
        self.student = student
        self.target = target
        self.validation = validation
        self.labels = labels
        self.augment = augment
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        X_unlabeled: ArrayLike | None = None,
    ) -> DistilledRegressor:
        """Train the teacher, label the rows by it, and train the student on the labels.

        Parameters
        ----------
        X, y, sample_weight, groups, X_val, y_val, sample_weight_val
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
        self._check_params()
        random_state = check_random_state(self.random_state)
        teacher_seed, validation_seed, seed = random_state.randint(MAX_SEED, size=3).tolist()
        given = (X_val, y_val, sample_weight_val)
        self.teacher_ = self._fitted_teacher(teacher_seed, X, y, sample_weight, groups, given)
        sequences = len(self.teacher_.input_shape_) == 2
        samples = check_fit_data(self, X, y, sample_weight, groups, sequences=sequences)
        self._check_teacher_fits(samples)
        self._y_ndim = np.asarray(y).ndim
        self.n_outputs_ = self.teacher_.n_outputs_
        self.uncertainty_kinds_ = self.teacher_.uncertainty_kinds_
        rows = training_rows(self, samples, self._validation(samples), validation_seed, given)
        unlabeled = samples.X[:0]
        if X_unlabeled is not None:
            unlabeled = check_more_rows(self, X_unlabeled, name="X_unlabeled").X
        self.student_ = self._distil(rows, unlabeled, seed)
        self.history_ = tidy_history([self.student_])
        return self

    def _distil(self, rows: TrainingRows, unlabeled: NDArray[Any], seed: int) -> NeuralNet:
        """Train the student on what the teacher says of the rows."""
        lessons = Lessons(
            self._label, rows.train, unlabeled, self._augmentation(rows.train.X), seed
        )
        self._heads = Heads.fit(lessons.labels, lessons.weight, self.target)
        student = configure(
            self._student_net(),
            n_outputs=self._heads.n_outputs,
            input_shape=self.input_shape_,
            validated=rows.valid is not None,
        )
        first = lessons.encoded(self._heads)
        train_net(
            student,
            first,
            None if rows.valid is None else self._validation_rows(rows.valid),
            seed=seed,
            dtype=compute_dtype(rows.train.X),
            reporter=EpochReporter("student", verbose=self.verbose),
            refresh=lambda: lessons.refreshed(self._heads),
        )
        warn_if_constant(student, first, "The student")
        return student

    def _augmentation(self, X: NDArray[Any]) -> Augmentation | None:
        if isinstance(self.augment, str):
            return SequenceEdits() if is_one_hot(X) else None
        return self.augment

    def _label(self, X: NDArray[Any]) -> dict[str, Array]:
        """Return what the teacher says of the rows, by head, in y's units.

        Labels decide the student's weights, so they are computed on one thread a member, too.
        """
        with one_intra_op_thread:
            if not self.uncertainty_kinds_:
                return {"mean": self._two_axes(self.teacher_.predict(X))}
            mean, std = self.teacher_.predict(X, return_std=True, kind="epistemic")
        return {"mean": self._two_axes(mean), "epistemic": self._two_axes(std)}

    def _validation_rows(self, valid: Samples) -> Rows:
        labels = self._label(valid.X)
        if self.labels == "measured":
            labels["mean"] = valid.y
        return Rows(valid.X, self._heads.encode(labels), valid.weight)

    def _two_axes(self, values: Array) -> Array:
        return values.reshape(len(values), self.n_outputs_)

    def _predict_moments(self, X: NDArray[Any]) -> tuple[Array, dict[str, Array]]:
        predicted = self._heads.decode(forward(self.student_, X))
        mean = predicted.pop("mean")
        return mean, {kind: std**2 for kind, std in predicted.items()}

    def _fitted_teacher(
        self,
        seed: int,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
        given: tuple[Any, Any, Any],
    ) -> EnsembleRegressor:
        if isinstance(self.teacher, FrozenEstimator):
            check_is_fitted(self.teacher.estimator)
            return self.teacher.estimator
        teacher = EnsembleRegressor() if self.teacher is None else clone(self.teacher)
        if teacher.random_state is None:
            teacher.set_params(random_state=seed)
        X_val, y_val, sample_weight_val = given
        fit = check_memory(self.memory).cache(_fit)
        fitted: EnsembleRegressor = fit(
            teacher,
            X,
            y,
            sample_weight,
            groups=groups,
            X_val=X_val,
            y_val=y_val,
            sample_weight_val=sample_weight_val,
        )
        return fitted

    def _student_net(self) -> NeuralNet:
        """Return the student's net, by default the teacher's (the first one of several)."""
        if self.student is not None:
            return self.student
        return self.teacher_.first_net()

    def _validation(self, samples: Samples) -> Any:
        """Return the validation parameter, the teacher's own split if it is inherited."""
        if not (isinstance(self.validation, str) and self.validation == "inherit"):
            return self.validation
        held_out = self.teacher_.validation_indices_
        if held_out is None:
            return None
        if joblib.hash(samples.X) != self.teacher_._fingerprint:
            raise ValueError(
                "validation='inherit' needs the rows that the teacher was fitted on, in the same "
                "order, but these are others. Set validation to a fraction or a splitter, or "
                "pass X_val and y_val."
            )
        return PredefinedSplit(np.isin(np.arange(len(samples.X)), held_out) - 1)

    def _check_params(self) -> None:
        if not (self.augment in ("auto", None) or callable(self.augment)):
            raise ValueError(
                "augment must be 'auto', None or a callable that takes rows and a generator and "
                f"returns edited rows; got {self.augment!r}."
            )
        for name, allowed in (("target", ("log_var", "std")), ("labels", ("teacher", "measured"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}.")
        if self.student is not None:
            check_net(self.student)
        teacher = self.teacher
        if isinstance(teacher, FrozenEstimator):
            teacher = teacher.estimator
        if teacher is not None and not isinstance(teacher, EnsembleRegressor):
            raise TypeError(
                "teacher must be an EnsembleRegressor, or a fitted one in a FrozenEstimator; got "
                f"{type(teacher).__name__}."
            )

    def _check_teacher_fits(self, samples: Samples) -> None:
        """Raise if a frozen teacher was fitted on other features or targets."""
        here = (self.input_shape_, samples.y.shape[1])
        teachers = (self.teacher_.input_shape_, self.teacher_.n_outputs_)
        if here != teachers:
            raise ValueError(
                f"The teacher was fitted on samples of shape {teachers[0]} with {teachers[1]} "
                f"targets, but got samples of shape {here[0]} with {here[1]} targets."
            )


def _fit(teacher: EnsembleRegressor, *args: Any, **kwargs: Any) -> EnsembleRegressor:
    """Fit a teacher; a function of its own, so that a joblib.Memory can cache it."""
    return teacher.fit(*args, **kwargs)
