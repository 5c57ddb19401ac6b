"""A network with an attention branch that weights each row."""

from functools import partial

import torch
from torch import nn

from sknoisy.nets._modules import (
    embed,
    embed_and_classify,
    input_and_output,
    row_refused,
)

__all__ = ["AttentiveNetwork"]

_CONVOLUTIONS = nn.Conv1d, nn.Conv2d, nn.Conv3d


class AttentiveNetwork(nn.Module):
    """A classification network with a branch that returns an attention logit.

    Parameters
    ----------
    network : torch module
        Maps a batch to logits.
    row : Tensor of shape (1, ...)
        An example row, to find the number of features.
    kind : {"linear", "mlp"}, default="linear"
        One linear unit, or two hidden layers as wide as the penultimate features with
        ReLU and dropout of one half before it.
    reads : {"features", "maps"}, default="features"
        What the branch reads: the penultimate features, or the pooled feature maps,
        flattened.

    Raises
    ------
    ValueError
        If the network has no feature maps that a linear layer reads.
    """

    # Name of the layer whose input the branch reads; None is the last one, also in
    # networks of an earlier version.
    reader = None

    def __init__(self, network, row, kind="linear", reads="features"):
        super().__init__()
        self.network = network
        was_training = network.training
        with torch.no_grad():
            # The features that `attend` uses; `embed` of a module without `head` may
            # differ.
            with row_refused(network, row):
                n_hidden = embed_and_classify(network.eval(), row)[0].shape[1]
            if reads == "maps":
                self.reader = _first_reader_of_maps(network, row)
            n_inputs = self._read(row)[0].shape[1]
        network.train(was_training)
        hidden = []
        if kind == "mlp":
            for n_in in (n_inputs, n_hidden):
                hidden += [nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Dropout(0.5)]
        unit = nn.Linear(n_hidden if hidden else n_inputs, 1)
        # The attention of every row starts near one half.
        nn.init.zeros_(unit.bias)
        self.attention = nn.Sequential(*hidden, unit)

    def _read(self, X):
        """Return what the branch reads, flattened, and the logits."""
        if self.reader is None:
            return embed_and_classify(self.network, X)
        return input_and_output(self.network, self.reader, X)

    @property
    def compiled_parts(self):
        """The whole module, since training uses both outputs of one call."""
        return [self]

    def forward(self, X, with_attention=False):
        """Return the logits, shape (batch, n_classes), alone or with attention."""
        if not with_attention:
            return self.network(X)
        features, logits = self._read(X)
        return logits, self.attention(features).squeeze(1)

    def embed(self, X):
        """Return the penultimate features, shape (batch, n_features_out)."""
        return embed(self.network, X)

    def attend(self, X):
        """Return logits, (batch, n_classes), and attention logits, (batch,)."""
        return self(X, with_attention=True)


def _first_reader_of_maps(network, row):
    """Return the name of the first linear layer after the last convolution."""
    called, hooks = [], []
    for name, layer in network.named_modules():
        if isinstance(layer, (*_CONVOLUTIONS, nn.Linear)):
            own = partial(lambda name, *_: called.append(name), name)
            hooks.append(layer.register_forward_hook(own))
    try:
        network(row)
    finally:
        for hook in hooks:
            hook.remove()
    kinds = [type(network.get_submodule(name)) for name in called]
    maps = [i for i, kind in enumerate(kinds) if issubclass(kind, _CONVOLUTIONS)]
    if not maps or maps[-1] == len(called) - 1:
        raise ValueError(
            "attention_input='maps' needs convolutions and a linear layer after them; "
            f"{type(network).__name__} has none on rows of shape {tuple(row.shape[1:])}"
            ". Use 'features'."
        )
    return called[maps[-1] + 1]
