"""The 1-D CNN over trajectories, and the net that trains it to cluster them."""

import copy

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional as F

from sknoisy.losses import (
    ClusterAlignmentLoss,
    cosine_distances,
    soft_assignment,
    squared_distances,
)
from sknoisy.nets import NetClassifier, Step

__all__ = [
    "NORMALIZATIONS",
    "DynamicsClustering",
    "DynamicsEncoder",
    "TrajectoryCNN",
    "normalize_trajectories",
    "selection_metric",
]

NORMALIZATIONS = ("l2_time", "sign", "zscore")


def normalize_trajectories(trajectories, how):
    """Scale trajectories for the encoder.

    Parameters
    ----------
    trajectories : ndarray of shape (n_samples, n_epochs)
    how : {"l2_time", "sign", "zscore"} or None
        "l2_time" divides each by its norm over the epochs. "sign" keeps only the sign,
        which is what the authors' code does in effect: it normalises over an axis of
        length 1. "zscore" standardises each epoch over the samples.

    Returns
    -------
    scaled : ndarray of shape (n_samples, n_epochs), dtype float32

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.detection._dynamics._encoder import normalize_trajectories
    >>> normalize_trajectories(np.array([[3.0, -4.0]]), "l2_time").tolist()
    [[0.6000000238418579, -0.800000011920929]]
    """
    t = np.ascontiguousarray(trajectories, dtype=np.float32)
    tiny = np.finfo(np.float32).tiny
    if how == "l2_time":
        return t / np.maximum(np.linalg.norm(t, axis=1, keepdims=True), tiny)
    if how == "sign":
        return np.sign(t)
    if how == "zscore":
        return (t - t.mean(0)) / np.maximum(t.std(0), tiny)
    return t


class TrajectoryCNN(nn.Module):
    """Three convolutions over the epochs and a linear layer, without pooling.

    Parameters
    ----------
    n_epochs : int
        Length of a trajectory.
    n_out : int, default=512
    """

    def __init__(self, n_epochs, n_out=512):
        super().__init__()
        self.conv1 = nn.Conv1d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv1d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv1d(32, 32, 3, padding=1)
        self.fc = nn.Linear(32 * n_epochs, n_out)

    def forward(self, X):
        """Encode trajectories (batch, n_epochs) as (batch, n_out)."""
        # Equal to Conv1d, ReLU, flatten and Linear, in a seventh less time: with one
        # channel in, a convolution is a product with windows; the others run as 2-D
        # ones of height 1, channels last; and the Linear layer takes that order.
        windows = F.pad(X, (1, 1)).unfold(1, 3, 1)  # (batch, n_epochs, 3)
        out = F.relu_(F.linear(windows, self.conv1.weight[:, 0], self.conv1.bias))
        out = out.transpose(1, 2)[:, :, None]  # (batch, 16, 1, n_epochs)
        for conv in (self.conv2, self.conv3):
            out = F.conv2d(out, conv.weight[:, :, None], conv.bias, padding=(0, 1))
            out = F.relu_(out)
        n_channels, n_epochs = out.shape[1], out.shape[3]
        weight = self.fc.weight.view(-1, n_channels, n_epochs).transpose(1, 2)
        out = out.permute(0, 2, 3, 1).flatten(1)  # (batch, n_epochs * 32)
        return F.linear(out, weight.flatten(1), self.fc.bias)


class DynamicsEncoder(nn.Module):
    """Encoder of trajectories with the centres of a clean and a noisy cluster.

    Parameters
    ----------
    input_shape : tuple of int
        (n_epochs,).
    n_out : int, default=512
    eval_distance : {"euclidean", "cosine"}, default="euclidean"
        Distance behind the assignments that `forward` returns; training always uses
        the cosine. The squared Euclidean one is what the authors' code evaluates with.
    """

    def __init__(self, input_shape, n_out=512, eval_distance="euclidean"):
        super().__init__()
        self.cnn = TrajectoryCNN(input_shape[0], n_out)
        self.centers = nn.Parameter(torch.zeros(2, n_out))
        self.distances = {
            "euclidean": squared_distances,
            "cosine": cosine_distances,
        }[eval_distance]

    def embed(self, X):
        """Return the encodings, shape (batch, n_out)."""
        return self.cnn(X)

    def forward(self, X):
        """Return log q, shape (batch, 2): clean, noisy."""
        return soft_assignment(self.distances(self.embed(X), self.centers)).log()


