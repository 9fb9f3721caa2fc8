"""The block that computes on k-mer tables, against the ordinary layers that it is made of."""

import copy
import pickle

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
    reference = plain(made).train(made.training)
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
        # A sequence of one base: all positions but those at the ends are alike.
        assert_same(block(), torch.eye(4, dtype=torch.float64)[[1]].repeat(1, 20, 1).mT)

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

        monkeypatch.setattr(one_hot._kmer_tables, "convolve", fail)

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
        monkeypatch.setattr(one_hot, "_kmer_tables", None)
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

    @pytest.mark.parametrize(
        "convolution",
        [
            nn.Conv2d(4, 6, (1, 6), padding=(0, 3)),
            nn.Conv2d(4, 6, (1, 7)),
            nn.Conv2d(4, 6, (1, 7), padding=(0, 3), stride=(1, 2)),
            nn.Conv2d(4, 6, (1, 7), padding=(0, 3), dilation=(1, 2)),
            nn.Conv2d(4, 6, (3, 7), padding=(0, 3)),
            nn.Conv2d(4, 8, (1, 7), padding=(0, 3), groups=2),
            nn.Conv2d(4, 6, (1, 7), padding=(0, 3), padding_mode="circular"),
        ],
    )
    def test_refuses_other_convolutions(self, convolution):
        with pytest.raises(ValueError, match="must keep the length"):
            OneHotBlock(convolution, nn.BatchNorm2d(6))

    @pytest.mark.parametrize(
        "norm",
        [
            nn.BatchNorm2d(6, affine=False),
            nn.BatchNorm2d(6, track_running_stats=False),
            nn.BatchNorm2d(6, momentum=None),
        ],
    )
    def test_refuses_other_batch_norms(self, norm):
        with pytest.raises(ValueError, match="must have weights, running statistics"):
            OneHotBlock(conv(4, 6, 7), norm)

    @pytest.mark.parametrize(
        "pooling",
        [
            nn.MaxPool2d(2),
            nn.MaxPool2d((1, 2), stride=(1, 1)),
            nn.MaxPool2d((1, 2), padding=(0, 1)),
            nn.MaxPool2d((1, 2), dilation=2),
            nn.MaxPool2d((1, 2), ceil_mode=True),
            nn.MaxPool2d((1, 2), return_indices=True),
        ],
    )
    def test_refuses_other_poolings(self, pooling):
        with pytest.raises(ValueError, match="side by side"):
            OneHotBlock(conv(4, 6, 7), nn.BatchNorm2d(6), pooling)
