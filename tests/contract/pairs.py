"""Functions and inputs in pairs, and what every refusal has in common."""

from itertools import product

import pytest


def pairs(inputs, *tables):
    """Return every pair of a taker and an input, for pytest."""
    return [
        pytest.param(taker, given, id=f"{taking}-{name}")
        for table in tables
        for (taking, taker), (name, given) in product(table.items(), inputs.items())
    ]


def assert_refused(taker, hostile):
    """Check that the error is of a kind and in words that a user can act on."""
    with pytest.raises((TypeError, ValueError), match=hostile.message.format(name=taker.name)) as e:
        taker.call(hostile.make(taker.good))
    assert e.type in (TypeError, ValueError)
