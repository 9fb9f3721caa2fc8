"""What is saved comes back: predictions bit by bit, parameters, and the same file again."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler

from sklearn_degu import (
    ConformalRegressor,
    DistilledRegressor,
    EnsembleRegressor,
    load,
    save,
)
from sklearn_degu.augmentation import Augment, Deletion, Mutation, Noise, ReverseComplement
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.datasets import GroupHoldOut, KmerGroupKFold
from sklearn_degu.nets import WeightAverage
from sklearn_degu.quantiles import GaussianQuantileRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.recipes import deepstarr_net, mlp_net
from sklearn_degu.sequences import SequenceEncoder, reverse_complement
from sklearn_degu.shift import estimate_likelihood_ratio
from tests.persistence.forge import WithPositions, first_base, sign_of_first
from tests.toys import TinyConv, plain_skorch_net, tiny_conv_net, tiny_ensemble, tiny_net

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def returned(tmp_path):
    """Return what comes back, after checking that it is saved as the same bytes again."""

    def save_and_load(obj, trusted=(), **params):
        first, second, third = (tmp_path / name for name in ("first", "second", "third"))
        save(obj, first, **params)
        save(obj, second, **params)
        loaded = load(first, trusted=trusted)
        save(loaded, third, **params)
        assert first.read_bytes() == second.read_bytes() == third.read_bytes()
        return loaded

    return save_and_load


def predictions(model, X):
    """Return all that a model says of X."""
    said = [model.predict(X)]
    if hasattr(model, "uncertainty_kinds_"):
        said += [model.predict(X, return_std=True, kind=k)[1] for k in model.uncertainty_kinds_]
    if hasattr(model, "predict_components"):
        said += model.predict_components(X).values()
    for method in ("predict_members", "predict_interval"):
        if hasattr(model, method):
            said += [*getattr(model, method)(X)]
    return said


def assert_equal(model, loaded, X):
    for expected, got in zip(predictions(model, X), predictions(loaded, X), strict=True):
        np.testing.assert_array_equal(got, expected)


MODELS = {
    "ensemble": lambda: tiny_ensemble(validation=0.2),
    "ensemble of the default net": lambda: EnsembleRegressor(mlp_net(max_epochs=2), 2),
    "named nets": lambda: EnsembleRegressor([("a", tiny_net()), ("b", plain_skorch_net())], 3),
    "heteroscedastic": lambda: tiny_ensemble(aleatoric="heteroscedastic"),
    "laplace": lambda: tiny_ensemble(aleatoric="heteroscedastic", likelihood="laplace"),
    "student": lambda: DistilledRegressor(tiny_ensemble(validation=ShuffleSplit(1))),
    "student of deviations": lambda: DistilledRegressor(tiny_ensemble(), target="std"),
    "dropout": lambda: MCDropoutRegressor(tiny_net(module__dropout=0.2), n_samples=3),
    "evidential": lambda: EvidentialRegressor(tiny_net()),
    "conformal": lambda: ConformalRegressor(tiny_ensemble(), confidence_level=[0.5, 0.6]),
    "conformal, absolute": lambda: ConformalRegressor(
        tiny_ensemble(), confidence_level=0.5, conformity_score="absolute"
    ),
    "conformal, gamma": lambda: ConformalRegressor(
        tiny_ensemble(), confidence_level=0.5, conformity_score="gamma"
    ),
    "conformal, residual": lambda: ConformalRegressor(
        tiny_ensemble(),
        confidence_level=0.5,
        conformity_score="residual_normalized",
        calibration=0.5,
        random_state=0,
    ),
    "conformal around a Gaussian process": lambda: ConformalRegressor(
        GaussianProcessRegressor(RBF() + WhiteKernel()), confidence_level=0.5
    ),
    "recalibrated": lambda: RecalibratedRegressor(tiny_ensemble(), calibration=0.5),
    "recalibrated by a curve": lambda: RecalibratedRegressor(
        tiny_ensemble(), method="isotonic", calibration=0.5
    ),
    "conformal around recalibrated": lambda: ConformalRegressor(
        RecalibratedRegressor(DistilledRegressor(tiny_ensemble())), confidence_level=0.5
    ),
    "pipeline": lambda: make_pipeline(
        SimpleImputer(), StandardScaler(), DistilledRegressor(tiny_ensemble())
    ),
    "columns": lambda: make_pipeline(
        ColumnTransformer([("pca", PCA(2), [0, 1, 2]), ("rest", "passthrough", slice(3, 6))]),
        tiny_ensemble(),
    ),
    "transformed target": lambda: TransformedTargetRegressor(
        tiny_ensemble(), func=np.log, inverse_func=np.exp
    ),
    "search": lambda: GridSearchCV(tiny_ensemble(), {"net__lr": [0.1, 0.01]}, cv=KFold(2)),
    "callbacks": lambda: tiny_ensemble(
        tiny_net(
            callbacks=[
                ("average", WeightAverage()),
                ("stop", EarlyStopping(monitor="train_loss", load_best=True)),
                ("rate", LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2)),
                ("clip", GradientNormClipping(1.0)),
            ],
            callbacks__stop__patience=2,
        )
    ),
    "other optimiser and loss": lambda: tiny_ensemble(
        tiny_net(optimizer=torch.optim.SGD, optimizer__momentum=0.9, criterion=torch.nn.HuberLoss)
    ),
    "ridge": Ridge,
}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())
def test_predictions_come_back_bit_by_bit(build, table, returned):
    X, y = table
    model = build().fit(X, y + 20)  # positive, as gamma scores demand
    assert_equal(model, returned(model), X)


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())
def test_an_unfitted_model_comes_back_with_its_parameters(build, returned):
    model = build()
    loaded, given = (
        {name: re.sub(" at 0x[0-9a-f]+|0x.*", "", str(value)) for name, value in params.items()}
        for params in (returned(model).get_params(), model.get_params())
    )
    assert loaded == given


def test_a_net_comes_back_in_float32(sequences, returned):
    model = tiny_ensemble(tiny_conv_net()).fit(*sequences)
    loaded = returned(model, trusted=[TinyConv])
    assert {p.dtype for p in loaded.estimators_[0].module_.parameters()} == {torch.float32}
    assert_equal(model, loaded, sequences[0])


def test_edits_of_the_training_come_back(sequences, returned):
    edits = [Deletion(max_length=4), Mutation(p=0.5), ReverseComplement(), Noise(0.1)]
    augment = Augment(edits, max_per_sequence=3, hard=True)
    model = tiny_ensemble(tiny_conv_net(), augment=augment, fine_tune_epochs=1).fit(*sequences)
    loaded = returned(model, trusted=[TinyConv])
    assert repr(loaded.augment) == repr(augment)
    assert_equal(model, loaded, sequences[0])
    again = clone(loaded).fit(*sequences).predict(sequences[0])
    np.testing.assert_allclose(again, model.predict(sequences[0]), rtol=1e-5)


def test_a_pipeline_from_strings_comes_back(strings, sequences, returned):
    net = deepstarr_net(max_epochs=2, module__width=0.05, callbacks=None)
    inner = make_pipeline(SequenceEncoder(pad="right", length=16), EnsembleRegressor(net, 2))
    model = ConformalRegressor(inner, confidence_level=0.5).fit(strings, sequences[1])
    assert_equal(model, returned(model), strings)


def test_joint_training_leaves_weights_that_come_back(table, returned):
    model = tiny_ensemble(strategy="joint", n_estimators=3).fit(*table)
    assert_equal(model, returned(model), table[0])


def test_what_replicates_taught_comes_back(table, returned):
    X, y = table
    replicates = y[:, np.newaxis] + np.random.default_rng(0).normal(size=(40, 3))
    model = DistilledRegressor(tiny_ensemble(aleatoric="replicates"))
    model.fit(X, replicates.mean(axis=1), replicates=replicates)
    loaded = returned(model)
    assert_equal(model, loaded, X)
    np.testing.assert_array_equal(loaded.teacher_.n_replicates_, model.teacher_.n_replicates_)
    kept, again = (m.teacher_.estimators_[0].criterion_.log_kappa for m in (model, loaded))
    assert again == kept


def test_a_student_of_sampled_members_comes_back(table, returned):
    model = DistilledRegressor(tiny_ensemble(n_estimators=3), n_sampled_members=2).fit(*table)
    assert_equal(model, returned(model), table[0])


def test_members_that_were_trained_elsewhere_come_back(table, returned):
    X, y = (values.astype(np.float32) for values in table)
    net = plain_skorch_net(module__n_features=6, module__n_outputs=1).fit(X, y[:, np.newaxis])
    model = EnsembleRegressor.from_fitted([net, net], input_shape=(6,))
    loaded = returned(model)
    assert_equal(model, loaded, X)
    assert loaded.estimators_[0] is loaded.estimators_[1]
    np.testing.assert_array_equal(loaded.estimators_[0].predict(X), net.predict(X))


def test_likelihood_ratios_come_back(table, returned):
    X, y = table
    ratio = estimate_likelihood_ratio(X[:20], X[20:], features=None, random_state=0)
    model = ConformalRegressor(tiny_ensemble(), confidence_level=0.5, likelihood_ratio=ratio)
    model.fit(X, y)
    assert_equal(model, returned(model), X)


def test_functions_of_the_user_come_back(table, returned):
    X, y = table
    model = ConformalRegressor(tiny_ensemble(), confidence_level=0.2, mondrian=sign_of_first)
    model.set_params(calibration=0.5, random_state=0).fit(X, y)
    loaded = returned(model, trusted=[sign_of_first])
    assert_equal(model, loaded, X)
    assert loaded.groups_ == model.groups_


def test_a_quantile_of_a_fitted_model_comes_back(table, returned):
    model = GaussianQuantileRegressor(tiny_ensemble().fit(*table), 0.9)
    np.testing.assert_array_equal(returned(model).predict(table[0]), model.predict(table[0]))


def test_buffers_that_a_module_computes_for_itself_are_computed_again(table, returned):
    model = tiny_ensemble(tiny_net(WithPositions)).fit(*table)
    assert_equal(model, returned(model, trusted=[WithPositions]), table[0])


def test_a_loaded_model_can_be_fitted_again(table, returned):
    X, y = table
    model = DistilledRegressor(tiny_ensemble(validation=0.2), random_state=0).fit(X, y)
    again = clone(returned(model)).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_a_loaded_model_remembers_what_it_has_seen(table, returned):
    X, y = table
    model = tiny_ensemble().fit(X[:20], y[:20])
    np.testing.assert_array_equal(returned(model).seen(X), model.seen(X))


def test_the_history_of_the_epochs_comes_back(table, returned):
    model = tiny_ensemble(plain_net := plain_skorch_net(), validation=0.2).fit(*table)
    loaded = returned(model)
    np.testing.assert_array_equal(loaded.history_, model.history_)
    losses = [net.history[:, "valid_loss"] for net in (model.estimators_[0], loaded.estimators_[0])]
    assert losses[0] == losses[1]
    assert loaded.estimators_[0].history[-1]["batches"] == []
    assert type(plain_net) is type(loaded.estimators_[0])


@pytest.mark.parametrize(
    "build",
    [
        lambda teacher: DistilledRegressor(tiny_ensemble(n_estimators=5)),
        lambda teacher: DistilledRegressor(FrozenEstimator(teacher)),
        lambda teacher: make_pipeline(
            StandardScaler(), DistilledRegressor(tiny_ensemble(n_estimators=5))
        ),
    ],
    ids=["own", "frozen", "in a pipeline"],
)
def test_a_student_saved_alone_loads_without_its_teacher(build, table, returned, tmp_path):
    X, y = table
    model = build(tiny_ensemble(n_estimators=5).fit(X, y)).fit(X, y)
    loaded = returned(model, teacher=False)
    assert_equal(model, loaded, X)
    student = loaded[-1] if hasattr(loaded, "steps") else loaded
    assert not hasattr(student, "teacher_")
    assert isinstance(student.teacher, EnsembleRegressor)
    assert not hasattr(student.teacher, "estimators_")
    save(model, tmp_path / "whole")
    assert (tmp_path / "first").stat().st_size < 0.5 * (tmp_path / "whole").stat().st_size
    clone(loaded).fit(X, y)


def test_a_frozen_teacher_is_stored_once(table, returned):
    X, y = table
    model = DistilledRegressor(FrozenEstimator(tiny_ensemble().fit(X, y))).fit(X, y)
    loaded = returned(model)
    assert loaded.teacher.estimator is loaded.teacher_


def test_requests_of_metadata_come_back(table, returned):
    with config_context(enable_metadata_routing=True):
        model = tiny_ensemble().set_fit_request(sample_weight=True, groups="chromosomes")
        loaded = returned(make_pipeline(StandardScaler(), model).fit(*table))
        requested = loaded[-1].get_metadata_routing().fit.requests
    assert requested["sample_weight"] is True
    assert requested["groups"] == "chromosomes"


def test_folders_of_the_machine_stay_behind(tmp_path, returned):
    teacher = tiny_ensemble(checkpoint_dir=tmp_path / "checkpoints")
    model = make_pipeline(StandardScaler(), teacher, memory=str(tmp_path / "cache"))
    loaded = returned(model)
    assert loaded.memory is None
    assert loaded[-1].checkpoint_dir is None
    assert model[-1].checkpoint_dir == tmp_path / "checkpoints"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**70,
        0.1,
        -0.0,
        float("inf"),
        float("nan"),
        "ü\udcff\n",
        b"\0\xff",
        (1, [2, {"a": (3,)}]),
        {1: "a", (2, "b"): None},
        {"b", "a"},
        frozenset({3}),
        slice(1, None, 2),
        Fraction(9, 10),
        np.float32(0.1),
        np.int8(-3),
        np.str_("x"),
        np.bool_(True),
        np.dtype("float32"),
        torch.float64,
        torch.device("cpu"),
        torch.optim.Adam,
        np.log1p,
        reverse_complement,
        np.arange(6).reshape(2, 3).T,
        np.array(["a", "ü"]),
        np.array([b"a"]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.array([1 + 2j]),
        np.array([["a", None]], dtype=object),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.zeros((0, 3)),
        np.array(3.0),
        np.arange(3, dtype=">i4"),
        torch.arange(3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_parameters_come_back(value, returned):
    loaded = returned(FunctionTransformer(kw_args=value)).kw_args
    assert type(loaded) is type(value)
    assert repr(loaded) == repr(value) or np.array_equal(loaded, value)
    if isinstance(value, np.ndarray):
        assert loaded.flags.c_contiguous == value.flags.c_contiguous
        assert loaded.flags.writeable


@settings(max_examples=50, deadline=None)
@given(
    value=arrays.arrays(
        arrays.scalar_dtypes(),
        arrays.array_shapes(min_dims=0, min_side=0, max_side=3),
    )
)
def test_arrays_of_any_type_come_back(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("array") / "array"
    save(value, path)
    loaded = load(path)
    assert loaded.dtype == value.dtype.newbyteorder("<")
    assert (loaded.shape, loaded.tobytes()) == (value.shape, value.astype(loaded.dtype).tobytes())


@pytest.mark.parametrize("legacy", [True, False])
def test_generators_go_on_where_they_were(legacy, returned):
    generator = np.random.RandomState(3) if legacy else np.random.default_rng(3)
    generator.normal(size=3)
    loaded = returned(ShuffleSplit(random_state=generator)).random_state
    np.testing.assert_array_equal(loaded.normal(size=9), generator.normal(size=9))


@pytest.mark.parametrize(
    "splitter",
    [GroupKFold(3), GroupHoldOut({"chr8", "chr9"}), KmerGroupKFold(3, region=slice(2, 9))],
    ids=lambda value: type(value).__name__,
)
def test_splitters_come_back(splitter, returned):
    loaded = returned(EnsembleRegressor(validation=splitter)).validation
    assert vars(loaded) == vars(splitter)


def test_encoders_of_categories_come_back(returned):
    X = np.array([["a", 1], ["b", 2]], dtype=object)
    encoder = OneHotEncoder(sparse_output=False).fit(X)
    np.testing.assert_array_equal(returned(encoder).transform(X), encoder.transform(X))


def test_groups_of_strings_come_back(strings, sequences, returned):
    model = ConformalRegressor(
        make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net())),
        confidence_level=0.1,
        mondrian=first_base,
        calibration=0.5,
        random_state=0,
    ).fit(strings, sequences[1])
    assert_equal(model, returned(model, trusted=[TinyConv, first_base]), strings)
