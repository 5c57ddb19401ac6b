"""Predictions of a trained net: probabilities, features, outputs of its parts."""

from functools import partial

import numpy as np
import torch
from skorch.utils import to_numpy
from torch import nn

from sknoisy.nets._divergence import refuse_undefined_outputs
from sknoisy.nets._modules import embed
from sknoisy.nets._outputs import logits_of, takes_proba
from sknoisy.nets._refusals import refuse_without_rows

__all__ = ["features_of", "outputs_of", "proba_of"]


def proba_of(net, X):
    """Return class probabilities, see `NetClassifier.predict_proba`.

    Parameters
    ----------
    net : NetClassifier
        A fitted net.
    X : array-like of shape (n_samples, ...)

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes), dtype float32

    Raises
    ------
    FloatingPointError
        If an output is infinite or NaN.
    """
    nonlinearity = _nonlinearity_of(net)
    outputs = net.forward_iter(X)
    first = (out[0] if isinstance(out, tuple) else out for out in outputs)
    proba = np.concatenate([to_numpy(nonlinearity(out)) for out in first])
    undefined = np.isnan(proba).any(axis=tuple(range(1, proba.ndim)))
    if undefined.any():
        raise FloatingPointError(
            f"the outputs for {undefined.sum()} of {len(proba)} rows are infinite "
            f"or NaN, first for row {undefined.argmax()}. Scale X as in fit, where "
            "rows were smaller; or fit with a lower lr."
        )
    return proba


def features_of(net, X):
    """Return the penultimate features of all rows.

    Parameters
    ----------
    net : NetClassifier
        A fitted net.
    X : array-like of shape (n_samples, ...)

    Returns
    -------
    features : ndarray of shape (n_samples, n_features_out), dtype float32
    """
    net.check_is_fitted()
    net._set_training(False)
    with torch.no_grad(), net._autocast():
        parts = [
            embed(net.module_, batch[0]).float().cpu()
            for batch in net.get_iterator(net.get_dataset(X), training=False)
        ]
    return torch.cat(parts).numpy()


def outputs_of(net, dataset, modules):
    """Score a dataset with several modules, see `NetClassifier.eval_pass`.

    Parameters
    ----------
    net : NetClassifier
    dataset : ArrayDataset or Subset of one
    modules : dict of object to torch module

    Returns
    -------
    rows, codes : Tensor of shape (n_samples,), dtype int64
    logits : dict of object to Tensor of shape (n_samples, n_classes)

    Raises
    ------
    FloatingPointError
        If the outputs for a row are infinite or NaN.
    """
    rows, codes, logits, n_done = [], [], {}, 0
    processes, whole, start = net.processes_, dataset, 0
    if processes is not None and len(whole) < processes.count:
        processes = None
    if processes is not None:
        dataset, start = processes.part_of(whole)
    net._set_training(False)
    with torch.no_grad(), net._autocast():
        for batch in net.get_iterator(dataset, training=False):
            X, y = batch
            if batch.index is None:
                refuse_without_rows(net, "iterator_valid")
            rows.append(batch.index)
            codes.append(y)
            here = slice(n_done, n_done := n_done + len(y))
            for name, module in modules.items():
                out = logits_of(net.criterion_, module(X, **net.fit_params_))
                if name not in logits:
                    # Filled in place: a concatenation of batches would need twice the
                    # memory.
                    size = len(dataset), out.shape[1]
                    logits[name] = out.new_empty(size, dtype=torch.float32)
                logits[name][here] = out
    logits = {name: out[:n_done] for name, out in logits.items()}
    rows, codes = torch.cat(rows), torch.cat(codes)
    if processes is not None:
        n_rows = len(whole)
        rows, codes = (processes.joined(t, start, n_rows) for t in (rows, codes))
        logits = {k: processes.joined(t, start, n_rows) for k, t in logits.items()}
    for out in logits.values():
        refuse_undefined_outputs(net, out)
    return rows, codes, logits


def _nonlinearity_of(net):
    """Return the function from outputs to probabilities: softmax except under NLLLoss.

    skorch would infer it from the criterion, and use no function for unknown ones.
    """
    if net.predict_nonlinearity != "auto":
        return net._get_predict_nonlinearity()
    net.check_is_fitted()
    if takes_proba(net.criterion_):
        return nn.Identity()
    return partial(torch.softmax, dim=-1)
