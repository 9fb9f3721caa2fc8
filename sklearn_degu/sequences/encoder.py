"""The transformer that turns DNA strings into one-hot arrays."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_degu._numbers import is_whole
from sklearn_degu.sequences._alignment import align, check_lengths, common_length
from sklearn_degu.sequences._batches import row_batches
from sklearn_degu.sequences._one_hot import (
    BASES,
    check_one_hot_shape,
    codes_to_strings,
    column_codes,
    write_one_hot,
)
from sklearn_degu.sequences._strings import as_rows, read_batches

_CHOICES = {
    "unknown": ("error", "uniform", "zero"),
    "pad": ("both", "error", "left", "right"),
    "trim": ("both", "error", "left", "right"),
}


# The output is three-dimensional: no DataFrame can hold it, so `set_output` is not offered.
class SequenceEncoder(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Encode DNA strings as one-hot arrays.

    Each string of A, C, G and T, in either case, becomes four rows of zeros and ones, one a base:
    `n` strings of one length become an array of shape `(n, 4, length)`, the layout of sequence
    networks. The letter N stands for an unknown base; any other letter is refused.

    All sequences must have the length seen in :meth:`fit`, unless `pad` or `trim` say how others
    are to be brought to it.

    Parameters
    ----------
    unknown : {"zero", "uniform", "error"}, default="zero"
        What becomes of N: 0 in every channel, 0.25 in every channel (the array is then float32),
        or an error.

    length : int, default=None
        The number of positions of the output. By default it is learnt in :meth:`fit`: the length
        that all sequences share, the longest if `pad` is on, the shortest if only `trim` is on.

    pad : {"error", "left", "right", "both"}, default="error"
        The side on which shorter sequences are filled with columns of zeros, whatever `unknown`
        says of N. With "both" the sequence lies in the middle, an odd column at the right.
        With "error" shorter sequences are refused.

    trim : {"error", "left", "right", "both"}, default="error"
        The side from which longer sequences are cut. With "both" the middle is kept, an odd base
        cut at the right. With "error" longer sequences are refused.

    Attributes
    ----------
    length_ : int
        The number of positions of the output.

    See Also
    --------
    sklearn.preprocessing.OneHotEncoder : Encode tabular categories.

    Notes
    -----
    Sequences are a vector of strings, not a table: there are no input features to count or name,
    so `n_features_in_` and `feature_names_in_` are not set, as in
    :class:`~sklearn.feature_extraction.text.CountVectorizer`.

    Examples
    --------
    >>> from sklearn_degu.sequences import SequenceEncoder
    >>> encoder = SequenceEncoder()
    >>> X = encoder.fit_transform(["ACGT", "ttNa"])
    >>> X.shape
    (2, 4, 4)
    >>> X[1]
    array([[0, 0, 0, 1],
           [0, 0, 0, 0],
           [0, 0, 0, 0],
           [1, 1, 0, 0]], dtype=uint8)
    >>> encoder.inverse_transform(X)
    array(['ACGT', 'TTNA'], dtype='<U4')

    Sequences of several lengths, brought to the longest:

    >>> SequenceEncoder(pad="right").fit_transform(["ACGT", "AC"]).shape
    (2, 4, 4)
    """

    def __init__(
        self,
        *,
        unknown: str = "zero",
        length: int | None = None,
        pad: str = "error",
        trim: str = "error",
    ) -> None:
        self.unknown = unknown
        self.length = length
        self.pad = pad
        self.trim = trim

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the length of the sequences, and check them all.

        Parameters
        ----------
        X : array-like of str or bytes, of shape (n_sequences,) or (n_sequences, 1)
            DNA sequences.

        y : None
            Ignored; for compatibility with pipelines.

        Returns
        -------
        self : object
            The fitted encoder.

        Raises
        ------
        ValueError
            If a parameter is out of range, a sequence is missing or empty, holds a letter that is
            not allowed, or has a length that is not.
        TypeError
            If an entry is no string.
        """
        self._check_parameters()
        batches = read_batches(as_rows(X), allow_unknown=self.unknown != "error")
        lengths = np.concatenate([batch.lengths for batch in batches])
        sides = {"pad": self.pad, "trim": self.trim}
        length = common_length(lengths, **sides) if self.length is None else int(self.length)
        check_lengths(lengths, length, **sides, first_row=0)
        self.length_ = length
        return self

    def transform(self, X: Any) -> npt.NDArray[Any]:
        """Encode sequences.

        Parameters
        ----------
        X : array-like of str or bytes, of shape (n_sequences,) or (n_sequences, 1)
            DNA sequences.

        Returns
        -------
        X_encoded : ndarray of shape (n_sequences, 4, length_)
            One-hot columns, channels in the order A, C, G, T; uint8, or float32 with
            `unknown="uniform"`.

        Raises
        ------
        ValueError
            If a sequence is missing or empty, holds a letter that is not allowed, or has a length
            that is not.
        TypeError
            If an entry is no string.
        """
        check_is_fitted(self)
        rows = as_rows(X)
        dtype = np.float32 if self.unknown == "uniform" else np.uint8
        encoded = np.empty((len(rows), len(BASES), self.length_), dtype=dtype)
        sides = {"pad": self.pad, "trim": self.trim}
        for batch in read_batches(rows, allow_unknown=self.unknown != "error"):
            check_lengths(batch.lengths, self.length_, **sides, first_row=batch.rows.start)
            write_one_hot(align(batch, self.length_, **sides), out=encoded[batch.rows])
        return encoded

    def inverse_transform(self, X: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """Decode one-hot arrays.

        Parameters
        ----------
        X : array-like of shape (n_sequences, 4, length_)
            One-hot columns of any numeric type.

        Returns
        -------
        sequences : ndarray of str, of shape (n_sequences,)
            Upper-case strings; columns of 0 or of 0.25, padding included, become N.

        Raises
        ------
        ValueError
            If X has another shape or a column that is neither one-hot nor unknown.
        TypeError
            If X does not hold numbers.
        """
        check_is_fitted(self)
        X = check_one_hot_shape(X)
        if X.shape[2] != self.length_:
            raise ValueError(
                f"X has {X.shape[2]} positions, expected {self.length_}, the length that this "
                "SequenceEncoder was fitted to."
            )
        sequences = np.empty(len(X), dtype=f"U{self.length_}")
        for batch in row_batches(len(X)):
            sequences[batch] = codes_to_strings(column_codes(X[batch], first_row=batch.start))
        return sequences

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Name the features of the flattened output, `X_encoded.reshape(n_sequences, -1)`.

        Parameters
        ----------
        input_features : None
            Ignored; for compatibility with pipelines.

        Returns
        -------
        feature_names_out : ndarray of str objects, of shape (4 * length_,)
            `"A_0", "A_1", ..., "T_{length_ - 1}"`.
        """
        check_is_fitted(self)
        names = [f"{base}_{position}" for base in BASES for position in range(self.length_)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Declare the input: a vector of strings."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_parameters(self) -> None:
        """Refuse parameters that are out of range."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if not (isinstance(value, str) and value in choices):
                raise self._parameter_error(name, f"a str among {{{str(choices)[1:-1]}}}")
        if self.length is not None and not (is_whole(self.length) and self.length >= 1):
            raise self._parameter_error("length", "an int in the range [1, inf) or None")

    def _parameter_error(self, name: str, expected: str) -> ValueError:
        """Phrase the error for a parameter as scikit-learn does."""
        return ValueError(
            f"The {name!r} parameter of SequenceEncoder must be {expected}. "
            f"Got {getattr(self, name)!r} instead."
        )
