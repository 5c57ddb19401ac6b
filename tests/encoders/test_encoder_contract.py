"""What scikit-learn asks of every estimator, as far as it needs no table."""

import pickle

import numpy as np
import pytest
from public_estimators import ENCODERS, label
from sklearn.base import clone
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.validation import check_is_fitted

CHECKS = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_fit_score_takes_y",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_get_params_invariance",
    "check_set_params",
    "check_mixin_order",
    "check_param_validation",
)


@pytest.fixture
def rows(request):
    """Return the rows that an encoder takes."""

    def of(encoder):
        if label(encoder) == "TextEncoder":
            return ["a", "two words", "three more words"]
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (3, 3, 6, 7)).astype(np.uint8)

    return of


# What these two fit on are tables.
ON_TABLES = ("check_fit_score_takes_y", "check_param_validation")


@pytest.mark.parametrize("name", [n for n in CHECKS if n not in ON_TABLES])
@pytest.mark.parametrize("encoder", ENCODERS, ids=label)
def test_scikit_learn_contract(encoder, name):
    getattr(estimator_checks, name)(label(encoder), clone(encoder))


@pytest.mark.parametrize("encoder", ENCODERS, ids=label)
class TestEncoder:
    def test_tags_say_what_it_takes(self, encoder):
        tags = get_tags(encoder)
        assert tags.input_tags.string and not tags.input_tags.two_d_array
        assert not tags.requires_fit and tags.transformer_tags is not None
        check_is_fitted(encoder)

    def test_fit_returns_itself_and_sets_only_the_width(self, encoder, rows):
        fitted = clone(encoder)
        params = fitted.get_params()
        assert fitted.fit(rows(encoder)) is fitted
        learnt = {name for name in vars(fitted) if name not in params}
        assert learnt <= {"n_features_out_", "_loaded"}
        assert fitted.get_params() == params

    def test_transform_needs_no_fit_and_changes_nothing(self, encoder, rows):
        X = rows(encoder)
        fresh, fitted = clone(encoder), clone(encoder).fit(X)
        before = pickle.dumps(fitted)
        np.testing.assert_array_equal(fresh.transform(X), fitted.transform(X))
        np.testing.assert_array_equal(fresh.fit_transform(X), fitted.transform(X))
        assert pickle.dumps(fitted) == before

    def test_each_row_is_encoded_by_itself(self, encoder, rows):
        X = rows(encoder)
        together = clone(encoder).transform(X)
        alone = [clone(encoder).transform(X[i : i + 1])[0] for i in range(3)]
        np.testing.assert_allclose(together, alone, rtol=1e-6)
        order = clone(encoder).transform(X[::-1])
        np.testing.assert_allclose(order, together[::-1], rtol=1e-6)

    @pytest.mark.parametrize("value", [object(), np.array([1, 2]), {"a": 1}])
    def test_parameters_of_any_wrong_type_are_refused(self, encoder, rows, value):
        for name in encoder.get_params():
            # A model may be any object that can be called, and texts need no device.
            if name == "model" or (name == "device" and label(encoder)[0] == "T"):
                continue
            broken = clone(encoder).set_params(**{name: value})
            error = TypeError if name == "device" else ValueError
            with pytest.raises(error, match=rf"\b{name}\b"):
                broken.fit(rows(encoder))
