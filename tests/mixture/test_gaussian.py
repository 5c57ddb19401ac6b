"""Mixtures whose iterations run out: no warning, and no filter that is changed."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

import sknoisy
from sknoisy import BetaMixture
from sknoisy.mixture._gaussian import fit_mixture

POINTS = np.random.default_rng(0).random((60, 1))


@pytest.mark.usefixtures("no_dispatch")
@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_the_fit_is_that_of_scikit_learn(kind):
    mixture = kind(n_components=2, max_iter=3, tol=0, random_state=0)
    with pytest.warns(match="did not converge"):
        expected = clone(mixture).fit(POINTS)
    found = fit_mixture(mixture, POINTS)
    assert found is mixture and type(found) is kind
    assert vars(found).keys() == vars(expected).keys()
    assert found.converged_ is False and found.n_iter_ == 3
    np.testing.assert_array_equal(found.means_, expected.means_)
    mixture.set_params(max_iter=900, tol=1)
    assert fit_mixture(mixture, POINTS).converged_ is True


def test_a_mixture_that_fails_is_of_its_kind_again():
    mixture = GaussianMixture(99)
    with pytest.raises(ValueError, match="Expected n_samples >= n_components"):
        fit_mixture(mixture, POINTS)
    assert type(mixture) is GaussianMixture
    with pytest.raises(ValueError, match="Expected 2D array"):
        fit_mixture(BetaMixture(), POINTS[:, 0])


def test_filters_are_for_the_command_only():
    root = Path(sknoisy.__file__).parent
    users = {
        path.relative_to(root).parts[0]
        for path in root.rglob("*.py")
        if "warnings.catch_warnings" in path.read_text()
    }
    assert users == {"command_line"}
