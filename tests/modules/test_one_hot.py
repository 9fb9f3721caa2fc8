"""The block that computes on k-mer tables, against the ordinary layers that it is made of."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearn_degu.modules import OneHotBlock, one_hot
from sklearn_degu.modules._layers import as_image, conv, pool


def block(width=7, n_filters=6, positions=2, activation=nn.ReLU, dtype=torch.float64, n_channels=4):
    torch.manual_seed(0)
    pooling = [pool(positions)] if positions > 1 else []
    layers = [conv(n_channels, n_filters, width), nn.BatchNorm2d(n_filters, eps=1e-3), *pooling]
    made = OneHotBlock(*layers, activation()).to(dtype)
    with torch.no_grad():
        # Of either sign: a negative weight turns minima into maxima.
        made[1].weight.normal_()
        made[1].bias.normal_()
    return made


def sequences(n=6, length=30, seed=0, dtype=torch.float64):
    """Return one-hot sequences with unknown bases, as zeros and as 0.25."""
    codes = np.random.default_rng(seed).integers(0, 6, size=(n, length))
    columns = np.vstack([np.eye(4), np.zeros(4), np.full(4, 0.25)])
    return torch.from_numpy(columns[codes].transpose(0, 2, 1).copy()).to(dtype)


def plain(made):
    """Return a copy that is an ordinary Sequential, of images."""
    return nn.Sequential(*copy.deepcopy(made))


def assert_same(made, x, tolerance=1e-12):
    """Compare outputs, gradients and running statistics with those of the ordinary layers."""
    made.zero_grad()
    reference = plain(made)
    output, expected = made(x), reference(as_image(x))
    weights = torch.randn(expected.shape, dtype=expected.dtype)
    (output * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(output, expected, rtol=0, atol=tolerance)
    scale = max(p.grad.abs().max().item() for p in reference.parameters())
    for own, other in zip(made.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=0, atol=tolerance * max(1, scale))
    for own, other in zip(made.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=tolerance)


@pytest.fixture
def no_convolution(monkeypatch):
    """Fail where a convolution is computed."""

    def fail(*args, **kwargs):
        raise AssertionError("a convolution was computed")

    monkeypatch.setattr(nn.Conv2d, "forward", fail)


class TestTables:
    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU])
    @pytest.mark.parametrize(("width", "positions"), [(1, 1), (5, 3), (7, 2), (7, 1), (19, 1)])
    def test_equal_the_ordinary_layers(self, width, positions, activation, training):
        made = block(width, positions=positions, activation=activation).train(training)
        assert_same(made, sequences())

    @settings(max_examples=25, deadline=None)
    @given(
        n=st.integers(1, 5),
        length=st.integers(2, 25),
        width=st.sampled_from([1, 3, 9]),
        seed=st.integers(0, 99),
    )
    def test_equal_them_for_any_sequences(self, n, length, width, seed):
        assert_same(block(width), sequences(n, length, seed))

    def test_equal_them_in_single_precision(self):
        made = block(dtype=torch.float32)
        assert_same(made, sequences(40, 100, dtype=torch.float32), tolerance=1e-4)

    def test_move_the_running_statistics_as_batch_norm_does(self):
        made = block()
        reference = plain(made)
        for seed in range(3):
            made(sequences(seed=seed))
            reference(as_image(sequences(seed=seed)))
        assert made[1].num_batches_tracked == 3
        torch.testing.assert_close(made[1].running_var, reference[1].running_var)

    def test_take_the_first_of_equal_maxima_as_torch_does(self):
        made = block(1)
        with torch.no_grad():
            made[0].weight[:] = 1
        # The filters do not tell the bases apart, so that every pool has two equal maxima of
        # different bases; which one takes the gradient shows in the gradient of the filters.
        codes = torch.arange(20).repeat(3, 1) % 2
        assert_same(made, nn.functional.one_hot(codes, 4).double().mT.contiguous())

    @pytest.mark.parametrize("positions", [255, 256, 300])
    def test_equal_the_ordinary_layers_for_the_longest_pools(self, positions):
        assert_same(block(3, positions=positions), sequences(3, 310))

    @pytest.mark.parametrize("training", [True, False])
    def test_normalise_as_the_batch_norm_is_set(self, training):
        made = block().train(training)
        made[1].train(not training)
        assert_same(made, sequences())

    def test_are_used_for_one_hot_sequences(self, no_convolution):
        assert block()(sequences()).shape == (6, 6, 1, 15)

    def test_leave_the_channels_last_in_memory(self):
        image = block()(sequences())
        assert image.is_contiguous(memory_format=torch.channels_last)

    def test_leave_weights_alone_that_need_no_gradient(self):
        made = block().requires_grad_(False)
        assert not made(sequences()).requires_grad

    def test_do_not_hide_a_weight_that_is_no_number(self):
        made = block()
        with torch.no_grad():
            made[0].weight[2, 0, 0, 0] = torch.nan
        output = made(sequences())
        assert output[:, 2].isnan().any()
        assert not output[:, :2].isnan().any()

    def test_take_a_convolution_without_bias(self):
        made = OneHotBlock(conv(4, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU()).double()
        assert_same(made, sequences())

    def test_are_deterministic(self):
        made = block(dtype=torch.float32).eval()
        x = sequences(20, dtype=torch.float32)
        assert torch.equal(made(x), made(x))
        # A row's answer does not depend on the rows beside it.
        assert torch.equal(made(x)[3:5], made(x[3:5]))


class TestOrdinaryLayers:
    """Where tables cannot be used the layers themselves compute, and say the same."""

    @pytest.fixture
    def no_tables(self, monkeypatch):
        def fail(*args, **kwargs):
            raise AssertionError("tables were used")

        monkeypatch.setattr(one_hot.kmer_tables(), "convolve", fail)

    @pytest.mark.usefixtures("no_tables")
    def test_compute_other_numbers(self):
        x = sequences()
        x[2, 1, 4] = 0.5
        assert_same(block(), x)

    @pytest.mark.usefixtures("no_tables")
    def test_compute_two_bases_at_one_position(self):
        x = sequences()
        x[0, :, 3] = 1
        assert_same(block(), x)

    @pytest.mark.usefixtures("no_tables")
    def test_compute_the_gradient_of_the_sequences(self):
        made = block().eval()
        x, same = sequences().requires_grad_(), sequences().requires_grad_()
        made(x).sum().backward()
        plain(made).eval()(as_image(same)).sum().backward()
        torch.testing.assert_close(x.grad, same.grad)

    @pytest.mark.usefixtures("no_tables")
    @pytest.mark.parametrize("layer", range(4))
    def test_show_a_hook_what_passes(self, layer):
        made, seen = block(), []
        handle = made[layer].register_forward_hook(lambda *args: seen.append(args[2]))
        made(sequences())
        handle.remove()
        assert len(seen) == 1

    @pytest.mark.usefixtures("no_tables")
    def test_compute_under_vmap(self):
        made = block().eval()
        x = sequences()
        together = torch.vmap(lambda one: made(one.unsqueeze(0)).squeeze(0))(x)
        torch.testing.assert_close(together, plain(made).eval()(as_image(x)))

    @pytest.mark.usefixtures("no_tables")
    def test_compute_gradients_of_torch_func(self):
        made = block().eval()
        weights = dict(made.named_parameters())

        def total(weights):
            return torch.func.functional_call(made, weights, (sequences(),)).square().sum()

        gradients = torch.func.grad(total)(weights)
        reference = plain(made)
        reference(as_image(sequences())).square().sum().backward()
        for name, parameter in reference.named_parameters():
            torch.testing.assert_close(gradients[name], parameter.grad)

    @pytest.mark.usefixtures("no_tables")
    def test_compute_tangents(self):
        made, x = block().eval(), sequences()
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            assert torch.autograd.forward_ad.unpack_dual(made(dual)).tangent is not None

    @pytest.mark.usefixtures("no_tables")
    def test_compute_symbols_of_a_trace(self):
        made = block().eval()
        for traced in (
            torch.fx.symbolic_trace(made),
            torch.jit.trace(made, sequences(), check_trace=False),
        ):
            torch.testing.assert_close(traced(sequences()), plain(made)(as_image(sequences())))

    @pytest.mark.usefixtures("no_tables")
    def test_compute_other_alphabets(self):
        made = block(n_channels=5)
        assert made(torch.zeros(2, 5, 20, dtype=torch.float64)).shape == (2, 6, 1, 10)

    @pytest.mark.usefixtures("no_tables")
    def test_compute_in_half_precision(self):
        made = block(dtype=torch.bfloat16)
        assert made(sequences(dtype=torch.bfloat16)).dtype == torch.bfloat16

    def test_compute_without_numba(self, monkeypatch):
        made, x = block(), sequences()
        expected = made(x)
        monkeypatch.setattr(one_hot, "kmer_tables", lambda: None)
        torch.testing.assert_close(made(x), expected)

    def test_refuse_what_they_always_refuse(self):
        one_patch = torch.eye(4, dtype=torch.float64)[:1].unsqueeze(2)
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            block(positions=1)(one_patch)
        with pytest.raises(RuntimeError, match="too small"):
            block(positions=3)(sequences(3, 2))


class TestBlock:
    def test_has_the_weights_of_its_layers(self):
        made = block()
        assert list(made.state_dict()) == list(plain(made).state_dict())

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_copies_equal_the_original(self, duplicate):
        made = block().eval()
        assert torch.equal(duplicate(made)(sequences()), made(sequences()))

    def test_slices_and_edits_as_a_sequential_does(self):
        made = block().eval()
        x = sequences()
        torch.testing.assert_close(made[:2](x), plain(made)[:2].eval()(as_image(x)))
        for change in (nn.LeakyReLU(), nn.Identity(), nn.SiLU()):
            made[3] = change
            assert_same(made, x)
        made.pop(-1)
        assert_same(made, x)


class TestOtherLayers:
    """Layers that tables cannot stand for compute as they always do."""

    @pytest.mark.parametrize(
        "convolution",
        [
            nn.Conv2d(4, 6, (1, 6), padding=(0, 3)),
            nn.Conv2d(4, 6, (1, 7)),
            nn.Conv2d(4, 6, (1, 7), padding="same"),
            nn.Conv2d(4, 6, (1, 7), padding=(0, 3), stride=(1, 2)),
            nn.Conv2d(4, 6, (1, 7), padding=(0, 3), dilation=(1, 2)),
            nn.Conv2d(4, 6, (3, 7), padding=(1, 3)),
            nn.Conv2d(4, 6, (1, 7), padding=(0, 3), groups=2),
            nn.Conv2d(4, 6, (1, 7), padding=(0, 3), padding_mode="circular"),
        ],
    )
    def test_convolutions(self, convolution):
        assert_same(OneHotBlock(convolution, nn.BatchNorm2d(6), nn.ReLU()).double(), sequences())

    @pytest.mark.parametrize(
        "norm",
        [
            nn.BatchNorm2d(6, affine=False),
            nn.BatchNorm2d(6, track_running_stats=False),
            nn.BatchNorm2d(6, momentum=None),
            nn.GroupNorm(2, 6),
            nn.Identity(),
        ],
    )
    def test_norms(self, norm):
        assert_same(OneHotBlock(conv(4, 6, 7), norm, pool(2), nn.ReLU()).double(), sequences())

    @pytest.mark.parametrize(
        "pooling",
        [
            nn.MaxPool2d((1, 2), stride=(1, 1)),
            nn.MaxPool2d((1, 2), padding=(0, 1)),
            nn.MaxPool2d((1, 2), dilation=(1, 2)),
            nn.MaxPool2d((1, 4), ceil_mode=True),
            nn.AvgPool2d((1, 2)),
        ],
    )
    def test_poolings(self, pooling):
        layers = [conv(4, 6, 7), nn.BatchNorm2d(6), pooling, nn.ReLU()]
        assert_same(OneHotBlock(*layers).double(), sequences())

    @pytest.mark.parametrize("layers", [[], [conv(4, 6, 7)]])
    def test_too_few(self, layers):
        x = sequences()
        made = OneHotBlock(*layers).double()
        torch.testing.assert_close(made(x), plain(made)(as_image(x)))


IMPORT = """
import sys
{before}
import torch
from torch import nn
from sklearn_degu.modules import OneHotBlock, one_hot
block = OneHotBlock(nn.Conv2d(4, 3, (1, 5), padding=(0, 2)), nn.BatchNorm2d(3), nn.ReLU())
print(one_hot.kmer_tables() is not None, block(torch.eye(4).repeat(2, 1, 3)).shape)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "tables"),
    [
        ("sys.modules['numba'] = None; sys.meta_path.insert(0, NoNumba())", False),
        ("import numba.core.caching as c; c.CacheImpl._locator_classes = []", True),
    ],
)
def test_works_without_numba_and_without_a_folder_for_its_cache(before, tables):
    hide = """
class NoNumba:
    def find_spec(self, name, *args):
        if name == "numba":
            raise ImportError(name)
"""
    code = hide + IMPORT.format(before=before)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.split(" ", 1) == [str(tables), "torch.Size([2, 3, 1, 12])\n"], run.stderr
