"""Prediction with dropout: what a pass is, and that nothing else is touched."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_degu.modules import Dropout
from sklearn_degu.nets.dropout import dropout_layers, dropout_passes, unreached_dropout
from tests.toys import GlobalDropout, tiny_net

P = 0.3
N_FEATURES = 5


class ThinnedSum(nn.Module):
    """The sum of the features, of which a layer drops some."""

    def __init__(self, n_outputs=1, layer=nn.Dropout, p=P):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.drop = layer(p)

    def forward(self, x):
        return self.scale * self.drop(x).flatten(1).sum(dim=1, keepdim=True)


class Failing(ThinnedSum):
    def forward(self, x):
        super().forward(x)
        raise RuntimeError("out of memory")


class Normed(nn.Module):
    def __init__(self, n_features=N_FEATURES, n_outputs=1):
        super().__init__()
        self.norm = nn.BatchNorm1d(n_features)
        self.output = nn.Sequential(nn.Dropout(P), nn.Linear(n_features, n_outputs))

    def forward(self, x):
        return self.output(self.norm(x))


def initialized(module=ThinnedSum, **params):
    params = {"module__n_outputs": 1, **params}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tiny_net(module, **params).initialize()


def passes(net, X, seeds=(0, 1, 2)):
    return np.stack(list(dropout_passes(net, X, seeds)))


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(7, N_FEATURES)).astype(np.float32)


@pytest.mark.parametrize("layer", [nn.Dropout, Dropout])
def test_passes_have_the_moments_of_dropout(rows, layer):
    outputs = passes(initialized(module__layer=layer), rows, range(400))[..., 0]
    expected = np.sqrt(P / (1 - P) * (rows**2).sum(axis=1))
    np.testing.assert_allclose(outputs.std(axis=0), expected, rtol=0.15)
    np.testing.assert_allclose(outputs.mean(axis=0), rows.sum(axis=1), atol=0.5)


@pytest.mark.parametrize("layer", [nn.Dropout, Dropout])
def test_a_pass_drops_the_same_elements_of_every_row(layer):
    outputs = passes(initialized(module__layer=layer), np.ones((4, N_FEATURES), np.float32))
    assert (outputs == outputs[:, :1]).all()
    assert len(np.unique(outputs[:, 0])) > 1
    kept = outputs * (1 - P)
    np.testing.assert_allclose(kept, kept.round(), atol=1e-5)


@pytest.mark.parametrize("layer", [nn.Dropout1d, nn.Dropout2d])
def test_channelwise_layers_drop_whole_channels(layer):
    positions = (6,) if layer is nn.Dropout1d else (2, 3)
    outputs = passes(initialized(module__layer=layer), np.ones((2, 4, *positions), np.float32))
    channels = outputs * (1 - P) / 6
    np.testing.assert_allclose(channels, channels.round(), atol=1e-5)
    assert (outputs == outputs[:, :1]).all()


def test_a_layer_that_drops_everything_leaves_zero(rows):
    assert (passes(initialized(module__p=1.0), rows) == 0).all()


def test_a_row_is_predicted_alike_in_any_batch_and_among_any_others(rows):
    params = {"module": GlobalDropout, "module__n_features": N_FEATURES, "module__n_outputs": 2}
    net, small_batches = initialized(**params), initialized(**params, iterator_valid__batch_size=2)
    whole = passes(net, rows)
    order = np.array([5, 0, 6, 2])
    np.testing.assert_allclose(passes(net, rows[order]), whole[:, order], rtol=1e-5)
    np.testing.assert_allclose(passes(small_batches, rows), whole, rtol=1e-5)


def test_masks_are_the_same_in_every_precision(rows):
    net = initialized()
    single = passes(net, rows)
    net.module_.double()
    np.testing.assert_allclose(passes(net, rows.astype(np.float64)), single, rtol=1e-5, atol=1e-6)


def test_seeds_decide_the_passes(rows):
    net = initialized()
    one, other, again = passes(net, rows, (3, 4, 3))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_batch_norm_keeps_the_statistics_of_training(rows):
    net = initialized(Normed)
    before = {name: value.clone() for name, value in net.module_.state_dict().items()}
    alone = passes(net, rows[:1])
    np.testing.assert_allclose(passes(net, rows)[:, :1], alone, rtol=1e-5)
    for name, value in net.module_.state_dict().items():
        torch.testing.assert_close(value, before[name])


@pytest.mark.parametrize("module", [ThinnedSum, Failing])
def test_the_net_and_the_global_generator_are_left_as_they_were(module, rows):
    net = initialized(module, module__layer=Dropout)
    state = torch.get_rng_state()
    try:
        passes(net, rows)
    except RuntimeError:
        assert module is Failing
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.module_.training
    assert net.module_.drop.generator is None
    net.module_.forward = lambda x: net.module_.drop(x)[:, :1]
    plain = net.module_(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_array_equal(plain, rows[:, :1])


def test_predictions_side_by_side_do_not_share_masks(rows):
    net = initialized(GlobalDropout, module__n_features=N_FEATURES)
    seeds = range(20)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: passes(net, rows, seeds), range(4)))
    for result in results:
        np.testing.assert_array_equal(result, passes(net, rows, seeds))


def test_layers_with_a_probability_are_found_wherever_they_are():
    layers = [nn.Dropout(0.1), nn.Dropout(0.0), Dropout(0.2), nn.Dropout2d(0.3), nn.ReLU()]
    module = nn.Sequential(*layers[:2], nn.Sequential(*layers[2:]))
    assert dropout_layers(module) == [layers[0], layers[2], layers[3]]
    assert unreached_dropout(module) == []


@pytest.mark.parametrize(
    ("layer", "reached"),
    [
        (nn.AlphaDropout(0.1), False),
        (nn.FeatureAlphaDropout(0.1), False),
        (nn.AlphaDropout(0.0), True),
        (nn.LSTM(2, 2, num_layers=2, dropout=0.1), False),
        (nn.LSTM(2, 2, num_layers=2), True),
        (nn.MultiheadAttention(2, 1, dropout=0.1), False),
        (nn.MultiheadAttention(2, 1), True),
    ],
    ids=str,
)
def test_dropout_that_is_no_layer_of_its_own_is_named(layer, reached):
    assert unreached_dropout(nn.Sequential(layer)) == ([] if reached else [type(layer).__name__])
