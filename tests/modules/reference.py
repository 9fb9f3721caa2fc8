"""What the tests of the architectures share."""

import torch
from torch import nn

NON_LINEAR = (nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Softmax, nn.Tanh, nn.GELU, nn.Softplus)


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def non_linearities(module):
    """Return the names of the non-linearities in the order in which they are called.

    Attribution by hooks needs every call to be of a module of its own.
    """
    called = []
    for layer in module.modules():
        if isinstance(layer, NON_LINEAR):
            layer.register_forward_hook(lambda layer, *_: called.append(layer))
    module.eval()(torch.zeros(2, 4, 249))
    assert len(set(called)) == len(called)
    return [type(layer).__name__ for layer in called]


def assert_computes_the_same(module, reference, shape, training):
    """Compare outputs, gradients of the input and batch-norm statistics in float64."""
    torch.manual_seed(0)
    for module_ in (module, reference):
        module_.double().train(training)
    randomise(module)
    copy_weights(module, reference)
    x = torch.rand(shape, dtype=torch.float64)
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    outputs = [m(i) for m, i in zip((module, reference), inputs, strict=True)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        (output**2).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for one, other in zip(norms(module), norms(reference), strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean)
        torch.testing.assert_close(one.running_var, other.running_var)


def norms(module):
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def randomise(module):
    """Give batch norms statistics and negative scales, so that no layer is without effect."""
    for norm in norms(module):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)


def copy_weights(module, reference):
    own = list(module.state_dict().values())
    theirs = list(reference.state_dict().values())
    for target, source in zip(theirs, own, strict=True):
        target.copy_(source.reshape(target.shape))
