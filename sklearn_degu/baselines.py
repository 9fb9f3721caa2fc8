"""Other ways for a net to know how unsure it is, with an ensemble's methods, to compare with it.

A heteroscedastic net is an ensemble of one:
``EnsembleRegressor(n_estimators=1, aleatoric="heteroscedastic")``.
"""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from skorch import NeuralNet

from sklearn_degu._numbers import is_real, is_whole
from sklearn_degu._prediction_module import EvidentialReadout, PredictionModule
from sklearn_degu._single_net import SingleNetRegressor
from sklearn_degu.nets.dropout import dropout_layers, dropout_passes, unreached_dropout
from sklearn_degu.nets.evidential import EvidentialLoss, NormalInverseGamma
from sklearn_degu.nets.losses import WeightedLoss
from sklearn_degu.nets.prediction import forward
from sklearn_degu.nets.randomness import global_generator
from sklearn_degu.recipes import mlp_net
from sklearn_degu.uncertainty import Array

__all__ = ["EvidentialRegressor", "MCDropoutRegressor"]


class MCDropoutRegressor(SingleNetRegressor):
    """One network whose dropout stays on in prediction [1]_.

    A net is trained with dropout. It predicts ``n_samples`` times, each time thinned by other
    dropout masks; the mean of these passes is the prediction, and their standard deviation the
    *epistemic* uncertainty. The passes stand for nets drawn from an approximate posterior of the
    weights.

    Parameters
    ----------
    net : skorch.NeuralNet, default=None
        The net, unfitted, as for :class:`EnsembleRegressor`, with dropout layers of
        ``torch.nn`` or :class:`~sklearn_degu.modules.Dropout`. None is
        ``recipes.mlp_net(module__dropout=0.1)``, for tabular data.
    n_samples : int, default=100
        Number of passes, at least 2. It can be set after fit: more passes begin with the same.
    validation : float or splitter, default=None
        Rows held out, as in :class:`EnsembleRegressor`. They are predicted without dropout.
    checkpoint_dir : str or path-like, default=None
        As for :class:`EnsembleRegressor`.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the data, dropout masks in training and prediction, and
        the random validation rows.
    verbose : int, default=0
        Print a line for the net (1) or for every epoch (2), with the time left.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The fitted net. Its outputs are standardised; :meth:`predict` gives y's units.
    history_ : ndarray of shape (n_epochs,)
        Structured array of the epochs, as :attr:`EnsembleRegressor.history_`.
    validation_indices_ : ndarray of int or None
        The rows held out by ``validation``, as indices into the rows of positive weight.
    uncertainty_kinds_ : tuple of str
        ``("epistemic",)``.
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
    EnsembleRegressor : Nets that were trained apart.
    EvidentialRegressor : One net and one pass.

    Notes
    -----
    A pass draws the masks once, for all rows, as one draw of the weights. A fitted model
    therefore predicts the same for a row in every call, in any batch and among any other rows, up
    to rounding. Only dropout is random: batch norm keeps the statistics of training. Dropout
    layers must see the rows along their first axis. The deviation has ``ddof=0``.

    How large the deviation is depends on the dropout probability, which training does not learn,
    and it need not vanish as data grow [2]_: compare it by its ranks, or recalibrate it.

    In training the masks are drawn for every row, so that a weight of two is not exactly a row
    that occurs twice.

    References
    ----------
    .. [1] Gal and Ghahramani, "Dropout as a Bayesian approximation: representing model
       uncertainty in deep learning", ICML 2016, equations 6 and 7.
    .. [2] Osband, "Risk versus uncertainty in deep learning: Bayes, bootstrap and the dangers of
       dropout", NIPS Workshop on Bayesian Deep Learning, 2016.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu.baselines import MCDropoutRegressor
    >>> X, y = make_regression(n_samples=100, n_features=5, random_state=0)
    >>> mean, std = MCDropoutRegressor(random_state=0).fit(X, y).predict(X[:4], return_std=True)
    >>> mean.shape, std.shape
    ((4,), (4,))
    """

    _loss = WeightedLoss
    _components = ("epistemic",)

    def __init__(
        self,
        net: Any = None,
        *,
        n_samples: int = 100,
        validation: Any = None,
        checkpoint_dir: str | PathLike[str] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.net = net
        self.n_samples = n_samples
        self.validation = validation
        self.checkpoint_dir = checkpoint_dir
        self.random_state = random_state
        self.verbose = verbose

    def _predict_moments(self, X: NDArray[Any]) -> tuple[Array, dict[str, Array]]:
        """Stream over the passes: memory does not grow with their number."""
        self._check_params()
        seeds = np.random.SeedSequence(self._prediction_seed).generate_state(self.n_samples)
        mean, squares = np.zeros(()), np.zeros(())
        for count, outputs in enumerate(dropout_passes(self.net_, X, seeds.tolist()), start=1):
            sample = self._heads.decode(outputs)["mean"]
            deviation = sample - mean
            mean = mean + deviation / count
            squares = squares + deviation * (sample - mean)
        return mean, {"epistemic": squares / self.n_samples}

    def _prediction_module(self, names: tuple[str, ...]) -> PredictionModule:
        raise TypeError(
            "MCDropoutRegressor predicts by sampling dropout masks, which a module cannot be "
            "differentiated through. Distil an ensemble, or use an EnsembleRegressor."
        )

    def _check_params(self) -> None:
        if not is_whole(self.n_samples) or self.n_samples < 2:
            raise ValueError(
                "n_samples must be an integer of at least 2, because one pass has no deviation; "
                f"got {self.n_samples!r}."
            )

    def _default_net(self) -> NeuralNet:
        return mlp_net(module__dropout=0.1)

    def _check_configured(self, net: NeuralNet) -> None:
        """Raise if there is no dropout in the net."""
        built = clone(net)
        with global_generator(seed=0):
            built.initialize()
        unreached = unreached_dropout(built.module_)
        if not dropout_layers(built.module_):
            others = f" Found only {', '.join(unreached)}." if unreached else ""
            raise ValueError(
                "The net has no dropout layer with a probability above 0, so that all passes would "
                f"be equal and their deviation zero.{others} Use layers such as torch.nn.Dropout "
                "(not torch.nn.functional.dropout), and set their probability, for example by "
                "module__dropout=0.1."
            )
        if unreached:
            warnings.warn(
                f"The dropout of {', '.join(unreached)} is on in training, but not in prediction, "
                "where only layers such as torch.nn.Dropout drop: the deviation leaves it out.",
                UserWarning,
                stacklevel=4,
            )


class EvidentialRegressor(SingleNetRegressor):
    r"""One network that predicts a distribution of the mean and the variance of y [1]_.

    For every target the net has four outputs, the parameters of a normal-inverse-gamma
    distribution, :math:`\mu \sim N(\gamma, \sigma^2 / \nu)` and
    :math:`\sigma^2 \sim \Gamma^{-1}(\alpha, \beta)`. It is trained by the likelihood of y, a
    Student distribution, and a price on evidence where the prediction is wrong:

    .. math:: -\log St\left(y; \gamma, \tfrac{\beta (1 + \nu)}{\nu \alpha}, 2 \alpha\right)
        + \lambda |y - \gamma| (2 \nu + \alpha)

    It predicts :math:`\gamma`; the *aleatoric* variance is
    :math:`E[\sigma^2] = \beta / (\alpha - 1)` and the *epistemic* one
    :math:`Var[\mu] = \beta / (\nu (\alpha - 1))`.

    Parameters
    ----------
    net : skorch.NeuralNet, default=None
        The net, unfitted, as for :class:`EnsembleRegressor`; its criterion is left at MSELoss,
        which the loss above replaces. None is ``recipes.mlp_net()``, for tabular data.
    regularization : float, default=0.01
        The factor :math:`\lambda`, for targets of unit variance. The default is that of the
        paper's code.
    validation : float or splitter, default=None
        Rows held out, as in :class:`EnsembleRegressor`.
    checkpoint_dir : str or path-like, default=None
        As for :class:`EnsembleRegressor`.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the data, dropout and the random validation rows.
    verbose : int, default=0
        Print a line for the net (1) or for every epoch (2), with the time left.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The fitted net. Its outputs are not the parameters themselves; :meth:`predict` reads them.
    history_ : ndarray of shape (n_epochs,)
        Structured array of the epochs, as :attr:`EnsembleRegressor.history_`.
    validation_indices_ : ndarray of int or None
        The rows held out by ``validation``, as indices into the rows of positive weight.
    uncertainty_kinds_ : tuple of str
        ``("epistemic", "aleatoric", "total")``.
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
    EnsembleRegressor : Its epistemic deviation is measured, between nets.
    MCDropoutRegressor : One net and many passes.

    Notes
    -----
    Of the uncertainties only ``"total"`` is learned from data: its square is the variance of the
    Student distribution. The likelihood depends on :math:`\beta` and :math:`\nu` through
    :math:`\beta (1 + \nu) / \nu` alone, so that it does not say how the total divides into
    aleatoric and epistemic [2]_; initial weights and ``regularization`` do. The epistemic
    deviation is a heuristic: it need not fall as data grow, nor rise away from them, and no loss
    of this kind makes it do so [3]_.

    References
    ----------
    .. [1] Amini, Schwarting, Soleimany and Rus, "Deep evidential regression", NeurIPS 2020.
    .. [2] Meinert, Gawlikowski and Lavin, "The unreasonable effectiveness of deep evidential
       regression", AAAI 2023.
    .. [3] Bengs, Hüllermeier and Waegeman, "Pitfalls of epistemic uncertainty quantification
       through loss minimisation", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu.baselines import EvidentialRegressor
    >>> X, y = make_regression(n_samples=100, n_features=5, noise=10.0, random_state=0)
    >>> evidential = EvidentialRegressor(random_state=0).fit(X, y)
    >>> evidential.predict_uncertainty(X[:4], kind="aleatoric").shape
    (4,)
    """

    _loss = EvidentialLoss
    _components = ("epistemic", "aleatoric")

    def __init__(
        self,
        net: Any = None,
        *,
        regularization: float = 0.01,
        validation: Any = None,
        checkpoint_dir: str | PathLike[str] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.net = net
        self.regularization = regularization
        self.validation = validation
        self.checkpoint_dir = checkpoint_dir
        self.random_state = random_state
        self.verbose = verbose

    def _predict_moments(self, X: NDArray[Any]) -> tuple[Array, dict[str, Array]]:
        predicted = NormalInverseGamma.of(torch.from_numpy(forward(self.net_, X)))
        head = self._heads.heads["mean"]
        variances = {
            "epistemic": predicted.epistemic_variance,
            "aleatoric": predicted.aleatoric_variance,
        }
        in_units_of_y = {kind: head.scale**2 * part.numpy() for kind, part in variances.items()}
        return head.decode(predicted.gamma.numpy()), in_units_of_y

    def _prediction_module(self, names: tuple[str, ...]) -> PredictionModule:
        readout = EvidentialReadout(self._heads.heads["mean"], names)
        return PredictionModule([self.net_.module_], readout, names, self.n_outputs_)

    def _check_params(self) -> None:
        if not (is_real(self.regularization) and 0 <= self.regularization < np.inf):
            raise ValueError(
                "regularization must be a finite number that is not negative, got "
                f"{self.regularization!r}."
            )

    def _default_net(self) -> NeuralNet:
        return mlp_net()

    def _loss_params(self) -> dict[str, Any]:
        return {"regularization": self.regularization}
