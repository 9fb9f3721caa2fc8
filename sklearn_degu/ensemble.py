"""An ensemble of neural networks that differ in their random seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import Any

import joblib
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from skorch import NeuralNet
from torch import nn

from sklearn_degu._assembly import (
    as_part,
    assembled,
    check_together,
    warn_if_misfit_counts_twice,
)
from sklearn_degu._base import layout
from sklearn_degu._checkpoint_folder import CheckpointFolder, checkpoint_folder
from sklearn_degu._failed_fits import restored_on_failure
from sklearn_degu._inputs import Samples, check_fit_data, compute_dtype
from sklearn_degu._members import MembersRegressor
from sklearn_degu._named_nets import NamedNetsMixin
from sklearn_degu._noise import (
    Aleatoric,
    Likelihood,
    NoiseOf,
    check_noise_parameters,
    objective,
    warn_of_unused_parameters,
)
from sklearn_degu._numbers import is_whole
from sklearn_degu._objectives import Objective
from sklearn_degu._validation import GivenRows, TrainingRows, training_rows
from sklearn_degu.nets.augmented import check_augment, check_edits, check_keeps_positions
from sklearn_degu.nets.configure import check_net, configure, is_sequence_net
from sklearn_degu.nets.fine_tuning import (
    check_fine_tuning,
    check_first_stage,
    fine_tuning_net,
    with_both_histories,
)
from sklearn_degu.nets.prediction import warn_if_constant
from sklearn_degu.nets.progress import tidy_history
from sklearn_degu.nets.randomness import MAX_SEED
from sklearn_degu.nets.strategies import Strategy, check_strategy, train_members
from sklearn_degu.nets.training import weights_of
from sklearn_degu.recipes import mlp_net


class EnsembleRegressor(NamedNetsMixin, MembersRegressor):
    """Ensemble of neural networks, and how far they disagree.

    ``n_estimators`` nets of one architecture are trained on the same data, each with its own
    initial weights, order of the data and dropout masks. Their mean is more accurate than a
    member; their standard deviation is the *epistemic* uncertainty, what the model does not know
    for want of data [1]_.

    Parameters
    ----------
    net : skorch.NeuralNet or list of (str, skorch.NeuralNet), default=None
        The net of the members, unfitted, as :mod:`sklearn_degu.recipes` makes them, or a skorch
        net around a module class that takes ``n_outputs``. None is ``recipes.mlp_net()``, a
        small net for tabular data. With a list of named nets the members take turns, and
        parameters are set by name (``deepstarr__lr``).
    n_estimators : int, default=10
        Number of members.
    aleatoric : {"replicates", "heteroscedastic"}, default=None
        Whether and from what the members learn the noise of the measurements beside the mean.
        "replicates" learns it from the spread over ``replicates``, which fit then needs: the
        noise of the experiment alone. "heteroscedastic" learns the deviation of y from the
        prediction, by a likelihood: noise and misfit together, so that intervals made of it can
        cover y. None learns no noise.
    likelihood : {"gaussian", "beta", "laplace"}, default="gaussian"
        For ``aleatoric="heteroscedastic"`` alone: the Gaussian likelihood; the same with a weight
        that keeps badly fitted rows in the training [2]_; or the Laplace one, robust against
        outliers. With other noise it has no effect, and fit warns unless it is the default.
    noise_of : {"mean", "replicate"}, default="mean"
        For ``aleatoric="replicates"`` alone, whose noise the aleatoric deviation is: that of y as
        the mean of ``n_replicates_`` replicates, or that of a single replicate. It can be set
        after fit. With other noise it has no effect, and fit warns unless it is the default.
    validation : float or splitter, default=None
        Rows held out for early stopping and learning-rate schedules, the same for all members: a
        fraction (whole groups, if ``groups`` are passed to fit), or a scikit-learn splitter, of
        which the first split is taken (if it shuffles, give it a ``random_state``). ``X_val`` and
        ``y_val`` of fit come first. None holds nothing out.
    augment : torch.nn.Module, default=None
        Edits every batch of training rows, anew in every epoch: called as
        ``augment(X_batch, generator)`` with a tensor and a :class:`torch.Generator` of the member's
        own, it returns a tensor of the same shape, such as
        :class:`~sklearn_degu.augmentation.Augment` does for sequences [3]_. The edited rows keep
        their measured targets. Rows to validate on and to predict are never edited. None edits
        nothing.
    fine_tune_epochs : int, default=0
        For how many epochs every member trains on with the rows as they are, after the training on
        edited ones has ended: the second stage of [3]_. It begins with the weights that the first
        leaves, and with fresh callbacks, so that early stopping restores the best weights of the
        second stage. 0 leaves it out.
    fine_tune_lr : float, default=None
        Learning rate of the second stage. None is a tenth of the net's. It stays the same
        throughout: learning-rate schedules (:class:`skorch.callbacks.LRScheduler`,
        :class:`~sklearn_degu.nets.OneCycle`) are left out of the second stage.
    strategy : {"auto", "loop", "threads", "processes", "joint"}, default="auto"
        How the members train: one after another ("loop"), ``n_jobs`` at a time in threads or in
        processes, or all in one batched pass ("joint"), which fills a GPU and spares tiny nets
        their overhead, and needs nets of one architecture without recurrent layers. "auto" is
        "joint" for small nets for tables, such as the default, and on a GPU for any net of
        :mod:`sklearn_degu.recipes` but the recurrent one; else "threads", or "processes" if the
        nets may draw from torch's global generator, for which threads would queue. Members begin
        with the same weights, and see the same batches and dropout masks, in all of them.
        A backend chosen by :func:`joblib.parallel_config`, such as a dask cluster, takes the place
        of threads or processes. In processes, nets for ``device="cuda"`` take turns on the GPUs.
    n_jobs : int, default=None
        How many members train at a time in threads or processes, as joblib counts: None is 1
        unless in a :func:`joblib.parallel_config` context, -1 is all cores. Each member computes
        on one thread, so that the result is the same for every ``n_jobs``.
    checkpoint_dir : str or path-like, default=None
        A folder in which the fit keeps what it has reached, so that the same fit goes on from
        there if it was cut off. None keeps nothing.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the data, dropout and the random validation rows.
    verbose : int, default=0
        Print a line for every member (1) or every epoch (2), with the time left.

    Attributes
    ----------
    estimators_ : list of skorch.NeuralNet
        The fitted members. Their outputs are standardised targets; :meth:`predict_members`
        gives them in y's units.
    history_ : ndarray of shape (n_epochs_of_all_members,)
        Structured array with the fields ``member``, ``epoch``, ``train_loss``, ``valid_loss``
        (NaN without validation), ``lr``, ``seconds``. ``pandas.DataFrame(history_)`` works. The
        epochs of fine-tuning are counted on behind those of the first stage, at their own ``lr``.
        Losses are in units of the targets' variance; with ``aleatoric`` they hold the likelihood
        of the noise too, counted from the smallest deviation that is told apart, and are larger.
    validation_indices_ : ndarray of int or None
        The rows held out by ``validation``, as indices into the rows of positive weight.
    fingerprint_ : str or None
        Hash of the rows of positive weight, by which a student knows them again.
    uncertainty_kinds_ : tuple of str
        The kinds that :meth:`predict_uncertainty` offers: "epistemic" unless there is a single
        member, "aleatoric" if it was learned, and "total" if there are both.
    n_replicates_ : ndarray of shape (n_outputs_,)
        Of how many replicates y is the mean: with ``aleatoric="replicates"`` the harmonic mean of
        their numbers in the training rows, because the variance of a mean of r replicates is
        1/r of theirs and it is 1/r that averages; else 1.
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
    DistilledRegressor : One net that learns what the ensemble says, at a tenth of its cost.

    Notes
    -----
    y may have several columns and may hold NaN where a target was not measured: such entries
    are left out of the loss and of :meth:`score`. All positions of a profile share the scale of
    their target, and the map of its noise.

    A net whose criterion is a likelihood of counts (``torch.nn.PoissonNLLLoss`` or
    :class:`~sklearn_degu.nets.MultinomialCountLoss`) predicts logarithms of rates, relative to
    the mean rate of their target. y must then not be negative; predictions are rates, in y's
    units. The loss is in units of the mean rate.

    The epistemic deviation has ``ddof=0``.

    The noise of the whole ensemble follows from the law of total variance: the members' variances
    are averaged, not their deviations, and ``total**2 = epistemic**2 + aleatoric**2``.

    References
    ----------
    .. [1] Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty
       estimation using deep ensembles", NeurIPS 2017.
    .. [2] Seitzer, Tavakoli, Antic and Martius, "On the pitfalls of heteroscedastic uncertainty
       estimation with probabilistic neural networks", ICLR 2022.
    .. [3] Lee, Tang, Toneyan and Koo, "EvoAug: improving generalization and interpretability of
       genomic deep neural networks with evolution-inspired data augmentations", Genome Biology 24,
       2023.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import EnsembleRegressor
    >>> X, y = make_regression(n_samples=100, n_features=5, random_state=0)
    >>> ensemble = EnsembleRegressor(n_estimators=3, random_state=0).fit(X, y)
    >>> mean, std = ensemble.predict(X[:4], return_std=True)
    >>> mean.shape, std.shape
    ((4,), (4,))
    """

    def __init__(
        self,
        net: Any = None,
        n_estimators: int = 10,
        *,
        aleatoric: Aleatoric | None = None,
        likelihood: Likelihood = "gaussian",
        noise_of: NoiseOf = "mean",
        validation: Any = None,
        augment: nn.Module | None = None,
        fine_tune_epochs: int = 0,
        fine_tune_lr: float | None = None,
        strategy: Strategy = "auto",
        n_jobs: int | None = None,
        checkpoint_dir: str | PathLike[str] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.net = net
        self.n_estimators = n_estimators
        self.aleatoric = aleatoric
        self.likelihood = likelihood
        self.noise_of = noise_of
        self.validation = validation
        self.augment = augment
        self.fine_tune_epochs = fine_tune_epochs
        self.fine_tune_lr = fine_tune_lr
        self.strategy = strategy
        self.n_jobs = n_jobs
        self.checkpoint_dir = checkpoint_dir
        self.random_state = random_state
        self.verbose = verbose

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
    ) -> EnsembleRegressor:
        """Train the members.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples. A net for sequences reads a 2-D X as the flattened view of
            (n_samples, 4, length). uint8, int8 and bool keep their size in memory and are
            computed in float32, as are float32 and one-hot sequences of any type; everything else
            is computed in float64.
        y : array-like of shape (n_samples,), (n_samples, n_targets) or \
                (n_samples, n_targets, n_positions)
            Targets. NaN is a missing measurement; a row needs at least one. Profiles, with three
            axes, need a net that takes ``n_positions``, such as ``recipes.profile_net()``; of
            their flattened view (n_samples, n_targets * n_positions) the net says the positions,
            ``module__n_positions``, and predictions are flattened too.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss.
        replicates : array-like of shape (n_samples, n_replicates) or \
                (n_samples, n_targets, n_replicates), of profiles \
                (n_samples, n_targets, n_positions, n_replicates), optional
            The measurements that y is the mean of, in y's units, for
            ``aleatoric="replicates"``; NaN where missing. fit warns if y cannot be their mean.
        groups : array-like of shape (n_samples,), optional
            Groups for the ``validation`` splitter.
        X_val, y_val : array-like, optional
            Samples and targets to stop on, instead of ``validation``.
        sample_weight_val : array-like, optional
            Weights of the validation samples.
        replicates_val : array-like, optional
            Replicates of the validation samples. The noise of a target is calibrated on those
            with at least two, if there are 20 of them, else on the training rows; fit warns of it.

        Returns
        -------
        self : EnsembleRegressor
            The fitted ensemble.

        Raises
        ------
        ValueError
            If the data, a parameter or the net is not usable; the message says how to mend it.
        TrainingDivergedError
            If a loss becomes NaN or infinite.
        """
        nets = self.nets()
        strategy = check_strategy(self.strategy, nets, self.n_estimators)
        self._check_augmentation()
        check_noise_parameters(self.aleatoric, self.likelihood, self.noise_of)
        warn_of_unused_parameters(self.aleatoric, self.likelihood, self.noise_of)
        with restored_on_failure(self):
            samples = check_fit_data(
                self,
                X,
                y,
                sample_weight,
                groups,
                sequences=any(map(is_sequence_net, nets)),
                replicates=replicates,
            )
            given = GivenRows(X_val, y_val, sample_weight_val, replicates_val)
            positions = self._read_layout(y, nets, y_val)
            if positions is not None:
                check_keeps_positions(self.augment)
            data = {**samples._asdict(), **given._asdict(), **layout(positions)}
            with checkpoint_folder(self, data, self._drawn_seeds) as folder:
                return self._fit(samples, given, nets, strategy, folder)

    def _fit(
        self,
        samples: Samples,
        given: GivenRows,
        nets: list[NeuralNet],
        strategy: Strategy,
        folder: CheckpointFolder,
    ) -> EnsembleRegressor:
        validation_seed, *seeds = folder.seeds
        rows = training_rows(self, samples, self.validation, validation_seed, given, folder)
        positions = self._n_positions
        rows.check_measured(positions or 1)
        learned = objective(
            self.aleatoric, self.likelihood, rows.train, nets, n_positions=positions or 1
        )
        configured = [
            configure(
                nets[i % len(nets)],
                n_outputs=learned.heads.n_outputs,
                input_shape=self.input_shape_,
                validated=rows.valid is not None,
                n_positions=positions,
                loss=learned.loss,
                loss_params=learned.loss_params,
            )
            for i in range(self.n_estimators)
        ]
        self.estimators_ = self._train(configured, seeds, learned, rows, strategy, folder)
        self.history_ = tidy_history(self.estimators_)
        self.validation_indices_ = rows.indices
        self.fingerprint_ = None if rows.indices is None else fingerprint(samples.X)
        self.n_replicates_ = learned.n_replicates
        self._remember(rows)
        self._assemble([learned.heads] * self.n_estimators, self._y_ndim)
        self._noise_map = learned.noise_map(self._moments, rows)
        return self

    def _drawn_seeds(self) -> list[int]:
        """Return seeds for the validation rows and for every member."""
        random_state = check_random_state(self.random_state)
        drawn: list[int] = random_state.randint(MAX_SEED, size=1 + self.n_estimators).tolist()
        return drawn

    @classmethod
    def from_fitted(
        cls,
        members: Sequence[NeuralNet | EnsembleRegressor],
        *,
        input_shape: tuple[int, ...] | None = None,
    ) -> EnsembleRegressor:
        """Assemble an ensemble from members that were trained elsewhere.

        Parameters
        ----------
        members : sequence of skorch.NeuralNet or EnsembleRegressor
            Fitted nets whose outputs are y in its own units (or, with a likelihood of counts for
            their criterion, logarithms of its rates), or fitted ensembles, all of whose members
            are taken.
        input_shape : tuple of int, optional
            Shape of a sample, such as ``(4, 249)``. Needed for nets; ensembles know it.

        Returns
        -------
        ensemble : EnsembleRegressor
            A fitted ensemble of all the members; it shares their weights.

        Raises
        ------
        ValueError
            If there are no members, if they differ in their input or their targets, or if
            nothing says the shape of a sample.

        Notes
        -----
        What the ensembles say of the noise is averaged by their numbers of members. The noise of
        ``aleatoric="heteroscedastic"`` holds the misfit of each ensemble, which the epistemic
        deviation of all together counts again: the total is too large, and a warning says so.
        """
        if not members:
            raise ValueError("from_fitted needs at least one fitted member, got none.")
        parts = [as_part(cls, member, input_shape) for member in members]
        check_together(parts)
        warn_if_misfit_counts_twice(parts)
        return assembled(cls, parts)

    def nets(self) -> list[NeuralNet]:
        """Return the different nets of the members, unfitted.

        Returns
        -------
        nets : list of skorch.NeuralNet
            The nets themselves, not copies; member ``i`` is a copy of net ``i % len(nets)``.

        Raises
        ------
        ValueError
            If a net or ``n_estimators`` is not usable; the message says how to mend it.
        """
        if not is_whole(self.n_estimators) or self.n_estimators < 1:
            raise ValueError(f"n_estimators must be a positive integer, got {self.n_estimators!r}.")
        self._check_names()
        nets = [net for _, net in self.net] if isinstance(self.net, (list, tuple)) else [self.net]
        nets = [mlp_net() if net is None else net for net in nets]
        if len(nets) > self.n_estimators:
            raise ValueError(
                f"n_estimators={self.n_estimators} is fewer than the {len(nets)} nets; every net "
                "needs a member."
            )
        for net in nets:
            check_net(net)
        return nets

    def _train(
        self,
        nets: list[NeuralNet],
        seeds: list[int],
        learned: Objective,
        rows: TrainingRows,
        strategy: Strategy,
        folder: CheckpointFolder,
    ) -> list[NeuralNet]:
        train, dtype = learned.rows(rows.train), compute_dtype(rows.train.X)
        if self.augment is not None:
            for net in nets[: len(self.nets())]:
                check_edits(self.augment, net, train, dtype)
        stage = partial(
            train_members,
            train=train,
            valid=None if rows.valid is None else learned.rows(rows.valid),
            seeds=seeds,
            dtype=dtype,
            strategy=strategy,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        fitted = self._train_in_stages(nets, stage, folder)
        for i, net in enumerate(fitted):
            warn_if_constant(net, train, f"Member {i} of the ensemble", learned.heads.n_targets)
        return fitted

    def _train_in_stages(
        self, nets: list[NeuralNet], stage: Callable[..., list[NeuralNet]], folder: CheckpointFolder
    ) -> list[NeuralNet]:
        """Return the nets after the training on edited rows, and after that on others, if any."""
        epochs, lr = self.fine_tune_epochs, self.fine_tune_lr
        # Made before the training, in which callbacks may leave attributes of theirs on the nets.
        later = [fine_tuning_net(net, epochs, lr) for net in nets] if epochs else []
        checkpoint = folder.checkpoint
        first = stage(nets, checkpoint=checkpoint, augment=self.augment, epochs_later=epochs)
        if not later:
            return first
        second = stage(
            later,
            checkpoint=lambda name: checkpoint(f"{name}-fine-tuned"),
            initial=[weights_of(net) for net in first],
        )
        return [with_both_histories(*both) for both in zip(second, first, strict=True)]

    def _check_augmentation(self) -> None:
        check_augment(self.augment)
        check_fine_tuning(self.fine_tune_epochs, self.fine_tune_lr)
        check_first_stage(self.fine_tune_epochs, augments=self.augment is not None)


def fingerprint(X: NDArray[Any]) -> str:
    """Return a hash of training rows, to tell them from others."""
    return str(joblib.hash(X))
