"""What the members of a fitted ensemble say, one by one and together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from sklearn_degu._base import NeuralRegressor, check_finite
from sklearn_degu._inputs import check_predict_data
from sklearn_degu._noise import Aleatoric, Likelihood, NoiseOf, check_noise_parameters
from sklearn_degu._noise_map import NoiseMap
from sklearn_degu._prediction_module import EnsembleReadout, PredictionModule
from sklearn_degu.nets.prediction import forward
from sklearn_degu.uncertainty import Array, Heads, available_kinds


class MembersRegressor(NeuralRegressor):
    """Regressor that predicts by several nets: their mean, disagreement and noise.

    Subclasses set in ``fit`` the members, ``estimators_`` and ``n_replicates_``, and
    :meth:`_assemble` them with their heads.
    """

    net: Any
    aleatoric: Aleatoric | None
    likelihood: Likelihood
    noise_of: NoiseOf
    estimators_: list[NeuralNet]
    n_replicates_: Array
    _heads: list[Heads]
    _noise_map: NoiseMap

    def predict_members(self, X: ArrayLike) -> Array:
        """Predict y by every member.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_estimators, n_samples), (n_estimators, n_samples, n_targets) or \
                (n_estimators, n_samples, n_targets, n_positions)
            Predicted means in y's units.
        """
        check_is_fitted(self)
        rows = check_predict_data(self, X)
        predicted = np.stack([member["mean"] for member in self._members(rows)])
        for member in predicted:
            check_finite(member, {}, rows)
        return self._like_y(predicted)

    def member_modules(self) -> list[PredictionModule]:
        """Return a torch module for every member, as :meth:`to_module` does for all together.

        Returns
        -------
        modules : list of torch.nn.Module
            Each maps X to a dict of ``"mean"`` and, if the members learned the noise,
            ``"aleatoric"``: what an ensemble of this member alone predicts.
        """
        check_is_fitted(self)
        names = ("mean", *(kind for kind in self.uncertainty_kinds_ if kind == "aleatoric"))
        return [self._module_of([member], names) for member in range(len(self.estimators_))]

    def _prediction_module(self, names: tuple[str, ...]) -> PredictionModule:
        return self._module_of(range(len(self.estimators_)), names)

    def _module_of(self, members: Sequence[int], names: tuple[str, ...]) -> PredictionModule:
        check_noise_parameters(self.aleatoric, self.likelihood, self.noise_of)
        n_replicates = self.n_replicates_ if self.noise_of == "mean" else np.ones(self.n_outputs_)
        heads = [self._heads[member] for member in members]
        readout = EnsembleReadout(heads, names, self._noise_map, n_replicates)
        modules = [self.estimators_[member].module_ for member in members]
        return PredictionModule(modules, readout, names, self.n_outputs_, self._n_positions)

    def _predict_moments(self, X: NDArray[Any]) -> tuple[Array, dict[str, Array]]:
        return self._moments_of(X, lambda values: values)

    def _sum_moments(
        self, X: ArrayLike, sums: Callable[[Array], Array]
    ) -> tuple[Array, dict[str, Array]]:
        """Return mean and variances of sums over columns, whose noise is independent."""
        rows = check_predict_data(self, X)
        mean, variances = self._moments_of(rows, sums)
        check_finite(mean, variances, rows)
        return mean, variances

    def _moments_of(
        self, X: NDArray[Any], sums: Callable[[Array], Array]
    ) -> tuple[Array, dict[str, Array]]:
        # It can be set after the fit.
        check_noise_parameters(self.aleatoric, self.likelihood, self.noise_of)
        mean, spread, noise = self._moments(X, sums)
        return mean, self._variances(spread, noise, sums)

    def _sampled_moments(
        self, X: NDArray[Any], n_members: int, generator: np.random.Generator
    ) -> tuple[Array, dict[str, Array]]:
        """Return mean and variances as some random members of each row tell them.

        The variance of M members, which divides by M, is (M - 1) / M times the expectation of the
        sample variance of those drawn without replacement. One member has none: it is 0.
        """
        drawn = generator.random((len(X), len(self.estimators_))).argsort(axis=1)[:, :n_members]
        said = np.empty((2, n_members, len(X), self.n_outputs_))
        for member, (net, heads) in enumerate(zip(self.estimators_, self._heads, strict=True)):
            rows, places = np.nonzero(drawn == member)
            if len(rows):
                predicted = heads.decode(forward(net, X[rows]))
                said[0, places, rows] = predicted["mean"]
                said[1, places, rows] = predicted.get("aleatoric", np.zeros(())) ** 2
        means, noise = said
        unbiased = means.var(axis=0, ddof=min(1, n_members - 1))
        spread = unbiased * (len(self.estimators_) - 1) / len(self.estimators_)
        mean, variances = means.mean(axis=0), self._variances(spread, noise.mean(axis=0))
        check_finite(mean, variances, X)
        return mean, variances

    def _variances(
        self, spread: Array, noise: Array, sums: Callable[[Array], Array] = lambda values: values
    ) -> dict[str, Array]:
        """Return the variance of each component, from what the members say."""
        variances = {"epistemic": spread}
        if "aleatoric" in self.uncertainty_kinds_:
            n_replicates = self.n_replicates_ if self.noise_of == "mean" else 1.0
            variances["aleatoric"] = sums(self._noise_map(noise) / n_replicates)
        return {kind: variances[kind] for kind in self.uncertainty_kinds_ if kind != "total"}

    def _moments(
        self, X: NDArray[Any], sums: Callable[[Array], Array] = lambda values: values
    ) -> tuple[Array, Array, Array]:
        """Return mean and variance of the members' means, and the mean of their noise variances.

        Means are summed over columns first. Streams over the members: memory does not grow with
        their number.
        """
        mean, squares, noise = np.zeros(()), np.zeros(()), np.zeros(())
        for count, member in enumerate(self._members(X), start=1):
            predicted = sums(member["mean"])
            deviation = predicted - mean
            mean = mean + deviation / count
            squares = squares + deviation * (predicted - mean)
            noise = noise + (member.get("aleatoric", np.zeros(())) ** 2 - noise) / count
        return mean, squares / len(self.estimators_), noise

    def _members(self, X: NDArray[Any]) -> Iterable[dict[str, Array]]:
        """Return what every member predicts by its heads, in the order of the members."""
        members = zip(self.estimators_, self._heads, strict=True)
        return (heads.decode(forward(net, X)) for net, heads in members)

    def _assemble(self, heads: list[Heads], y_ndim: int) -> Self:
        self._heads = heads
        self._y_ndim = y_ndim
        self.n_outputs_ = heads[0].n_targets
        components = [*(["epistemic"] if len(heads) > 1 else []), *heads[0].kinds]
        self.uncertainty_kinds_ = available_kinds(tuple(components))
        return self
