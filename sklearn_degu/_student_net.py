"""The net of a student that is not given one of its own."""

from __future__ import annotations

import inspect

from skorch import NeuralNet

from sklearn_degu.nets.averaging import WeightAverage
from sklearn_degu.nets.configure import has_callback
from sklearn_degu.nets.count_losses import predicts_rates, with_squared_error


def default_student_net(net: NeuralNet, *, sees_edits: bool) -> NeuralNet:
    """Return the net of a student, made from that of a member.

    Parameters
    ----------
    net : skorch.NeuralNet
        The member's net, unfitted; it is changed.
    sees_edits : bool
        Whether the student learns on edited copies, of which there are always new ones.
    """
    if predicts_rates([net]):
        net = with_squared_error(net)
    if net.callbacks != "disable" and not has_callback(net, WeightAverage):
        average = ("weight_average", WeightAverage())
        net.set_params(callbacks=[average, *(net.callbacks or [])])
    if sees_edits and _has_our_dropout(net):
        # It cannot learn them by heart, and dropout keeps it from following the teacher.
        net.set_params(module__dropout=0.0)
    return net


def _has_our_dropout(net: NeuralNet) -> bool:
    ours = getattr(net.module, "__module__", "").startswith("sklearn_degu.modules")
    return ours and "dropout" in inspect.signature(net.module).parameters