class DynamicsClustering(NetClassifier):
    """Cluster trajectories into clean and noisy; the labels mark copies.

    Parameters
    ----------
    copied_rows : ndarray of shape (n_copies,), dtype int64, default=None
        Rows of the originals that have a copy: the selection metric compares these
        with the copies.
    **kwargs : dict
        Parameters of `NetClassifier`.

    Attributes
    ----------
    scores_ : ndarray of shape (n_samples,), dtype float64
        q of the noisy cluster at the selected epoch.
    best_epoch_ : int
        The selected epoch; 0 is the state before training, with the initial centres.
    metrics_ : list of float
        The selection metric of each epoch, that of epoch 0 first.
    """

    def __init__(self, module=DynamicsEncoder, *, copied_rows=None, **kwargs):
        defaults = {
            "criterion": ClusterAlignmentLoss,
            "lr_schedule": None,
            # bfloat16 would keep two digits of the cosines that it trains on.
            "amp": False,
            # The convolutions of 512 rows fit into the processor's cache.
            "iterator_valid__batch_size": 512,
        }
        super().__init__(module, **{**defaults, **kwargs})
        self.copied_rows = copied_rows

    def training_loss(self, X, y, index):
        """Return L_cluster + α L_align, and log q; no row has a target to learn."""
        z = self.module_.embed(X)
        loss, q = self.criterion_(z, self.module_.centers, y == 1)
        return Step(loss, q.log())

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Forget the epochs of an earlier fit."""
        super().on_train_begin(net, X, y, **kwargs)
        if not self.history:
            self.metrics_ = []

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the centres before the first epoch, and evaluate that state too."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        if len(self.history) == 1:
            self._set_centers(dataset_train)
            self._score(dataset_train)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Keep the epoch if it separates copies from their originals best."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        self._score(dataset_train)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Restore the selected epoch."""
        super().on_train_end(net, X, y, **kwargs)
        if self.metrics_:
            self.module_.load_state_dict(self.best_state_)

    @torch.no_grad()
    def _set_centers(self, dataset):
        """Start from the mean encodings of the originals and of the copies."""
        self._set_training(False)
        if dataset.codes.any():
            sums, counts = torch.zeros_like(self.module_.centers), [0, 0]
            for X, y in self.get_iterator(dataset, training=False):
                z = self.module_.embed(X)
                for code in (0, 1):
                    sums[code] += z[y == code].sum(0)
                    counts[code] += int((y == code).sum())
            centers = sums / sums.new_tensor(counts)[:, None]
        else:
            centers = self._two_means(dataset)
        self.module_.centers.copy_(centers)

    def _two_means(self, dataset):
        """Without copies: two clusters, the one with the lower signal is noisy."""
        batches = self.get_iterator(dataset, training=False)
        z = torch.cat([self.module_.embed(X) for X, _ in batches])
        labels = KMeans(2, n_init=10, random_state=self.seed_ % 2**32).fit_predict(
            z.cpu().numpy()
        )
        signal = [dataset.features[labels == k].mean() for k in (0, 1)]
        clean = int(np.argmax(signal))
        members = [torch.from_numpy(labels == k) for k in (clean, 1 - clean)]
        return torch.stack([z[rows.to(z.device)].mean(0) for rows in members])

    def _score(self, dataset):
        _, codes, logits = self.eval_pass(dataset, ["module"])
        q_noisy = logits["module"][:, 1].exp()
        metric = selection_metric(q_noisy, codes == 1, self.copied_rows)
        # Strictly greater: of equal states the earlier is kept.
        if not self.metrics_ or metric > max(self.metrics_):
            self.best_epoch_ = len(self.metrics_)
            self.scores_ = q_noisy.cpu().double().numpy()
            self.best_state_ = copy.deepcopy(self.module_.state_dict())
        self.metrics_.append(metric)


def selection_metric(q_noisy, is_copy, copied_rows):
    """Return how far copies and their clean originals lie apart.

    Parameters
    ----------
    q_noisy : Tensor of shape (n_samples,)
    is_copy : Tensor of shape (n_samples,), dtype bool
    copied_rows : ndarray of shape (n_copies,), dtype int64

    Returns
    -------
    metric : float
        The squared difference of the mean q between copies assigned to the noisy
        cluster and copied originals assigned to the clean one; 0 if there are none.
    """
    copies = q_noisy[is_copy]
    originals = q_noisy[torch.as_tensor(copied_rows, device=q_noisy.device)]
    noisy_copies, clean_originals = copies[copies > 0.5], originals[originals <= 0.5]
    if not len(noisy_copies) or not len(clean_originals):
        return 0.0
    return float((noisy_copies.mean() - clean_originals.mean()).square())
