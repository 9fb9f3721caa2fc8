"""What a fitted estimator predicts of DNA strings, alone or by members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_degu._calibration import CalibratedRegressor
from sklearn_degu._overlap import rows_seen
from sklearn_degu.distillation import DistilledRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.uncertainty import Array


@dataclass(frozen=True)
class StringModel:
    """A fitted regressor with what stands between it and DNA strings.

    Attributes
    ----------
    transformers : list of transformer
        The fitted steps before the regressor, in order; none for a regressor by itself.
    regressor : regressor
        Predicts what the transformers make of the strings.
    recalibrated : bool
        Whether the deviations of the regressor were recalibrated.
    """

    transformers: list[Any]
    regressor: Any
    recalibrated: bool = False

    @classmethod
    def of(cls, estimator: Any) -> StringModel:
        """Take an estimator apart.

        Raises
        ------
        TypeError
            If it cannot predict.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        if isinstance(estimator, type) or not hasattr(estimator, "predict"):
            raise TypeError(
                "estimator must be a fitted regressor of this package, or a Pipeline that ends in "
                f"one; got {estimator!r:.80}."
            )
        check_is_fitted(estimator)
        return cls._of_fitted(estimator)

    @classmethod
    def _of_fitted(cls, estimator: Any) -> StringModel:
        if isinstance(estimator, FrozenEstimator):
            return cls._of_fitted(estimator.estimator)
        if isinstance(estimator, CalibratedRegressor):
            inner = cls._of_fitted(estimator.estimator_)
            recalibrated = isinstance(estimator, RecalibratedRegressor) or inner.recalibrated
            return cls(inner.transformers, inner.regressor, recalibrated)
        if isinstance(estimator, Pipeline):
            inner = cls._of_fitted(estimator.steps[-1][1])
            before = [one for _, step in estimator.steps[:-1] for one in _flat(step)]
            return cls([*before, *inner.transformers], inner.regressor, inner.recalibrated)
        return cls([], estimator)

    @property
    def length(self) -> int | None:
        """Number of bases that it reads, or None if it does not say.

        Raises
        ------
        TypeError
            If it reads something else than sequences.
        """
        encoder = self._encoder
        if encoder is not None:
            return int(encoder.length_)
        if self.transformers:
            return None
        shape: tuple[int, ...] | None = getattr(self.regressor, "input_shape_", None)
        if shape is None:
            raise TypeError(
                f"{type(self.regressor).__name__} does not say what it reads. Pass a fitted "
                "estimator of this package or a Pipeline that begins with a SequenceEncoder; of a "
                "search pass its best_estimator_."
            )
        if len(shape) != 2 or shape[0] != 4:
            raise TypeError(
                f"{type(self.regressor).__name__} does not read sequences: it was fitted on "
                f"samples of shape {shape}, not (4, length). Fit it on one-hot sequences, or in a "
                "Pipeline after a SequenceEncoder."
            )
        return int(shape[1])

    @property
    def allows_unknown(self) -> bool:
        """Whether it reads N."""
        return self._encoder is None or self._encoder.unknown != "error"

    @property
    def _encoder(self) -> SequenceEncoder | None:
        found = [step for step in self.transformers if isinstance(step, SequenceEncoder)]
        return found[0] if found else None

    def predict(self, strings: Sequence[str]) -> Array:
        """Return predictions of shape (1, n) or (1, n, n_targets)."""
        return np.asarray(self.regressor.predict(self._read(strings)))[np.newaxis]

    def predict_members(self, strings: Sequence[str]) -> Array:
        """Return what each member predicts, of shape (n_members, n) or (..., n, n_targets)."""
        return np.asarray(self.regressor.predict_members(self._read(strings)))

    def seen(self, strings: Sequence[str]) -> NDArray[np.bool_]:
        """Return which strings it was trained or stopped on, as far as it knows."""
        seen = rows_seen(self.regressor, self._read(strings))
        return np.zeros(len(strings), dtype=bool) if seen is None else seen

    def _read(self, strings: Sequence[str]) -> Any:
        """Return strings as the regressor reads them."""
        if not self.transformers:
            return SequenceEncoder().fit_transform(strings)
        X: Any = np.asarray(strings)
        for step in self.transformers:
            X = step.transform(X)
        return X

    def check_members(self) -> None:
        """Raise unless the deviation of an effect can be told.

        Raises
        ------
        ValueError
            With what has such a deviation.
        """
        if isinstance(self.regressor, DistilledRegressor):
            raise ValueError(
                "A student cannot tell the deviation of an effect: it predicts that of the "
                "reference and that of the alternative, and the two do not give that of their "
                "difference, in which much of what the members disagree about cancels out. Its "
                "teacher can: pass model.teacher_, or, of a Pipeline, "
                "make_pipeline(model[:-1], model[-1].teacher_)."
            )
        if not hasattr(self.regressor, "predict_members"):
            raise ValueError(
                f"{type(self.regressor).__name__} cannot tell the deviation of an effect: the "
                "deviations of the reference and of the alternative do not give that of their "
                "difference. An EnsembleRegressor can: it predicts both by every member."
            )
        if self.recalibrated:
            raise ValueError(
                "RecalibratedRegressor matched the deviations of activities to their errors, which "
                "says nothing of effects. Pass its estimator_, and read the deviation as the "
                "members' spread."
            )
        if "epistemic" not in self.regressor.uncertainty_kinds_:
            raise ValueError(
                "An ensemble of one member has no deviation of an effect: it needs at least two."
            )


def _flat(step: Any) -> list[Any]:
    """Return the transformers that a step of a Pipeline is made of."""
    if isinstance(step, Pipeline):
        return [one for _, inner in step.steps for one in _flat(inner)]
    return [] if step is None or step == "passthrough" else [step]
