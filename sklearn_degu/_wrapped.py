"""Regressors around a regressor, and what they are around."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import has_fit_parameter


class WrappedRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Regressor around another, which reads the same samples.

    Subclasses have the parameter ``estimator``; their ``fit`` takes ``groups``, passes on what
    :meth:`_routed` returns, and sets ``estimator_``.
    """

    # With metadata routing, a Pipeline or a search passes these on without being told to.
    __metadata_request__fit: ClassVar = {"groups": True}
    __metadata_request__predict: ClassVar = {"return_std": True, "kind": True}

    estimator: Any
    estimator_: Any

    def _routed(self, groups: Any, fit_params: dict[str, Any]) -> dict[str, Any]:
        """Return what is passed to the ``fit`` of the estimator, for all rows."""
        given = {} if groups is None else {"groups": groups}
        if get_config()["enable_metadata_routing"]:
            routed: dict[str, Any] = process_routing(
                self, "fit", **given, **fit_params
            ).estimator.fit
            return routed
        name = groups_parameter(self.estimator)
        return {**({name: groups} if given and name else {}), **fit_params}

    def get_metadata_routing(self) -> MetadataRouter:
        """Say what is passed on to the estimator.

        Returns
        -------
        routing : MetadataRouter
            Whatever the estimator's ``fit`` requests is passed to it.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    @property
    def n_features_in_(self) -> int:
        """Number of features that the estimator was fitted on, if it says so."""
        n_features: int = self.estimator_.n_features_in_
        return n_features

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the columns that the estimator was fitted on, if they had names."""
        names: NDArray[Any] = self.estimator_.feature_names_in_
        return names

    def __sklearn_tags__(self) -> Tags:
        """Say that samples and targets may be what they may be for the estimator."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.regressor_tags = inner.regressor_tags
        tags.non_deterministic = inner.non_deterministic
        return tags


def last_step(estimator: Any) -> Any:
    """Return the estimator that predicts: the one that is frozen, or that ends a Pipeline."""
    if isinstance(estimator, FrozenEstimator):
        return last_step(estimator.estimator)
    if isinstance(estimator, Pipeline):
        return last_step(estimator.steps[-1][1])
    return estimator


def groups_parameter(estimator: Any) -> str | None:
    """Return by what name an estimator's ``fit`` takes groups, if it does."""
    if has_fit_parameter(estimator, "groups"):
        return "groups"
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = groups_parameter(last)
        return f"{name}__{inner}" if inner else None
    return None
