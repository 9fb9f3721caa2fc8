"""What bad input gets: an error that says how to mend it, before any training."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.model_selection import KFold
from skorch import NeuralNetRegressor
from skorch.callbacks import Checkpoint, EarlyStopping, LRScheduler, TrainEndCheckpoint
from torch import nn

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu._inputs import is_dna
from sklearn_degu.nets.losses import WeightedLoss
from sklearn_degu.recipes import deepstarr_net, mlp_net, residualbind_net
from tests.noisy import replicates_of
from tests.toys import LENGTH, plain_skorch_net, tiny_conv_net, tiny_ensemble, tiny_net


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    """Fail every test of this file in which a net is trained to the end of an epoch."""
    monkeypatch.setattr(
        "skorch.NeuralNet.run_single_epoch", lambda *args, **kw: pytest.fail("a net was trained")
    )
    monkeypatch.setattr(
        "sklearn_degu.nets.net.InMemoryNet.run_single_epoch",
        lambda *args, **kw: pytest.fail("a net was trained"),
    )


ESTIMATORS = [tiny_ensemble(), DistilledRegressor(tiny_ensemble())]


def changed(array, value):
    array = np.array(array, dtype=float)
    array[3] = value
    return array


class TestX:
    @pytest.mark.parametrize("estimator", ESTIMATORS)
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (lambda X: changed(X, np.nan), "Input X contains NaN"),
            (lambda X: changed(X, np.inf), "Input X contains infinity"),
            (lambda X: X[:, 0], "Expected 2D array, got 1D array"),
            (lambda X: X.reshape(40, 1, 2, 3), r"\(n_samples, channels, length\), got \(40, 1"),
            (lambda X: [[1.0, 2.0], [3.0]], "ragged: its samples differ in shape"),
            (lambda X: X[:0], "Found array with 0 sample"),
            (lambda X: X[:, :0], "0 feature"),
            (lambda X: np.full((40, 2), "ACGT"), "Encode DNA sequences first"),
            (lambda X: X[:39], "inconsistent numbers of samples"),
        ],
    )
    def test_of_no_use_is_refused(self, table, estimator, bad, message):
        X, y = table
        with pytest.raises(ValueError, match=message):
            estimator.fit(bad(X), y)

    @pytest.mark.parametrize("sparse", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
    def test_sparse_is_refused(self, table, sparse):
        X, y = table
        with pytest.raises(TypeError, match="Sparse data was passed for X"):
            tiny_ensemble().fit(sparse(X), y)

    @pytest.mark.parametrize("net", [tiny_conv_net(), deepstarr_net(callbacks=None)])
    def test_channels_last_is_told_to_transpose(self, sequences, net):
        X, y = sequences
        with pytest.raises(ValueError, match=r"pass X.transpose\(0, 2, 1\)"):
            EnsembleRegressor(net, 2).fit(X.transpose(0, 2, 1), y)

    def test_features_that_are_no_flattened_sequences_are_refused(self, sequences):
        X, y = sequences
        with pytest.raises(ValueError, match="47 features are no multiple of 4"):
            EnsembleRegressor(tiny_conv_net(), 2).fit(X.reshape(40, -1)[:, 1:], y)

    @pytest.mark.parametrize(
        "strings_as",
        [
            list,
            np.asarray,
            pd.Series,
            lambda s: pd.DataFrame({"seq": s}),
            lambda s: s[0],
            np.c_.__getitem__,
        ],
    )
    def test_strings_are_told_of_the_encoder(self, strings, strings_as):
        with pytest.raises(ValueError, match=r"put SequenceEncoder\(\) before the estimator"):
            tiny_ensemble(tiny_conv_net()).fit(strings_as(strings), np.arange(40))

    def test_validation_strings_are_told_of_transform_input(self, sequences, strings):
        X, y = sequences
        with pytest.raises(ValueError, match=r"X_val cannot .* transform_input=\['X_val'"):
            tiny_ensemble(tiny_conv_net()).fit(X, y, X_val=strings, y_val=y)

    @pytest.mark.parametrize(
        ("net", "length", "least"), [(deepstarr_net(), 15, 16), (residualbind_net(), 24, 25)]
    )
    def test_sequences_too_short_for_the_architecture_are_refused(self, net, length, least):
        X = np.zeros((10, 4, length), dtype=np.uint8)
        with pytest.raises(ValueError, match=f"at least {least} positions, got seq_len={length}"):
            EnsembleRegressor(net, 1, validation=0.5).fit(X, np.arange(10))

    def test_one_sample_with_batch_norm_is_refused(self):
        ensemble = EnsembleRegressor(deepstarr_net(callbacks=None), 1)
        with pytest.raises(ValueError, match=r"1 sample \(n_samples = 1\) .* batch norm"):
            ensemble.fit(np.zeros((1, 4, 16)), [1.0])


class TestY:
    @pytest.mark.parametrize("estimator", ESTIMATORS)
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (lambda y: None, "the target y is None"),
            (lambda y: y[:39], "inconsistent numbers of samples"),
            (lambda y: changed(y, np.inf), "Input y contains infinity"),
            (lambda y: changed(y, np.nan), "1 rows without any measurement .* row 3"),
            (lambda y: changed(np.c_[y, y], np.nan), "the student can use their sequences"),
            (lambda y: np.full((40, 2), np.nan), "40 rows without any measurement"),
            (lambda y: y.reshape(40, 1, 1), r"\(40, 1, 1\), profiles .* takes no n_positions"),
            (lambda y: y.reshape(40, 1, 1, 1), r"got \(40, 1, 1, 1\)"),
            (lambda y: np.full(40, "high"), "could not convert string to float"),
        ],
    )
    def test_of_no_use_is_refused(self, table, estimator, bad, message):
        X, y = table
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, bad(y))


class TestSampleWeight:
    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (np.ones(39), r"\(39,\), expected \(40,\)"),
            (np.ones((40, 1)), r"\(40, 1\), expected \(40,\)"),
            (np.full(40, -1.0), "not negative"),
            (np.full(40, np.nan), "must be finite"),
            (np.zeros(40), "zero for every sample"),
        ],
    )
    def test_of_no_use_is_refused(self, table, weight, message):
        with pytest.raises(ValueError, match=message):
            tiny_ensemble().fit(*table, sample_weight=weight)

    def test_groups_of_another_length_are_refused(self, table):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            tiny_ensemble().fit(*table, groups=np.arange(39))


class TestValidationRows:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"X_val": np.zeros((4, 5)), "y_val": np.zeros(4)}, "X_val cannot .* 5 features"),
            ({"X_val": np.zeros((4, 2, 3)), "y_val": np.zeros(4)}, r"samples of shape \(2, 3\)"),
            ({"X_val": np.zeros((4, 6)), "y_val": np.zeros(3)}, "inconsistent numbers"),
            ({"X_val": np.zeros((4, 6)), "y_val": np.zeros((4, 2))}, "y_val has 2 targets"),
            ({"X_val": np.full((4, 6), np.nan), "y_val": np.zeros(4)}, "X_val .* contains NaN"),
            ({"X_val": np.zeros((4, 6)), "y_val": np.full(4, np.nan)}, "without any measurement"),
            ({"X_val": np.zeros((4, 6))}, "need both X_val and y_val"),
            ({"y_val": np.zeros(4)}, "need both X_val and y_val"),
            ({"sample_weight_val": np.ones(4)}, "need both X_val and y_val"),
            ({"replicates_val": np.ones((4, 3))}, "need both X_val and y_val"),
            (
                {"X_val": np.zeros((4, 6)), "y_val": np.zeros(4), "sample_weight_val": [1.0]},
                r"\(1,\), expected \(4,\)",
            ),
        ],
    )
    def test_that_do_not_fit_are_refused(self, table, given, message):
        with pytest.raises(ValueError, match=message):
            tiny_ensemble().fit(*table, **given)


def of_replicates(**params):
    return tiny_ensemble(aleatoric="replicates", **params)


class TestReplicates:
    """They are made here from y, with the shape (40, 3)."""

    @pytest.mark.parametrize("estimator", [of_replicates(), DistilledRegressor(of_replicates())])
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (
                lambda R: None,
                r"none were passed: fit\(X, y, replicates=...\). Without .* use aleat",
            ),
            (
                lambda R: R[:39],
                r"shape \(39, 3\), but y, with 40 rows and 1 targets, needs \(40, n_r",
            ),
            (lambda R: R.T, r"shape \(3, 40\)"),
            (lambda R: R[:, 0], r"shape \(40,\)"),
            (lambda R: R[:, :, np.newaxis], r"shape \(40, 3, 1\)"),
            (lambda R: R[:, np.newaxis, :, np.newaxis], r"shape \(40, 1, 3, 1\)"),
            (lambda R: np.stack([R, R], axis=1), r"shape \(40, 2, 3\)"),
            (lambda R: R[:, :1], "one measurement for every row, which has no spread"),
            (lambda R: R[:, np.newaxis, :1], "learn the noise by aleatoric='heteroscedastic'"),
            (lambda R: changed(R, np.inf), "Input replicates contains infinity"),
            (lambda R: np.full((40, 3), "high"), "could not convert string to float"),
            (lambda R: [*R[:39].tolist(), [1.0]], "replicates is ragged: its samples differ"),
            (lambda R: np.full((40, 3), np.nan), "no training row with two replicates or more"),
            (lambda R: np.where([True, False, False], R, np.nan), "Target 0 has no training row"),
            (lambda R: np.tile(R[:, :1], 3), "target 0 agree exactly .* different measurements"),
            (lambda R: np.full((40, 3), 0.1), "they have no noise to learn"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:.*fewer than two replicates")
    def test_of_no_use_are_refused(self, table, estimator, bad, message):
        X, y = table
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y, replicates=bad(replicates_of(y)))

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (lambda R: R[:, 0], r"shape \(40, 3\), .* needs \(40, 2, n_replicates\); a missing"),
            (lambda R: R.transpose(0, 2, 1), r"shape \(40, 3, 2\)"),
            (lambda R: R.reshape(40, 6), r"shape \(40, 6\)"),
            (lambda R: R[:, :1], r"shape \(40, 1, 3\)"),
            (lambda R: R * np.array([[np.nan], [1]]), "Target 0 has no training row"),
            (lambda R: R * np.array([[1], [np.nan]]), "Target 1 has no training row"),
            (lambda R: R * np.array([[1], [0]]), "target 1 agree exactly"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:.*fewer than two replicates")
    def test_of_several_targets_need_three_axes(self, table, bad, message):
        X, y = table
        with pytest.raises(ValueError, match=message):
            of_replicates().fit(X, np.c_[y, -y], replicates=bad(replicates_of(np.c_[y, -y])))

    def test_that_only_rows_held_out_have_are_refused(self, table):
        X, y = table
        replicates = replicates_of(y)
        replicates[10:] = np.nan
        with pytest.raises(ValueError, match="no training row with two replicates"), pytest.warns():
            of_replicates(validation=KFold(4)).fit(X, y, replicates=replicates)

    def test_of_validation_rows_are_checked_against_these(self, table):
        X, y = table
        given = {"X_val": X[:4], "y_val": y[:4], "replicates": replicates_of(y)}
        with pytest.raises(ValueError, match=r"X_val cannot .* replicates has shape \(5, 3\)"):
            of_replicates().fit(X, y, replicates_val=replicates_of(y[:5]), **given)

    def test_of_no_use_are_refused_also_where_they_are_not_used(self, table):
        X, y = table
        with pytest.raises(ValueError, match="replicates has shape"):
            tiny_ensemble().fit(X, y, replicates=replicates_of(y)[:39])


class NoOutputs(nn.Module):
    def __init__(self, n_features):
        super().__init__()


class TestNet:
    @pytest.mark.parametrize("net", ["net", mlp_net, nn.Linear(6, 1)])
    def test_must_be_a_skorch_net(self, table, net):
        with pytest.raises(TypeError, match=r"must be a skorch NeuralNet, such as recipes"):
            EnsembleRegressor(net).fit(*table)

    @pytest.mark.parametrize(
        ("net", "message"),
        [
            (NeuralNetRegressor("MLP", train_split=None), "must be a class of torch.nn.Module"),
            (
                NeuralNetRegressor(nn.Linear(6, 1), train_split=None),
                "Pass the class, module=Linear, .*from_fitted",
            ),
            (
                NeuralNetRegressor(NoOutputs, train_split=None),
                "NoOutputs cannot take n_outputs.* Give its __init__ a parameter n_outputs",
            ),
            (plain_skorch_net(train_split=3), "Set train_split=None .* validation= parameter"),
            (tiny_net(module__n_outputs=3), "sets module__n_outputs=3, but the data need 1"),
            (tiny_net(module__n_features=3), "Leave module__n_features out"),
            (tiny_net(module__hiden=(3,)), "did you mean module__hidden"),
            (tiny_net(module__qqq=3), "Unknown parameter module__qqq for MLP. Valid: module__n_"),
            (tiny_net(optimizer__weight_decai=1), "did you mean optimizer__weight_decay"),
            (tiny_net(criterion__reductoin="sum"), "did you mean criterion__reduction"),
            (tiny_net(criterion=nn.MSELoss()), "Pass the class, criterion=MSELoss"),
            (tiny_net(criterion=nn.CosineEmbeddingLoss.__call__), "takes reduction='none'"),
            (tiny_net(max_epoch=3), "max_epoch"),
            (tiny_net(iterator_train__num_workers=2), "belongs to torch's DataLoader"),
            (tiny_net(batch_size=0), "batch_size must be a positive integer, or -1"),
            (tiny_net(iterator_train__batch_size=1.5), "batch_size must be a positive integer"),
            (tiny_net(callbacks=LRScheduler()), "callbacks must be a list"),
            (
                deepstarr_net(callbacks__early_stoping__patience=3),
                "did you mean callbacks__early_stopping__patience",
            ),
            (tiny_net(callbacks__qqq__patience=3), "no callback 'qqq'. Callbacks: epoch_timer"),
            (tiny_net(device="cuda:64"), "asks for device='cuda:64', but torch finds"),
            (tiny_net(device="graphics"), "which torch does not know"),
        ],
    )
    def test_of_no_use_is_refused_with_the_fix(self, table, net, message):
        with pytest.raises(ValueError, match=message):
            EnsembleRegressor(net, 2).fit(*table)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_a_gpu_that_is_absent_is_named(self, table):
        with pytest.raises(ValueError, match="device='cuda', but torch finds 0 CUDA devices"):
            EnsembleRegressor(tiny_net(device="cuda"), 2).fit(*table)

    @pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is Apple's GPU")
    def test_apples_gpu_that_is_absent_is_named(self, table):
        with pytest.raises(ValueError, match="device='mps'"):
            EnsembleRegressor(tiny_net(device="mps"), 2).fit(*table)

    @pytest.mark.parametrize(
        "callbacks",
        [
            [EarlyStopping()],
            [EarlyStopping],
            [("stop", EarlyStopping())],
            [LRScheduler(policy="ReduceLROnPlateau", monitor="valid_loss")],
        ],
    )
    def test_that_watches_validation_needs_validation_rows(self, table, callbacks):
        with pytest.raises(ValueError, match=r"watches 'valid_loss', .* Set validation=0.1"):
            tiny_ensemble(tiny_net(callbacks=callbacks)).fit(*table)

    def test_a_recipe_says_that_it_needs_validation_rows(self, sequences):
        X, y = sequences
        with pytest.raises(ValueError, match=r"LRScheduler watches 'valid_loss'"):
            EnsembleRegressor(deepstarr_net()).fit(np.tile(X, 2), y)


class TestParameters:
    @pytest.mark.parametrize("n_estimators", [0, -1, 2.5, "2", None, True])
    def test_n_estimators_must_be_positive(self, table, n_estimators):
        with pytest.raises(ValueError, match="n_estimators must be a positive integer, got"):
            tiny_ensemble(n_estimators=n_estimators).fit(*table)

    def test_random_state_must_be_one(self, table):
        with pytest.raises(ValueError, match="cannot be used to seed"):
            tiny_ensemble(random_state="seed").fit(*table)

    @pytest.mark.parametrize(
        ("name", "value", "allowed"),
        [
            ("aleatoric", "replicate", "None, 'replicates', 'heteroscedastic'"),
            ("aleatoric", True, "'replicates'"),
            ("likelihood", "normal", "'gaussian', 'beta', 'laplace'"),
            ("likelihood", None, "'gaussian'"),
            ("noise_of", "median", "'mean', 'replicate'"),
            ("noise_of", None, "'mean'"),
        ],
    )
    @pytest.mark.parametrize("make", [lambda e: e, DistilledRegressor], ids=["teacher", "student"])
    def test_of_the_noise_must_be_one_of_their_values(self, table, make, name, value, allowed):
        with pytest.raises(ValueError, match=f"{name} must be one of .*{allowed}.* got {value!r}"):
            make(tiny_ensemble(**{name: value})).fit(*table)

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ({"std": 1.0}, "weight for 'std', but the heads are mean, epistemic, aleatoric"),
            ({"total": 1.0}, "weight for 'total'"),
            ({"aleatoric": 0}, "of the head 'aleatoric' must be a positive number, got 0"),
            ({"mean": 0}, "of the head 'mean' must be a positive number, got 0"),
            ({"mean": -1.0}, "must be a positive number, got -1.0"),
            ({"mean": np.nan}, "must be a positive number, got nan"),
            ({"epistemic": np.inf}, "head 'epistemic' must be a positive number, got inf"),
            ({"mean": "1"}, "must be a positive number, got '1'"),
            ({"mean": True}, "must be a positive number, got True"),
            ([1.0, 2.0], r"head_weights must be a dict .* got \[1.0, 2.0\]"),
            ("mean", "head_weights must be a dict"),
        ],
    )
    def test_head_weights_must_be_positive_and_of_a_head(self, table, weights, message):
        with pytest.raises(ValueError, match=message):
            DistilledRegressor(tiny_ensemble(), head_weights=weights).fit(*table)


class TestLikelihood:
    @pytest.mark.parametrize("likelihood", ["gaussian", "beta", "laplace"])
    @pytest.mark.parametrize(
        ("criterion", "message"),
        [
            ({"criterion": nn.HuberLoss}, "criterion HuberLoss, but is to be trained by .*Loss, w"),
            ({"criterion": nn.L1Loss}, "Leave the net's criterion at MSELoss"),
            ({"criterion": WeightedLoss}, "criterion WeightedLoss, .* which would replace it"),
            ({"criterion": nn.MSELoss()}, "The net's criterion is an instance"),
            ({"criterion__reduction": "sum"}, "Leave the net's criterion at MSELoss"),
        ],
    )
    def test_replaces_no_criterion_that_was_chosen(self, table, likelihood, criterion, message):
        ensemble = tiny_ensemble(
            tiny_net(**criterion), aleatoric="heteroscedastic", likelihood=likelihood
        )
        with pytest.raises(ValueError, match=message):
            ensemble.fit(*table)

    def test_names_the_one_of_several_nets_that_chose(self, table):
        nets = [("a", tiny_net()), ("b", tiny_net(criterion=nn.HuberLoss))]
        with pytest.raises(ValueError, match="criterion HuberLoss"):
            tiny_ensemble(nets, aleatoric="heteroscedastic").fit(*table)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.eye(4, dtype=np.uint8)[np.newaxis], True),
        (np.zeros((2, 4, 5), dtype=np.uint8), True),
        (np.ones((1, 4, 2), dtype=np.uint8), False),
        (np.eye(4, dtype=np.uint8), False),
        (np.zeros((1, 5, 5), dtype=np.uint8), False),
        (np.eye(4)[np.newaxis], True),
        (np.full((1, 4, 3), 0.25, dtype=np.float32), True),
        (np.full((1, 4, 3), 0.3), False),
    ],
)
def test_dna_is_one_base_or_an_unknown_one_a_position(X, expected):
    assert is_dna(X) is expected


def test_length_of_the_toys_is_too_short_for_no_toy():
    assert LENGTH % 4 == 0


@pytest.mark.parametrize("callback", [Checkpoint(), TrainEndCheckpoint()])
def test_a_file_that_all_members_would_share_is_refused(table, callback):
    with pytest.raises(ValueError, match="Checkpoint callback, whose file all members would share"):
        tiny_ensemble(tiny_net(callbacks=[callback])).fit(*table)


def test_a_nonlinearity_that_would_be_ignored_is_refused(table):
    with pytest.raises(ValueError, match=r"predict_nonlinearity=.* Put it into the module"):
        tiny_ensemble(tiny_net(predict_nonlinearity=np.exp)).fit(*table)
