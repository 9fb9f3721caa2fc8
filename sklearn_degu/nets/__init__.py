"""How nets are trained and run: from memory, by skorch, each from one seed."""

from sklearn_degu.nets.averaging import WeightAverage
from sklearn_degu.nets.count_losses import MultinomialCountLoss
from sklearn_degu.nets.net import InMemoryNet
from sklearn_degu.nets.one_cycle import OneCycle

__all__ = ["InMemoryNet", "MultinomialCountLoss", "OneCycle", "WeightAverage"]
