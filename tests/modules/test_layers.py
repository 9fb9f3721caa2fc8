"""Layers that the architectures share."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_degu.modules import Dropout, Standardize
from sklearn_degu.modules._layers import as_image, conv, pool


def seeded(p, seed=0):
    layer = Dropout(p)
    layer.generator = torch.Generator().manual_seed(seed)
    return layer


class TestDropout:
    def test_draws_from_its_own_generator_alone(self):
        before = torch.random.get_rng_state()
        one, same, other = (seeded(0.5, seed)(torch.ones(99)) for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_draws_a_new_mask_at_every_step(self):
        layer = seeded(0.5)
        assert not torch.equal(layer(torch.ones(99)), layer(torch.ones(99)))

    def test_drops_and_scales_as_torchs(self):
        kept = seeded(0.2)(torch.ones(20_000))
        assert set(kept.unique().tolist()) == {0.0, 1.25}
        assert (kept == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)

    def test_scales_the_gradient_as_the_values(self):
        x = torch.ones(50, requires_grad=True)
        output = seeded(0.5)(x)
        output.sum().backward()
        assert torch.equal(x.grad, output.detach())

    @pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
    def test_does_nothing_in_evaluation(self, p):
        x = torch.rand(9)
        assert torch.equal(seeded(p).eval()(x), x)

    def test_of_zero_and_one_keeps_all_and_nothing(self):
        x = torch.rand(9)
        assert torch.equal(seeded(0.0)(x), x)
        assert torch.equal(seeded(1.0)(x), torch.zeros(9))

    def test_without_a_generator_is_torchs(self):
        x = torch.ones(99)
        results = []
        for layer in (Dropout(0.5), nn.Dropout(0.5)):
            with torch.random.fork_rng():
                torch.manual_seed(0)
                results.append(layer(x))
        assert torch.equal(*results)

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_leaves_its_generator_behind_when_copied(self, copied):
        layer = seeded(0.3)
        twin = copied(layer)
        assert twin.p == 0.3
        assert twin.generator is None
        assert layer.generator is not None


class TestStandardize:
    def adapted(self, X, weight=None):
        layer = Standardize(np.asarray(X)[0].size).double()
        layer.adapt(X, weight)
        return layer

    def test_leaves_mean_zero_and_deviation_one(self):
        X = np.random.default_rng(0).normal(5, [1e-3, 1, 1e6], size=(50, 3))
        out = self.adapted(X)(torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(out.std(axis=0), 1)

    def test_weights_count_rows(self):
        X = np.random.default_rng(0).normal(size=(5, 3))
        weight = np.array([1, 2, 3, 1, 1])
        weighted, repeated = self.adapted(X, weight), self.adapted(np.repeat(X, weight, axis=0))
        torch.testing.assert_close(weighted.loc, repeated.loc)
        torch.testing.assert_close(weighted.scale, repeated.scale)

    @pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
    def test_leaves_a_constant_column_unscaled(self, value):
        X = np.full((7, 1), value)
        assert self.adapted(X).scale.item() == 1.0

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.bool_, np.float32])
    def test_reads_any_type(self, dtype):
        X = np.array([[0, 1], [1, 1], [1, 0]], dtype=dtype)
        np.testing.assert_allclose(self.adapted(X).loc, [2 / 3, 2 / 3], rtol=1e-6)

    def test_flattens_what_has_more_axes(self):
        X = np.random.default_rng(0).normal(size=(5, 2, 3))
        np.testing.assert_allclose(self.adapted(X).loc, X.reshape(5, 6).mean(axis=0))

    def test_does_nothing_before_it_has_seen_data(self):
        x = torch.rand(3, 2)
        assert torch.equal(Standardize(2)(x), x)

    def test_is_saved_with_the_weights(self):
        layer = self.adapted(np.arange(6.0).reshape(3, 2))
        twin = Standardize(2).double()
        twin.load_state_dict(layer.state_dict())
        assert torch.equal(twin.loc, layer.loc)
        assert not list(layer.parameters())


class TestImages:
    def test_have_the_channels_of_a_position_together_in_memory(self):
        x = torch.rand(2, 4, 7)
        image = as_image(x)
        assert image.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(image.squeeze(2), x)

    @pytest.mark.parametrize("width", [1, 3, 7, 19])
    @pytest.mark.parametrize("dilation", [1, 2, 16])
    def test_keep_their_length_in_a_convolution(self, width, dilation):
        assert conv(4, 2, width, dilation=dilation)(as_image(torch.rand(1, 4, 40))).shape[-1] == 40

    def test_lose_an_incomplete_rest_in_pooling(self):
        x = torch.arange(7.0).reshape(1, 1, 7)
        assert pool(2)(as_image(x)).flatten().tolist() == [1, 3, 5]


def test_standardize_is_exact_on_many_rows_of_float32():
    X = (1003 + np.random.default_rng(0).normal(size=(200_000, 2))).astype(np.float32)
    layer = Standardize(2)
    layer.adapt(X)
    np.testing.assert_allclose(layer.scale, X.astype(np.float64).std(axis=0), rtol=1e-5)
