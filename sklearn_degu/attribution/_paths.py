"""From multipliers between sequences and references to maps and their check."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sklearn_degu.attribution.maps import corrected

# Of outputs of nets that compute in float32, as a part of them.
_ROUNDING = 1e-5


class Contributions:
    """Maps and deltas of all sequences, filled batch by batch.

    Parameters
    ----------
    shape : tuple of int
        Shape (n, 4, length) of the maps.
    n_references : int
        References of a sequence.
    correct_gradients : bool
        Whether to subtract the mean over the bases.
    """

    def __init__(
        self, shape: tuple[int, ...], n_references: int, *, correct_gradients: bool
    ) -> None:
        self.maps = np.empty(shape, dtype=np.float32)
        self.deltas = np.empty((shape[0], n_references))
        self.differences = np.empty((shape[0], n_references))
        self.outputs = np.empty(shape[0])
        self._correct = correct_gradients

    def fill(
        self,
        rows: slice,
        multipliers: Tensor,
        X: Tensor,
        references: Tensor,
        outputs: Tensor,
        of_references: Tensor,
    ) -> None:
        r"""Take in the multipliers of some rows.

        A base *j* at a position would contribute
        :math:`\sum_c (e_{j,c} - r_c) m_c = m_j - \sum_c r_c m_c`, averaged over the references.

        Parameters
        ----------
        rows : slice
            Which sequences.
        multipliers, references : Tensor of shape (n_rows, n_references, 4, length)
            Of every pair of a sequence and a reference.
        X : Tensor of shape (n_rows, 4, length)
            The sequences.
        outputs : Tensor of shape (n_rows, 1)
            Outputs of the sequences.
        of_references : Tensor of shape (n_rows, n_references)
            Outputs of the references.
        """
        taken = (references * multipliers).sum(dim=2, keepdim=True)
        maps = _as_array((multipliers - taken).mean(dim=1))
        self.maps[rows] = corrected(maps) if self._correct else maps
        explained = ((X.unsqueeze(1) - references) * multipliers).sum(dim=(2, 3))
        self.deltas[rows] = _as_array(outputs - of_references - explained)
        self.differences[rows] = _as_array(outputs - of_references)
        self.outputs[rows] = _as_array(outputs[:, 0])

    def warn(self, tolerance: float, why: str) -> None:
        """Warn if contributions do not add up to the differences in output.

        Parameters
        ----------
        tolerance : float
            Which part of the largest difference may be missing.
        why : str
            What it may come from, and a remedy.
        """
        rounding = _ROUNDING * np.abs(self.outputs).max()
        limit = tolerance * np.abs(self.differences).max() + rounding
        wrong = np.abs(self.deltas) > limit
        if wrong.any():
            warnings.warn(
                f"The contributions of {int(wrong.any(axis=1).sum())} of {len(wrong)} sequences "
                "do not add up to the difference in output: "
                f"{np.abs(self.deltas).max():.3g} is missing at worst, where {limit:.3g}, "
                f"{tolerance:.0%} of the largest difference, is tolerated. {why}",
                RuntimeWarning,
                stacklevel=3,
            )


def _as_array(values: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.detach().cpu().double().numpy()
    return array
