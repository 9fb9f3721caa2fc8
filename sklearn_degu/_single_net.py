"""What the regressors of one net share: its training."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from skorch import NeuralNet

from sklearn_degu._base import NeuralRegressor, layout
from sklearn_degu._checkpoint_folder import CheckpointFolder, checkpoint_folder
from sklearn_degu._failed_fits import restored_on_failure
from sklearn_degu._inputs import Samples, check_fit_data, compute_dtype
from sklearn_degu._objectives import Objective, mean_objective
from sklearn_degu._validation import GivenRows, TrainingRows, training_rows
from sklearn_degu.nets.checkpoints import Checkpoint
from sklearn_degu.nets.configure import check_net, configure, is_sequence_net
from sklearn_degu.nets.losses import HeadLoss
from sklearn_degu.nets.memory import check_training_memory
from sklearn_degu.nets.prediction import warn_if_constant
from sklearn_degu.nets.progress import EpochReporter, tidy_history
from sklearn_degu.nets.randomness import MAX_SEED
from sklearn_degu.nets.training import train_net
from sklearn_degu.uncertainty import Heads, available_kinds


class SingleNetRegressor(NeuralRegressor):
    """Regressor that trains one net as :class:`EnsembleRegressor` trains a member.

    Subclasses say by which loss, and read their predictions from the net's outputs.
    """

    _loss: ClassVar[type[HeadLoss]]
    _components: ClassVar[tuple[str, ...]]

    net: Any
    validation: Any
    checkpoint_dir: Any
    random_state: Any
    verbose: int

    net_: NeuralNet
    history_: NDArray[Any]
    validation_indices_: NDArray[np.intp] | None
    _heads: Heads
    _prediction_seed: int

    @abstractmethod
    def _check_params(self) -> None:
        """Raise if a parameter that only the subclass has is not usable."""

    @abstractmethod
    def _default_net(self) -> NeuralNet:
        """Return the net that ``net=None`` stands for."""

    def _check_configured(self, net: NeuralNet) -> None:
        """Raise if the method cannot use a net that is sized for the data."""

    def _loss_params(self) -> dict[str, Any]:
        """Return the parameters of the loss."""
        return {}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the net as ``net__name``.

        Parameters
        ----------
        **params : object
            Names and values.

        Returns
        -------
        self : object
            This estimator.

        Raises
        ------
        ValueError
            If a parameter is unknown, or set under ``net=None``.
        """
        inner = [key for key in params if key.startswith("net__")]
        if inner and params.get("net", self.net) is None:
            raise ValueError(
                f"Cannot set {inner[0]}: net=None stands for a net that is made at fit. Pass the "
                "net itself, such as net=recipes.mlp_net(), and then set its parameters."
            )
        super().set_params(**params)
        return self

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
    ) -> Self:
        """Train the net.

        Parameters
        ----------
        X, y, sample_weight, groups, X_val, y_val, sample_weight_val
            As for :meth:`EnsembleRegressor.fit`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data, a parameter or the net is not usable; the message says how to mend it.
        TrainingDivergedError
            If a loss becomes NaN or infinite.
        """
        self._check_params()
        net = self._default_net() if self.net is None else self.net
        check_net(net)
        with restored_on_failure(self):
            samples = check_fit_data(
                self, X, y, sample_weight, groups, sequences=is_sequence_net(net)
            )
            given = GivenRows(X_val, y_val, sample_weight_val)
            positions = self._read_layout(y, [net], y_val)
            data = {**samples._asdict(), **given._asdict(), **layout(positions)}
            with checkpoint_folder(self, data, self._drawn_seeds) as folder:
                return self._fit(samples, given, net, folder)

    def _fit(
        self, samples: Samples, given: GivenRows, net: NeuralNet, folder: CheckpointFolder
    ) -> Self:
        validation_seed, seed, self._prediction_seed = folder.seeds
        rows = training_rows(self, samples, self.validation, validation_seed, given, folder)
        rows.check_measured(self._n_positions or 1)
        learned = mean_objective(rows.train, [net], self._n_positions or 1)
        if not issubclass(learned.loss, self._loss):
            learned = replace(learned, loss=self._loss)
        self.net_ = self._trained(net, learned, rows, seed, folder.checkpoint("net"))
        self.history_ = tidy_history([self.net_])
        self.validation_indices_ = rows.indices
        self.uncertainty_kinds_ = available_kinds(self._components)
        self.n_outputs_ = learned.heads.n_targets
        self._heads = learned.heads
        self._remember(rows)
        return self

    def _drawn_seeds(self) -> list[int]:
        """Return seeds for the validation rows, the net and its predictions."""
        random_state = check_random_state(self.random_state)
        return [int(random_state.randint(MAX_SEED)) for _ in range(3)]

    def _trained(
        self,
        net: NeuralNet,
        learned: Objective,
        rows: TrainingRows,
        seed: int,
        checkpoint: Checkpoint,
    ) -> NeuralNet:
        n_targets = learned.heads.n_targets
        configured = configure(
            net,
            n_outputs=learned.loss.outputs_a_column * n_targets,
            input_shape=self.input_shape_,
            validated=rows.valid is not None,
            n_positions=self._n_positions,
            loss=learned.loss,
            loss_params={**learned.loss_params, **self._loss_params()},
        )
        self._check_configured(configured)
        train, dtype = learned.rows(rows.train), compute_dtype(rows.train.X)
        check_training_memory(configured, train, dtype)
        fitted = train_net(
            configured,
            train,
            None if rows.valid is None else learned.rows(rows.valid),
            seed=seed,
            dtype=dtype,
            reporter=EpochReporter("net", verbose=self.verbose),
            checkpoint=checkpoint,
        )
        warn_if_constant(fitted, train, "The net", n_targets)
        return fitted
