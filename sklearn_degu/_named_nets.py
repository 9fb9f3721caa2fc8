"""One net or a list of named nets as a parameter, tunable by name."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator


class NamedNetsMixin(BaseEstimator):
    """Let ``net=[("a", net_a), ("b", net_b)]`` be set as ``a__lr``, like a VotingRegressor's.

    A single net is set as ``net__lr``, which scikit-learn does by itself.
    """

    net: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, and with ``deep`` those of the nets.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of the nets.

        Returns
        -------
        params : dict
            Parameter names and values.
        """
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            for name, net in self._named():
                params[name] = net
                params |= {f"{name}__{key}": value for key, value in net.get_params().items()}
        return params

    def set_params(self, **params: Any) -> NamedNetsMixin:
        """Set parameters, those of the nets as ``net__name`` or by the nets' own names.

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
        if "net" in params:
            self.net = params.pop("net")
        names = {name for name, _ in self._named()}
        for key in sorted(params, key=lambda key: key.count("__")):
            name, _, inner = key.partition("__")
            if name == "net" and inner:
                self._check_single_net(key)
            if name in names:
                self._set_named(name, inner, params.pop(key))
        super().set_params(**params)
        return self

    def _check_single_net(self, key: str) -> None:
        if self.net is None:
            raise ValueError(
                f"Cannot set {key}: net=None stands for recipes.mlp_net(), which is made at fit. "
                "Pass the net itself, net=recipes.mlp_net(), and then set its parameters."
            )
        names = [name for name, _ in self._named()]
        if names:
            inner = key.partition("__")[2]
            raise ValueError(
                f"Cannot set {key}: there are several nets. Set the parameter by the net's name: "
                f"{', '.join(f'{name}__{inner}' for name in names)}."
            )

    def _set_named(self, name: str, inner: str, value: Any) -> None:
        if inner:
            dict(self._named())[name].set_params(**{inner: value})
        else:
            self.net = [(n, value if n == name else net) for n, net in self._named()]

    def _named(self) -> list[tuple[str, Any]]:
        """Return the (name, net) pairs; :meth:`_check_names` refuses anything else at fit."""
        items = self.net if isinstance(self.net, (list, tuple)) else []
        return [item for item in items if _is_named_net(item)]

    def _check_names(self) -> None:
        """Raise if the list of named nets is malformed."""
        if not isinstance(self.net, (list, tuple)):
            return
        for item in self.net:
            if not _is_named_net(item):
                raise ValueError(
                    "net must be a skorch net or a list of (name, net) pairs, such as "
                    f"[('deepstarr', deepstarr_net())]; got the item {item!r}."
                )
        names = [name for name, _ in self.net]
        own = set(super().get_params(deep=False))
        bad = [n for n in names if n in own or "__" in n or names.count(n) > 1 or not n]
        if bad:
            raise ValueError(
                f"The names of nets must be unique, without '__', and not those of parameters of "
                f"{type(self).__name__}; got {names}."
            )
        if not names:
            raise ValueError("net is an empty list; give at least one (name, net) pair.")


def _is_named_net(item: Any) -> bool:
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], str)
        and hasattr(item[1], "get_params")
    )
