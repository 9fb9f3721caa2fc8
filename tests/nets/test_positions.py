"""How many positions nets and targets say that a profile has."""

import pytest

from sklearn_degu.nets.positions import count_positions, takes_positions
from sklearn_degu.recipes import mlp_net, profile_net


def test_nets_that_take_positions():
    assert takes_positions(profile_net())
    assert not takes_positions(mlp_net())


@pytest.mark.parametrize(
    ("shape", "nets", "expected"),
    [
        ((9, 2, 20), [profile_net()], 20),
        ((9, 2, 20), [profile_net(module__n_positions=20)], 20),
        ((9, 40), [profile_net(module__n_positions=20)], 20),
        ((9, 20), [profile_net(module__n_positions=20), mlp_net()], 20),
        ((9,), [profile_net(module__n_positions=1)], 1),
        ((9, 40), [mlp_net()], None),
        ((9,), [mlp_net()], None),
    ],
)
def test_count_is_that_of_y_or_else_of_the_nets(shape, nets, expected):
    assert count_positions(shape, nets) == expected


@pytest.mark.parametrize(
    ("shape", "nets", "message"),
    [
        ((9, 2, 20), [mlp_net()], r"\(9, 2, 20\), profiles of 20 positions, but the module MLP"),
        ((9, 2, 20), [profile_net(), mlp_net()], "MLP takes no n_positions"),
        ((9, 2, 20), [profile_net(module__n_positions=10)], "n_positions=10, but y has shape"),
        (
            (9, 41),
            [profile_net(module__n_positions=20)],
            "41 columns, but .* module__n_positions=20",
        ),
        ((9,), [profile_net(module__n_positions=20)], "1 columns, but .* module__n_positions=20"),
        ((9, 4), [profile_net(module__n_positions=n) for n in (2, 4)], "n_positions to 2, 4"),
        ((9, 4), [profile_net(module__n_positions=0)], "must be a positive integer, got 0"),
        ((9, 4), [profile_net(module__n_positions=True)], "must be a positive integer, got True"),
        ((9, 4), [profile_net(module__n_positions=2.0)], "must be a positive integer, got 2.0"),
    ],
)
def test_count_is_refused(shape, nets, message):
    with pytest.raises(ValueError, match=message):
        count_positions(shape, nets)
