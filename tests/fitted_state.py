"""What an estimator has learnt, to compare two fits bit by bit, and fits that stop."""

import numpy as np
from skorch.callbacks import Callback
from torch import nn


def weights_of(net):
    """Return copies of the parameters of a net's module."""
    return [weight.detach().numpy().copy() for weight in net.module_.parameters()]


def assert_same_weights(a, b):
    """All networks and criteria of two nets have the same parameters and buffers."""
    parts = {n: part for n, part in vars(a).items() if isinstance(part, nn.Module)}
    assert "module_" in parts
    for name, part in parts.items():
        expected = getattr(b, name).state_dict()
        state = part.state_dict()
        assert state.keys() == expected.keys()
        for key, value in state.items():
            np.testing.assert_array_equal(value, expected[key], err_msg=f"{name}.{key}")


def learnt_arrays(estimator):
    """Return all arrays that an estimator has as attributes, by name."""
    return {n: v for n, v in vars(estimator).items() if isinstance(v, np.ndarray)}


def assert_same_arrays(a, b, but=()):
    """Two fitted estimators have the same arrays, but for those named."""
    found, expected = learnt_arrays(a), learnt_arrays(b)
    assert found.keys() == expected.keys()
    for name in found.keys() - {*but}:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def assert_same_fit(a, b):
    """Two fitted nets have the same weights and arrays."""
    assert_same_weights(a, b)
    assert_same_arrays(a, b)


class Stop(Callback):
    """Break a training off after a batch of an epoch, counted over its passes."""

    def __init__(self, epoch, batch, error=KeyboardInterrupt):
        self.epoch, self.batch, self.error = epoch, batch, error

    def on_batch_end(self, net, **kwargs):
        batches = net.history[-1]["batches"]
        if len(net.history) == self.epoch and len(batches) == self.batch:
            raise self.error(f"stopped in epoch {self.epoch}")
