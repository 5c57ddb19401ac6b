"""The splitter of DivideMix: two Gaussians of scikit-learn on losses in [0, 1]."""

import numpy as np
from numpy.testing import assert_allclose
from sklearn.mixture import GaussianMixture

from sknoisy.mixture._small_loss import small_loss_splitter


def test_posteriors_are_those_of_the_authors_code():
    rng = np.random.default_rng(0)
    losses = np.abs(np.concatenate([rng.normal(2, 0.3, 300), rng.normal(4, 1.5, 200)]))
    scaled = ((losses - losses.min()) / (losses.max() - losses.min()))[:, None]
    mixture = GaussianMixture(
        2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=3
    ).fit(scaled)
    splitter = small_loss_splitter(3).fit(losses)
    found = splitter.predict_proba(losses)
    clean = mixture.means_.argmin()
    # The splitter adds 1e-5 and 1e-6 to the range, against a division by zero.
    assert_allclose(found[:, 0], mixture.predict_proba(scaled)[:, clean], atol=1e-4)
    # The wide Gaussian of wrong labels takes the smallest losses, too, and keeps them.
    order = losses.argsort()
    assert (np.diff(found[order, 1]) < -1e-6).any()
    assert_allclose(splitter.mixture_.covariances_, mixture.covariances_, rtol=2e-4)


def test_its_constants_are_the_published_ones():
    splitter = small_loss_splitter(0)
    mixture = splitter.mixture
    assert (mixture.n_components, mixture.max_iter) == (2, 10)
    assert (mixture.tol, mixture.reg_covar) == (1e-2, 5e-4)
    assert splitter.trim is None and splitter.clip == 0
    assert not splitter.monotone_left and not splitter.monotone_right
