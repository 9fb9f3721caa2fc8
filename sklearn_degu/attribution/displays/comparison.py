"""Maps of several models of one sequence, below each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_degu.attribution._explained import inner_model
from sklearn_degu.attribution.consistency import map_cosine
from sklearn_degu.attribution.displays._drawing import (
    OneMap,
    draw_logo,
    finish_positions,
    one_sequence,
    picture_width,
)
from sklearn_degu.attribution.ensembles import ensemble_attribution
from sklearn_degu.attribution.maps import Map
from sklearn_degu.attribution.saliency import saliency
from sklearn_degu.displays._drawing import import_pyplot, with_units
from sklearn_degu.distillation import DistilledRegressor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 1.05


class MapComparisonDisplay:
    """Logos of several models of one sequence, on one scale.

    Above each stands the model's name and the cosine of its map to the reference.

    Make one by :meth:`from_student` or :meth:`from_maps`.

    Parameters
    ----------
    maps : dict of str to OneMap
        The stretch of every model's map, by name.
    cosines : dict of str to float
        Cosine of each to the reference, over that stretch.
    reference : str
        Name of the reference.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_models,)
        The logos.
    figure_ : matplotlib Figure or SubFigure
        Figure with the axes.
    """

    def __init__(
        self, *, maps: Mapping[str, OneMap], cosines: Mapping[str, float], reference: str
    ) -> None:
        self.maps = maps
        self.cosines = cosines
        self.reference = reference

    def plot(
        self,
        figure: Figure | None = None,
        *,
        label: str = "contribution",
        units: str | None = None,
    ) -> MapComparisonDisplay:
        """Draw the picture.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, default=None
            Where to draw. None makes a new one.
        label : str, default="contribution"
            What the letters' heights are.
        units : str, default=None
            Their units.

        Returns
        -------
        display : MapComparisonDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib or logomaker is not installed.
        """
        pyplot = import_pyplot(type(self).__name__)
        first = next(iter(self.maps.values()))
        if figure is None:
            size = (picture_width(len(first.codes)), 0.5 + _HEIGHT * len(self.maps))
            figure = pyplot.figure(figsize=size, layout="constrained")
        self.figure_ = figure
        self.axes_ = figure.subplots(len(self.maps), 1, sharex=True, sharey=True, squeeze=False)[
            :, 0
        ]
        for ax, (name, one) in zip(self.axes_, self.maps.items(), strict=True):
            draw_logo(ax, one.codes, one.observed, one.start, type(self).__name__)
            ax.spines[["top", "right"]].set_visible(False)
            ax.set_title(self._title(name), loc="left", fontsize="medium", pad=2)
        heights = np.concatenate([one.observed for one in self.maps.values()])
        low, high = min(0.0, heights.min()), max(0.0, heights.max())
        self.axes_[0].set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
        finish_positions(self.axes_[-1], first)
        self.axes_[-1].set_xlabel("position")
        figure.supylabel(with_units(label, units), fontsize="medium")
        return self

    def _title(self, name: str) -> str:
        if name == self.reference:
            return name
        return f"{name}: cosine to {self.reference} {self.cosines[name]:.2f}"

    @classmethod
    def from_student(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        row: int = 0,
        positions: slice | None = None,
        n_members: int = 2,
        method: Callable[..., Map] = saliency,
        target: int = 0,
        figure: Figure | None = None,
        label: str = "contribution",
        units: str | None = None,
        **params: Any,
    ) -> MapComparisonDisplay:
        """Explain one sequence by a student, by its teacher, and by members of that.

        Parameters
        ----------
        estimator : DistilledRegressor or Pipeline
            Fitted student, or a Pipeline that ends in one.
        X : array-like of shape (n_sequences, 4, length) or (n_sequences,)
            Sequences, as the estimator reads them.
        row : int, default=0
            Which of them.
        positions : slice, default=None
            Which stretch of it, indices from 0. None is all.
        n_members : int, default=2
            How many of the teacher's members to draw.
        method : callable, default=saliency
            A method of this package.
        target : int, default=0
            Which column of y.
        figure, label, units
            As for :meth:`plot`.
        **params : dict
            Further parameters of the method.

        Returns
        -------
        display : MapComparisonDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If a library of the extra is not installed.
        TypeError
            If the estimator is no student.
        ValueError
            If X or a parameter is not usable.

        Notes
        -----
        A member is a part of the ensemble, so that its cosine is larger than that to the other
        members, which :func:`leave_one_out` gives; the student's needs no such caution.
        """
        import_pyplot(cls.__name__)
        student, sequence = inner_model(estimator, one_sequence(X, row))
        if not isinstance(student, DistilledRegressor):
            raise TypeError(
                "from_student compares a fitted DistilledRegressor with its teacher, got "
                f"{type(student).__name__}. For other models use from_maps."
            )
        params |= {"target": target}
        members = student.teacher_.member_modules()[:n_members]
        maps = {"ensemble": ensemble_attribution(method, student.teacher_, sequence, **params).mean}
        maps["student"] = method(student, sequence, **params)
        for number, member in enumerate(members, start=1):
            maps[f"member {number}"] = method(member, sequence, **params)
        return cls.from_maps(
            maps,
            sequence,
            positions=positions,
            reference="ensemble",
            figure=figure,
            label=label,
            units=units,
        )

    @classmethod
    def from_maps(
        cls,
        maps: Mapping[str, ArrayLike],
        X: ArrayLike,
        *,
        reference: str,
        row: int = 0,
        positions: slice | None = None,
        figure: Figure | None = None,
        **kwargs: Any,
    ) -> MapComparisonDisplay:
        """Draw maps that are there.

        Parameters
        ----------
        maps : dict of str to array-like of shape (n_sequences, 4, length)
            Maps of every model, by its name.
        X : array-like of shape (n_sequences, 4, length)
            The one-hot sequences that they explain.
        reference : str
            Name of the model to compare the others with.
        row : int, default=0
            Which sequence.
        positions : slice, default=None
            Which stretch of it, indices from 0. None is all.
        figure : matplotlib Figure or SubFigure, default=None
            Where to draw. None makes a new one.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : MapComparisonDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib or logomaker is not installed.
        ValueError
            If shapes do not match, or there is no such reference, row or stretch.
        """
        if reference not in maps:
            raise ValueError(f"reference={reference!r} is none of the maps {', '.join(maps)}.")
        cut = {name: OneMap.of(one, X, row, positions, name) for name, one in maps.items()}
        against = cut[reference].values
        cosines = {name: float(map_cosine(one.values, against)) for name, one in cut.items()}
        return cls(maps=cut, cosines=cosines, reference=reference).plot(figure, **kwargs)
