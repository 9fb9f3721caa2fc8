"""The skorch net of the recipes."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch.utils.data import DataLoader

from sklearn_degu.modules import MLP, DeepSTARR, ResidualBind
from sklearn_degu.nets.data import InMemoryBatches, InMemoryDataset
from sklearn_degu.nets.net import InMemoryNet
from sklearn_degu.recipes import deepstarr_net, mlp_net, residualbind_net
from tests.toys import tiny_ensemble, tiny_net


class TestInMemoryNet:
    def alone(self, **params):
        return tiny_net(module__n_features=6, module__n_outputs=1, **params)

    def data(self, table):
        X, y = table
        return X.astype(np.float32), y[:, np.newaxis].astype(np.float32)

    def test_is_a_skorch_net_by_itself(self, table):
        X, y = self.data(table)
        net = self.alone(max_epochs=60).fit(X, y)
        assert net.score(X, y) > 0.9
        assert cross_val_score(self.alone(), X, y, cv=2).shape == (2,)

    def test_holds_nothing_out_and_prints_nothing(self, table, capsys):
        net = self.alone().fit(*self.data(table))
        assert "valid_loss" not in net.history[-1]
        assert capsys.readouterr().out == ""

    def test_serves_rows_from_memory(self):
        net = InMemoryNet(MLP)
        assert net.iterator_train is net.iterator_valid is InMemoryBatches
        assert net.dataset is InMemoryDataset
        assert net.iterator_train__shuffle is True

    def test_lists_no_bookkeeping_among_its_parameters(self):
        params = tiny_net().get_params()
        assert params["module__hidden"] == (8,)
        assert not [name for name in params if name.startswith("_")]

    @pytest.mark.parametrize(
        "copied", [clone, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
    )
    def test_is_copied_with_its_parameters(self, copied):
        net = tiny_net(module__dropout=0.25, lr=0.125)
        assert copied(net).get_params().items() >= {"module__dropout": 0.25, "lr": 0.125}.items()

    def test_reads_the_loaders_of_others(self, table):
        X, y = self.data(table)
        net = self.alone(
            iterator_train=DataLoader,
            iterator_valid=DataLoader,
            dataset=Dataset,
            train_split=predefined_split(Dataset(X[:9], y[:9])),
        ).fit(X, y)
        assert len(net.history[:, "valid_loss"]) == 3


class TestRecipes:
    def test_of_deepstarr_are_as_published(self):
        net = deepstarr_net()
        assert (net.module, net.lr, net.batch_size, net.max_epochs) == (DeepSTARR, 1e-3, 128, 100)
        callbacks = dict(net.callbacks)
        assert callbacks["early_stopping"].patience == 10
        assert callbacks["early_stopping"].load_best
        schedule = callbacks["lr_schedule"].get_params()
        assert schedule["policy"] == "ReduceLROnPlateau"
        # torch's patience of 4 is Keras' of 5: the fifth epoch without improvement lowers the rate.
        assert (schedule["patience"], schedule["factor"], schedule["min_lr"]) == (4, 0.1, 1e-7)

    def test_of_residualbind_are_those_of_deepstarr(self):
        one, other = deepstarr_net(), residualbind_net()
        assert other.module is ResidualBind
        for name in ("lr", "batch_size", "max_epochs", "optimizer", "criterion"):
            assert getattr(one, name) is getattr(other, name)
        assert [name for name, _ in other.callbacks] == [name for name, _ in one.callbacks]

    def test_are_overridden_by_keyword(self, table):
        net = mlp_net(lr=0.5, module__hidden=(3,))
        assert (net.lr, net.module__hidden) == (0.5, (3,))
        assert deepstarr_net(callbacks=None).callbacks is None

    def test_share_no_callbacks(self):
        assert deepstarr_net().callbacks[0][1] is not deepstarr_net().callbacks[0][1]

    @pytest.mark.filterwarnings("ignore:.*predicts a constant")
    @pytest.mark.parametrize(("make", "length"), [(deepstarr_net, 16), (residualbind_net, 25)])
    def test_train_on_sequences(self, make, length):
        X = np.random.default_rng(0).integers(0, 2, size=(12, 4, length), dtype=np.uint8)
        net = make(max_epochs=2, batch_size=4, callbacks__early_stopping__patience=1)
        ensemble = tiny_ensemble(net, validation=0.25).fit(X, np.arange(24.0).reshape(12, 2))
        assert ensemble.predict_uncertainty(X).shape == (12, 2)
