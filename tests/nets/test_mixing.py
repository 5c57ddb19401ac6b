from types import SimpleNamespace

import numpy as np
import torch

from sknoisy.nets._mixing import draw_mixing, epoch_generator


def net(epoch=1, alpha=1.0):
    net = SimpleNamespace(seed_=5, history=[{}] * epoch, mixup_alpha=alpha)
    net.rng_ = epoch_generator(net)
    return net


def test_the_same_epoch_draws_the_same_numbers():
    draws = [epoch_generator(net(epoch)).random() for epoch in (2, 2, 3)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0] == np.random.default_rng([5, 2]).random()


def test_every_row_is_once_a_partner_and_one_share_serves_the_batch():
    X = torch.zeros(50, 3)
    partner, share = draw_mixing(net(), X)
    assert sorted(partner.tolist()) == list(range(50))
    assert isinstance(share, float) and 0.5 <= share <= 1


def test_the_share_is_that_of_beta_or_of_its_larger_part():
    plain, folded = net(alpha=0.4), net(alpha=0.4)
    X = torch.zeros(2)
    shares = np.array([draw_mixing(plain, X, keeps_most=False)[1] for _ in range(4000)])
    larger = np.array([draw_mixing(folded, X)[1] for _ in range(4000)])
    np.testing.assert_array_equal(larger, np.maximum(shares, 1 - shares))
    # Of Beta(α, α), 1 / (4 (2 α + 1)).
    np.testing.assert_allclose(shares.var(), 1 / 7.2, rtol=0.05)
