"""DeepLIFT contributions, averaged over shuffled references."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sklearn_degu._numbers import is_whole
from sklearn_degu._prediction_module import EnsembleReadout, EvidentialReadout, StudentReadout
from sklearn_degu.attribution._batches import Progress, check_batch_size, for_each_batch
from sklearn_degu.attribution._explained import Explained, Sequences
from sklearn_degu.attribution._extras import import_extra
from sklearn_degu.attribution._paths import Contributions
from sklearn_degu.attribution.maps import CheckedMaps, Map
from sklearn_degu.sequences import dinucleotide_shuffle
from sklearn_degu.sequences._arguments import RandomState, as_generator
from sklearn_degu.sequences._one_hot import check_one_hot_shape, column_codes

# Layers whose products of inputs have no DeepLIFT rule.
_WITHOUT_RULE = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Bilinear)

# Points of the quadrature through the readout, a small part of the work.
_READOUT_POINTS = 32

# Which part of the largest difference in output may be missing: more is no rounding.
_TOLERANCE = 0.01

# tangermeme's hooks share one switch in a process.
_ONE_AT_A_TIME = threading.Lock()


def deep_lift_shap(
    estimator: Any,
    X: ArrayLike,
    *,
    target: int = 0,
    head: str = "mean",
    references: ArrayLike | None = None,
    n_references: int = 20,
    correct_gradients: bool = True,
    return_deltas: bool = False,
    batch_size: int | None = None,
    random_state: RandomState = None,
    verbose: int = 0,
) -> Map | CheckedMaps:
    r"""Return what every base contributes by DeepLIFT with several references [1]_ [2]_.

    Multipliers :math:`m` lead from the difference between a sequence and a reference *r* to that
    of their outputs, by the rescale rule. Base *j* at a position contributes, or would contribute
    if it were there (its *hypothetical* contribution),

    .. math:: a_j = \frac{1}{R} \sum_r \sum_c (e_{j,c} - r_c) \, m^{(r)}_c

    Parameters
    ----------
    estimator, X, target, head, verbose
        As in :func:`saliency`.
    references : array-like of shape (n_sequences, n_references, 4, length) or \
            (n_references, 4, length), default=None
        One-hot sequences to compare with. None shuffles each sequence, keeping its dinucleotides.
    n_references : int, default=20
        Number of shuffles of a sequence.
    correct_gradients : bool, default=True
        Whether to subtract the mean over the four bases at every position, as in
        :func:`saliency`. Corrected contributions no longer add up to the difference in output.
    return_deltas : bool, default=False
        Whether to return the convergence deltas too.
    batch_size : int, default=None
        Pairs of a sequence and a reference that pass through the net at a time, but at least
        those of one sequence. None chooses by the device.
    random_state : int, RandomState instance, Generator or None, default=None
        Decides the shuffles. They do not depend on ``batch_size``.

    Returns
    -------
    maps : ndarray of float32 of shape (n_sequences, 4, length)
        Hypothetical contributions in y's units; :func:`observed_contributions` takes those of
        the bases that are there.
    deltas : ndarray of shape (n_sequences, n_references)
        What the contributions before correction lack to add up to the difference in output
        between sequence and reference. Only with ``return_deltas=True``, in a NamedTuple.

    Raises
    ------
    ImportError
        If tangermeme is not installed.
    TypeError, ValueError
        If the estimator, X or a parameter is not usable, or the net has layers that DeepLIFT has
        no rule for, such as LSTM.

    Warns
    -----
    RuntimeWarning
        If a delta is larger than 1 % of the largest difference in output: the net computes
        something, such as ``torch.nn.functional.relu``, that is no layer with a rule.

    Notes
    -----
    The rules of the layers are tangermeme's. How outputs of nets become deviations of members or
    exponentials of log-variances has a rule of its own: the integrated gradient of that step.

    References
    ----------
    .. [1] Shrikumar, Greenside and Kundaje, "Learning important features through propagating
       activation differences", ICML 2017.
    .. [2] Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017.
    """
    import_extra("tangermeme.deep_lift_shap", "deep_lift_shap")
    explained = Explained.of(estimator, X, target=target, head=head)
    sequences = explained.X
    _prepare(explained.module)
    column_codes(sequences)
    drawn = _References.of(references, sequences, n_references, random_state)
    found = Contributions(sequences.shape, drawn.n, correct_gradients=correct_gradients)

    def compute(rows: slice) -> None:
        batch = explained.tensor(sequences[rows])
        others = explained.tensor(drawn.next(sequences[rows], rows))
        multipliers = _multipliers(explained, batch, others, pairs)
        with torch.no_grad():
            of_others = explained.values(others.flatten(0, 1)).reshape(others.shape[:2])
            outputs = explained.module(batch)
        found.fill(rows, multipliers, batch, others, outputs, of_others)

    n_numbers = sequences[0].size
    pairs = check_batch_size(batch_size, explained.device, n_numbers)
    with _ONE_AT_A_TIME:
        for_each_batch(
            compute,
            len(sequences),
            check_batch_size(batch_size, explained.device, n_numbers, rows_each=drawn.n),
            Progress("DeepLIFT/SHAP", len(sequences), verbose),
            threads=False,
        )
    found.warn(
        _TOLERANCE,
        "The net computes something that is no layer with a DeepLIFT rule, or a layer of its own; "
        "integrated_gradients explains any differentiable net.",
    )
    return CheckedMaps(found.maps, found.deltas) if return_deltas else found.maps


def _prepare(module: nn.Module) -> None:
    """Refuse layers without a rule, and let no layer overwrite its input, which rules need."""
    for layer in module.modules():
        if isinstance(layer, _WITHOUT_RULE):
            raise ValueError(
                f"DeepLIFT has no rule for the {type(layer).__name__} in this net: the "
                "contributions would be wrong. Use integrated_gradients, saliency or "
                "saturation_mutagenesis, which explain any differentiable net."
            )
        if getattr(layer, "inplace", False) is True:
            setattr(layer, "inplace", False)  # noqa: B010


def _multipliers(explained: Explained, X: Tensor, references: Tensor, pairs: int) -> Tensor:
    """Return the multipliers (n, n_references, 4, length) of tangermeme's rules."""
    # It has a module of the same name as the function.
    library = import_extra("tangermeme.deep_lift_shap", "deep_lift_shap")
    readout = library.integrated_gradients_op(_READOUT_POINTS, name="readout")
    rules = dict.fromkeys((EnsembleReadout, EvidentialReadout, StudentReadout), readout)
    with warnings.catch_warnings():
        # Deltas are looked at for all sequences together, and unknown bases are welcome.
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        multipliers: Tensor = library.deep_lift_shap(
            explained.module,
            X.cpu(),
            references=references.cpu(),
            batch_size=pairs,
            additional_nonlinear_ops=rules,
            raw_outputs=True,
            only_warn=True,
            device=explained.device,
        )
    return multipliers.to(X.device)


