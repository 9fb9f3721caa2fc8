"""Network architectures, one a file.

Every architecture takes its sizes as parameters that the estimators fill in from the data:
``n_outputs`` always, and ``n_features`` (tabular nets) or ``n_channels`` and ``seq_len``
(sequence nets). A module of your own needs ``n_outputs`` and whichever of the others it uses; a
module that names ``seq_len`` or ``n_channels`` is given sequences of shape
``(n, n_channels, seq_len)``.
"""

from sklearn_degu.modules._layers import Dropout, Standardize
from sklearn_degu.modules.deepstarr import DeepSTARR
from sklearn_degu.modules.dream_rnn import DreamRNN
from sklearn_degu.modules.mlp import MLP
from sklearn_degu.modules.mprann import MPRAnn
from sklearn_degu.modules.one_hot import OneHotBlock
from sklearn_degu.modules.profile import ProfileNet
from sklearn_degu.modules.residualbind import ResidualBind

__all__ = [
    "MLP",
    "DeepSTARR",
    "DreamRNN",
    "Dropout",
    "MPRAnn",
    "OneHotBlock",
    "ProfileNet",
    "ResidualBind",
    "Standardize",
]
