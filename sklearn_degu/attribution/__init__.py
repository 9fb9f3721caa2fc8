"""Which letters of a sequence a model looks at, and how far that can be trusted.

:func:`saliency`, :func:`integrated_gradients`, :func:`deep_lift_shap` and
:func:`saturation_mutagenesis` explain any fitted estimator of this package, a Pipeline that ends
in one, or a torch module, for any target and any head: the mean, or a deviation, which shows the
letters that make the model unsure. All return maps of shape (n_sequences, 4, length), what every
base contributes or would contribute; :func:`observed_contributions` takes the bases that are
there. :func:`ensemble_attribution` explains every member of an ensemble.

:mod:`~sklearn_degu.attribution.displays` draws maps. Integrated gradients, DeepLIFT/SHAP and the
pictures need the extra ``[attribution]``: ``pip install 'sklearn-degu[attribution]'``.
"""

from sklearn_degu.attribution.consistency import (
    leave_one_out,
    map_cosine,
    map_rmse,
    map_spearman,
    map_variability,
    top_overlap,
)
from sklearn_degu.attribution.deep_lift_shap import deep_lift_shap
from sklearn_degu.attribution.ensembles import EnsembleMaps, ensemble_attribution
from sklearn_degu.attribution.integrated_gradients import integrated_gradients
from sklearn_degu.attribution.maps import CheckedMaps, observed_contributions
from sklearn_degu.attribution.saliency import saliency
from sklearn_degu.attribution.saturation_mutagenesis import saturation_mutagenesis

__all__ = [
    "saliency",
    "integrated_gradients",
    "deep_lift_shap",
    "saturation_mutagenesis",
    "ensemble_attribution",
    "observed_contributions",
    "EnsembleMaps",
    "CheckedMaps",
    "map_rmse",
    "map_cosine",
    "map_spearman",
    "top_overlap",
    "leave_one_out",
    "map_variability",
]
