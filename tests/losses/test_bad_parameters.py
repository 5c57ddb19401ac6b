"""Parameters of criteria that cannot be are refused by name, with the value."""

import pytest
import torch

from sknoisy.losses import (
    BootstrapLoss,
    CORESLoss,
    ELRLoss,
    NoiseAttentionLoss,
    PENCILLoss,
    SCELoss,
    SELCLoss,
    SOPLoss,
)

NAL = NoiseAttentionLoss
# Four rows of three classes, for those that keep a state of the rows.
SIZES = {
    CORESLoss: (4, 3),
    ELRLoss: (4, 3),
    NoiseAttentionLoss: (4, 3),
    SELCLoss: (4, 3),
    PENCILLoss: (4, 3),
    SOPLoss: (4, 3),
}
BAD = [
    (
        BootstrapLoss,
        {"targets": "mean"},
        "targets must be 'hard' or 'soft'; got 'mean'",
    ),
    (BootstrapLoss, {"weight": -0.1}, r"weight must be in \[0, 1\]; got -0.1"),
    (BootstrapLoss, {"weight": 1.5}, r"weight must be in \[0, 1\]; got 1.5"),
    (BootstrapLoss, {"weight": float("nan")}, r"weight must be in \[0, 1\]; got nan"),
    (BootstrapLoss, {"reduction": "max"}, "'mean', 'sum' or 'none'; got 'max'"),
    (CORESLoss, {"beta": -1}, "beta must be at least 0; got -1"),
    (CORESLoss, {"beta": float("nan")}, "beta must be at least 0; got nan"),
    (CORESLoss, {"prior": torch.ones(2)}, "prior must be 3 shares of classes"),
    (CORESLoss, {"prior": torch.zeros(3)}, r"not all of them 0; got \[0.0, 0.0, 0.0\]"),
    (CORESLoss, {"prior": torch.tensor([1.0, -1, 1])}, "prior must be 3 shares"),
    (CORESLoss, {"reduction": "sum"}, "reduction must be 'mean' or 'none'; got 'sum'"),
    (ELRLoss, {"lam": -1}, "lam must be at least 0; got -1"),
    (ELRLoss, {"lam": float("nan")}, "lam must be at least 0; got nan"),
    (ELRLoss, {"beta": 1}, r"beta must be in \[0, 1\); got 1"),
    (ELRLoss, {"beta": -0.1}, r"beta must be in \[0, 1\); got -0.1"),
    (NAL, {"lam": -0.1}, "lam must be at least 0; got -0.1"),
    (NAL, {"lam": float("nan")}, "lam must be at least 0; got nan"),
    (NAL, {"lam": float("inf")}, "lam must be at least 0; got inf"),
    (NAL, {"alpha": 1}, r"alpha must be in \[0, 1\); got 1"),
    (NAL, {"alpha": -0.2}, r"alpha must be in \[0, 1\); got -0.2"),
    (
        NoiseAttentionLoss,
        {"label_floor": 1.0},
        r"label_floor must be in \[0, 1\); got 1.0",
    ),
    (
        NoiseAttentionLoss,
        {"attention_threshold": 2},
        r"attention_threshold must be in \[0, 1\)",
    ),
    (NAL, {"rce_weight": -1}, "rce_weight must be at least 0; got -1"),
    (SOPLoss, {"u_lr": -1}, "u_lr must be finite, 0 or more; got -1"),
    (SOPLoss, {"v_lr": float("nan")}, "v_lr must be finite, 0 or more; got nan"),
    (SOPLoss, {"initial": 1}, r"initial must be in \(0, 1\); got 1"),
    (PENCILLoss, {"alpha": -1}, "alpha must be finite, 0 or more; got -1"),
    (PENCILLoss, {"beta": float("nan")}, "beta must be finite, 0 or more; got nan"),
    (PENCILLoss, {"label_lr": float("inf")}, "label_lr must be finite, 0 or more"),
    (PENCILLoss, {"initial_logit": 0}, "initial_logit must be finite, above 0; got 0"),
    (PENCILLoss, {"compatibility": "kl"}, "must be 'softmax' or 'logits'; got 'kl'"),
    (SELCLoss, {"alpha": 1}, r"alpha must be in \[0, 1\); got 1"),
    (SCELoss, {"a": -1}, "a and b must be at least 0, and one of them above; got -1"),
    (SCELoss, {"b": -0.5}, "one of them above; got 0.1, -0.5"),
    (SCELoss, {"a": 0, "b": 0}, "one of them above; got 0, 0"),
    (SCELoss, {"A": 0}, "A must be below 0; got 0"),
    (SCELoss, {"A": 4.0}, "A must be below 0; got 4.0"),
]


@pytest.mark.parametrize(("loss", "params", "message"), BAD)
def test_bad_parameters_are_named(loss, params, message):
    with pytest.raises(ValueError, match=message):
        loss(*SIZES.get(loss, ()), **params)