class _References:
    """References of sequences that are asked for in order, so that they depend on no batch."""

    def __init__(
        self, given: NDArray[Any] | None, n: int, generator: np.random.Generator | None
    ) -> None:
        self.n = n
        self._given = given
        self._generator = generator

    @classmethod
    def of(
        cls, references: ArrayLike | None, X: Sequences, n: int, random_state: RandomState
    ) -> _References:
        if references is None:
            if not is_whole(n) or n < 1:
                raise ValueError(f"n_references must be a positive integer, got {n!r}.")
            return cls(None, int(n), as_generator(random_state))
        given = np.asarray(references)
        if given.ndim == 3:
            given = np.broadcast_to(given, (len(X), *given.shape))
        if given.ndim != 4 or given.shape[0] != len(X) or given.shape[2:] != X.shape[1:]:
            raise ValueError(
                f"references must have shape (n_references, {X.shape[1]}, {X.shape[2]}), or that "
                f"for each of the {len(X)} sequences, got {np.shape(references)}."
            )
        if not given.shape[1]:
            raise ValueError("references must hold at least one reference, got none.")
        for of_one in given[:1] if np.ndim(references) == 3 else given:
            column_codes(check_one_hot_shape(of_one))
        return cls(given, given.shape[1], None)

    def next(self, X: Sequences, rows: slice) -> NDArray[Any]:
        """Return the references (n_rows, n, 4, length) of the rows that come next."""
        if self._given is not None:
            return self._given[rows]
        repeated = np.repeat(X, self.n, axis=0)
        shuffled = dinucleotide_shuffle(repeated, random_state=self._generator)
        return shuffled.reshape(len(X), self.n, *X.shape[1:])
