"""Pictures of attribution maps.

Display classes in scikit-learn's form: ``from_estimator(estimator, X)`` explains a sequence and
draws, ``from_maps(maps, X)`` draws maps that are there, and ``plot`` draws again, elsewhere.
``row`` says which sequence, and ``positions`` which stretch of it; positions on the axis count
from 1. Logos need logomaker, and all pictures matplotlib, which the extra ``[attribution]`` brings:
``pip install 'sklearn-degu[attribution]'``.
"""

from sklearn_degu.attribution.displays.comparison import MapComparisonDisplay
from sklearn_degu.attribution.displays.logo import SequenceLogoDisplay
from sklearn_degu.attribution.displays.mutagenesis import MutagenesisDisplay

__all__ = ["SequenceLogoDisplay", "MutagenesisDisplay", "MapComparisonDisplay"]
