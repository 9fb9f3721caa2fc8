"""What an estimator asks to be passed with metadata routing, as plain values."""

from __future__ import annotations

from typing import Any

from sklearn import config_context

from sklearn_degu.exceptions import ModelFileError

# The attribute that scikit-learn keeps requests in; its objects refer back to the estimator.
ATTRIBUTE = "_metadata_request"

_METHODS = ("fit", "partial_fit", "predict", "score", "transform", "inverse_transform", "split")


def requests_of(requests: Any) -> dict[str, dict[str, Any]]:
    """Return what is requested for each method, by the name of the metadata."""
    by_method = {name: dict(getattr(requests, name).requests) for name in _METHODS}
    return {name: requested for name, requested in by_method.items() if requested}


def set_requests(estimator: Any, requests: Any) -> None:
    """Have an estimator request what another did, by its own methods for that.

    Raises
    ------
    ModelFileError
        If it has no such methods or metadata.
    """
    try:
        with config_context(enable_metadata_routing=True):
            for method, requested in requests.items():
                if method not in _METHODS:
                    raise ValueError(f"no request is made for {method!r}")
                getattr(estimator, f"set_{method}_request")(**requested)
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"The metadata requests of {type(estimator).__name__} are malformed: {error}."
        ) from None
