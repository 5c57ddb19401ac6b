"""A network with an attention branch that weights each row."""

import torch
from torch import nn

from sknoisy.nets._modules import embed, embed_and_classify, row_refused

__all__ = ["AttentiveNetwork"]


class AttentiveNetwork(nn.Module):
    """A classification network with an attention logit from its penultimate features.

    Parameters
    ----------
    network : torch module
        Maps a batch to logits.
    row : Tensor of shape (1, ...)
        An example row, to find the number of features.
    kind : {"linear", "mlp"}, default="linear"
        One linear unit, or two hidden layers as wide as the features with ReLU and
        dropout of one half before it.
    """

    def __init__(self, network, row, kind="linear"):
        super().__init__()
        self.network = network
        was_training = network.training
        with torch.no_grad():
            # The features that `attend` uses; `embed` of a module without `head` may
            # differ.
            with row_refused(network, row):
                n_features = embed_and_classify(network.eval(), row)[0].shape[1]
        network.train(was_training)
        unit = nn.Linear(n_features, 1)
        # The attention of every row starts near one half.
        nn.init.zeros_(unit.bias)
        hidden = []
        if kind == "mlp":
            for _ in range(2):
                hidden += [
                    nn.Linear(n_features, n_features),
                    nn.ReLU(),
                    nn.Dropout(0.5),
                ]
        self.attention = nn.Sequential(*hidden, unit)

    @property
    def compiled_parts(self):
        """The whole module, since training uses both outputs of one call."""
        return [self]

    def forward(self, X, with_attention=False):
        """Return the logits, shape (batch, n_classes), alone or with attention."""
        if not with_attention:
            return self.network(X)
        features, logits = embed_and_classify(self.network, X)
        return logits, self.attention(features).squeeze(1)

    def embed(self, X):
        """Return the penultimate features, shape (batch, n_features_out)."""
        return embed(self.network, X)

    def attend(self, X):
        """Return logits, (batch, n_classes), and attention logits, (batch,)."""
        return self(X, with_attention=True)
