"""Which classes and functions a model file may name.

A file names classes and functions; it never brings them. A name is looked up among those listed
here and those that the user passes, and nowhere else: no module is imported because a file says so.
The names are public ones where there are such, and part of the format: they stay when code moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from torch import nn

from sklearn_degu.exceptions import ModelFileError

# Objects of these may be in a file.
_INSTANCES = {
    "sklearn_degu": "EnsembleRegressor DistilledRegressor ConformalRegressor",
    "sklearn_degu.augmentation": (
        "Augment Deletion DinucleotideShuffle Insertion Inversion Mutation Noise PositionShuffle "
        "ReverseComplement SequenceEdits Translocation"
    ),
    "sklearn_degu.baselines": "MCDropoutRegressor EvidentialRegressor",
    "sklearn_degu.conformal.conformity": "Conformity TargetCalibration",
    "sklearn_degu.conformal.scores": "NormalizedScore",
    "sklearn_degu.datasets": "GroupHoldOut KmerGroupKFold",
    "sklearn_degu.nets": "InMemoryNet OneCycle WeightAverage",
    "sklearn_degu.profiles": "BinnedProfileRegressor",
    "sklearn_degu.quantiles": "GaussianQuantileRegressor",
    "sklearn_degu.recalibration": "RecalibratedRegressor",
    "sklearn_degu._deviation_maps": "ScaledDeviation MonotoneDeviation",
    "sklearn_degu._noise_map": "NoiseMap",
    "sklearn_degu.sequences": "SequenceEncoder",
    "sklearn_degu.shift": "LikelihoodRatio",
    "sklearn_degu.uncertainty": "Heads Head Identity LogVariance SoftplusDeviation",
    "sklearn_degu._links": "LogRate",
    "mapie.conformity_scores": (
        "AbsoluteConformityScore GammaConformityScore ResidualNormalisedScore"
    ),
    "numpy.random": "RandomState Generator",
    "sklearn.calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration",
    "sklearn.compose": "ColumnTransformer TransformedTargetRegressor",
    "sklearn.decomposition": "PCA TruncatedSVD",
    "sklearn.dummy": "DummyRegressor",
    "sklearn.feature_selection": "VarianceThreshold",
    "sklearn.frozen": "FrozenEstimator",
    "sklearn.gaussian_process": "GaussianProcessRegressor",
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter "
        "Matern PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel"
    ),
    "sklearn.impute": "MissingIndicator SimpleImputer",
    "sklearn.linear_model": (
        "BayesianRidge ElasticNet Lasso LinearRegression LogisticRegression LogisticRegressionCV "
        "Ridge RidgeCV"
    ),
    "sklearn.metrics._scorer": "_PassthroughScorer _Scorer",
    "sklearn.model_selection._split": "_CVIterableWrapper",
    "sklearn.model_selection": (
        "GridSearchCV GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeavePGroupsOut "
        "PredefinedSplit RepeatedKFold ShuffleSplit StratifiedKFold StratifiedShuffleSplit "
        "TimeSeriesSplit"
    ),
    "sklearn.multioutput": "MultiOutputRegressor",
    "sklearn.pipeline": "FeatureUnion Pipeline",
    "sklearn.preprocessing": (
        "Binarizer FunctionTransformer KBinsDiscretizer MaxAbsScaler MinMaxScaler Normalizer "
        "OneHotEncoder OrdinalEncoder PolynomialFeatures PowerTransformer QuantileTransformer "
        "RobustScaler StandardScaler"
    ),
    "skorch": "NeuralNet NeuralNetRegressor",
    "skorch.callbacks": (
        "EarlyStopping EpochScoring EpochTimer GradientNormClipping LRScheduler PassthroughScoring "
        "PrintLog"
    ),
    "skorch.dataset": "ValidSplit",
}

# These may be referred to, as parameters are: module=MLP, optimizer=Adam, sink=print.
_REFERENCES = {
    "builtins": "print",
    "numpy": "absolute exp exp2 expm1 log log10 log1p log2 negative sqrt square float32 float64",
    "sklearn.metrics": (
        "log_loss mean_absolute_error mean_squared_error r2_score root_mean_squared_error"
    ),
    "sklearn_degu.modules": "MLP DeepSTARR DreamRNN MPRAnn ProfileNet ResidualBind",
    "sklearn_degu.nets": "MultinomialCountLoss",
    "sklearn_degu.nets.count_losses": "RateLoss",
    "sklearn_degu.nets.data": "InMemoryBatches InMemoryDataset",
    "sklearn_degu.nets.evidential": "EvidentialLoss",
    "sklearn_degu.nets.losses": (
        "BetaGaussianLoss GaussianLoss LaplaceLoss ReplicateLoss SampledTeacherLoss WeightedLoss"
    ),
    "sklearn_degu.sequences": "dinucleotide_shuffle mutate recombine reverse_complement shuffle",
    "sklearn_degu.shift": "penultimate_features",
    "sklearn_degu.shift._features": "_as_it_is kmer_counts",
    "skorch.dataset": "Dataset",
    "skorch.utils": "noop",
    "torch.nn": (
        "BCEWithLogitsLoss GELU HuberLoss L1Loss LeakyReLU MSELoss PoissonNLLLoss ReLU SiLU "
        "SmoothL1Loss Tanh"
    ),
    "torch.optim": "Adadelta Adagrad Adam AdamW Adamax ASGD NAdam RAdam RMSprop Rprop SGD",
    "torch.optim.lr_scheduler": (
        "CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR LinearLR "
        "MultiStepLR OneCycleLR ReduceLROnPlateau StepLR"
    ),
    "torch.utils.data": "DataLoader",
}


@cache
def allow_list() -> Mapping[str, Any]:
    """Return the listed classes and functions by their names in a file."""
    # Imported here and not above, so that `import sklearn_degu` stays quick.
    return {**_found(_INSTANCES), **_found(_REFERENCES)}


@cache
def instantiable() -> frozenset[str]:
    """Return the names of those whose objects may be in a file."""
    return frozenset(_found(_INSTANCES))


def _found(listed: Mapping[str, str]) -> dict[str, Any]:
    return {
        f"{module}.{name}": getattr(import_module(module), name)
        for module, names in listed.items()
        for name in names.split()
    }


@cache
def _names_by_identity() -> Mapping[int, str]:
    return {id(thing): name for name, thing in allow_list().items()}


def name_of(thing: Any, place: str) -> str:
    """Return the name of a class or function in a file.

    Raises
    ------
    ModelFileError
        If it has no name by which it could be found again, such as a lambda.
    """
    listed = _names_by_identity().get(id(thing))
    if listed is not None:
        return listed
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str)) or "<" in name:
        raise ModelFileError(
            f"{place} is {thing!r}, which has no name by which load could be told of it. Define "
            "it at the top of a module, with a name, instead of as a lambda or inside a function."
        )
    return f"{module}.{name}"


class Names:
    """The classes and functions that one file may name.

    Parameters
    ----------
    trusted : iterable or mapping
        Classes and functions of the user's, or a mapping from their names in the file to them.

    Raises
    ------
    TypeError
        If something in it is neither a class nor a function.
    """

    def __init__(self, trusted: Iterable[Any] | Mapping[str, Any] = ()) -> None:
        named = trusted if isinstance(trusted, Mapping) else _by_name(trusted)
        for name, thing in named.items():
            if not callable(thing):
                raise TypeError(
                    f"trusted must hold classes and functions; got {thing!r} for {name!r}."
                )
        self._trusted = dict(named)
        self._known = {**named, **allow_list()}

    def check(self, names: Iterable[str]) -> None:
        """Raise if a file needs other classes and functions.

        Raises
        ------
        ModelFileError
            With all that are missing.
        """
        missing = [name for name in names if name not in self._known]
        if missing:
            listed = ", ".join(missing)
            arguments = ", ".join(name.rpartition(".")[2] for name in missing)
            raise ModelFileError(
                f"The file needs what is not on the list of sklearn-degu: {listed}. If you know "
                f"where it comes from and trust that code, pass trusted=[{arguments}], or "
                "trusted={name: class} for what goes by another name here."
            )

    def reference(self, name: str) -> Any:
        """Return a class or function.

        Raises
        ------
        ModelFileError
            If it is not on the list.
        """
        self.check([name])
        return self._known[name]

    def instantiable(self, name: str) -> type:
        """Return a class whose objects may be in a file.

        Raises
        ------
        ModelFileError
            If it is not on the list, or may only be referred to.
        """
        found = self.reference(name)
        allowed = name in instantiable() or (
            name in self._trusted and name not in allow_list() and isinstance(found, type)
        )
        if not allowed or (issubclass(found, nn.Module) and name not in instantiable()):
            raise ModelFileError(f"The file holds an object of {name}, which is not allowed.")
        return found  # type: ignore[no-any-return]


def _by_name(trusted: Iterable[Any]) -> dict[str, Any]:
    return {name_of(thing, "An entry of trusted"): thing for thing in trusted}
