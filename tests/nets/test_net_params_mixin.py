"""Flat net parameters on estimators that build their own net."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sknoisy import NetClassifier
from sknoisy.detection import AUMDetector, DynaCorDetector, LossMixtureDetector

KINDS = {
    DynaCorDetector: {"encoder_epochs": 1, "encoder_dim": 8},
    AUMDetector: {},
    LossMixtureDetector: {},
}
# The table has too few rows for a mixture of their losses.
pytestmark = pytest.mark.filterwarnings("ignore:.* losses are too few")
BOTH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def small(kind, *args, **params):
    defaults = {"random_state": 0, **KINDS[kind]}
    if not args:
        defaults.update(max_epochs=2, module__hidden=4)
    return kind(*args, **{**defaults, **params})


class Linear(nn.Module):
    """One output more than there are classes, for the extra class of AUM."""

    def __init__(self, n_out=4):
        super().__init__()
        self.head = nn.Linear(4, n_out)

    def forward(self, X):
        return self.head(X)


def stock(kind, **params):
    # Three classes, and one more for AUM.
    n_out = 4 if kind is AUMDetector else 3
    return NeuralNetClassifier(
        Linear,
        module__n_out=n_out,
        criterion=nn.CrossEntropyLoss,
        max_epochs=2,
        verbose=0,
        **params,
    )


@BOTH
class TestNames:
    def test_get_params_has_them(self, kind):
        detector = kind(module__hidden=3, optimizer__lr=0.2)
        params = detector.get_params()
        assert params["module__hidden"] == 3 and params["optimizer__lr"] == 0.2
        assert {"estimator", "max_epochs", "lr", "random_state"} <= params.keys()
        assert "_net_param_names" not in params

    def test_clone_keeps_them(self, kind):
        detector = kind(module__hidden=3, iterator_train__drop_last=True, lr=0.3)
        again = clone(detector)
        assert again is not detector
        assert again.get_params() == detector.get_params()
        again.set_params(module__hidden=5)
        assert detector.module__hidden == 3

    @pytest.mark.fast_cases(1)
    def test_set_params_takes_new_and_old_ones(self, kind, table):
        detector = small(kind, module__hidden=3)
        given = detector.set_params(
            module__hidden=5,
            module__dropout=0.1,
            max_epochs=1,
            criterion__reduction="sum",
        )
        assert given is detector
        detector.fit(*table)
        assert detector.net_.module_.head.in_features == 5
        assert detector.net_.module_.body[2].p == 0.1
        assert detector.net_.criterion_.reduction == "sum"
        assert len(detector.net_.history) == 1
        assert clone(detector).get_params()["module__dropout"] == 0.1

    @pytest.mark.fast_cases(1)
    def test_they_reach_the_net(self, kind, table, spy):
        detector = small(
            kind,
            optimizer__momentum=0.3,
            optimizer__weight_decay=0.0,
            lr=0.02,
            batch_size=9,
            callbacks=[spy],
            callbacks__print_log=None,
        ).fit(*table)
        group = detector.net_.optimizer_.param_groups[0]
        assert (group["momentum"], group["weight_decay"]) == (0.3, 0.0)
        assert (detector.net_.lr, detector.net_.batch_size) == (0.02, 9)
        assert len(spy.train) == 2 and len(spy.train[0][0][0]) == 9
        assert "print_log" not in dict(detector.net_.callbacks_)
        assert detector.callbacks == [spy]

    @pytest.mark.fast_cases(1)
    def test_a_grid_of_them(self, kind, table):
        grid = {"module__hidden": [2, 5], "optimizer__lr": [0.01]}
        for params in ParameterGrid(grid):
            detector = clone(small(kind)).set_params(**params).fit(*table)
            width = detector.net_.module_.head.in_features
            assert width == params["module__hidden"]
            assert detector.net_.optimizer_.param_groups[0]["lr"] <= 0.01

    @pytest.mark.fast_cases(1)
    def test_pickle_and_copy_keep_them(self, kind, table):
        detector = small(kind)
        expected = clone(detector).fit(*table).noise_scores_
        for again in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
            assert again.get_params() == detector.get_params()
            np.testing.assert_array_equal(again.fit(*table).noise_scores_, expected)

    @pytest.mark.fast_cases(2)
    def test_dropping_the_last_batch_leaves_finite_scores(self, kind, table):
        detector = small(
            kind, iterator_train__drop_last=True, batch_size=16, max_epochs=6
        ).fit(*table)
        assert np.isfinite(detector.noise_scores_).all()
        assert set(detector.suggested_labels_) <= {0, 1, 2}


@BOTH
class TestTypos:
    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("module__hiden", "module__hiden.*hidden"),
            ("optimizer__momentun", "optimizer__momentun.*momentum"),
            ("iterator_train__shufle", "iterator_train__shufle.*shuffle"),
            ("iterator_valid__bath_size", "iterator_valid__bath_size.*batch_size"),
            ("callbacks__foo", "callbacks__foo names no callback"),
            ("modul__hidden", "takes no modul__hidden; parameters of its network are"),
            ("max_epoch", "takes no max_epoch; parameters of its network are named"),
        ],
    )
    def test_they_are_named_at_fit(self, kind, table, name, message):
        detector = small(kind, **{name: 3})
        assert clone(detector).get_params()[name] == 3
        with pytest.raises(ValueError, match=message):
            detector.fit(*table)

    def test_set_params_refuses_other_names(self, kind):
        with pytest.raises(ValueError, match="Invalid parameter 'max_epoch'"):
            small(kind).set_params(max_epoch=3)
        with pytest.raises(ValueError, match="Invalid parameter"):
            small(kind).set_params(modul__hidden=3)


@BOTH
class TestEstimator:
    def test_it_may_be_a_net_of_ours(self, kind, table, spy):
        net = NetClassifier(max_epochs=2, module__hidden=3, callbacks=[spy])
        before = dict(vars(net))
        detector = small(kind, net).fit(*table)
        assert vars(net) == before and net.callbacks == [spy]
        assert not net.initialized_ and not hasattr(net, "module_")
        assert detector.net_ is not net
        assert detector.net_.module_.head.in_features == 3

    def test_it_may_be_a_plain_skorch_net(self, kind, table):
        net = stock(kind)
        before = dict(vars(net))
        state = torch.random.get_rng_state()
        detector = small(kind, net).fit(*table)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert vars(net) == before and not net.initialized_
        assert type(detector.net_) is NeuralNetClassifier
        assert detector.noise_scores_.shape == (45,)
        assert np.isfinite(detector.noise_scores_).all()
        again = small(kind, net).fit(*table)
        np.testing.assert_array_equal(again.noise_scores_, detector.noise_scores_)

    def test_a_fitted_net_is_cloned_and_keeps_its_weights(self, kind, table):
        net = NetClassifier(max_epochs=2, module__hidden=3, random_state=0)
        expected = net.fit(*table).predict_proba(table[0])
        small(kind, net).fit(*table)
        np.testing.assert_array_equal(net.predict_proba(table[0]), expected)

    def test_the_recorder_runs_where_callbacks_are_disabled(self, kind, table):
        for net in (
            NetClassifier(max_epochs=2, module__hidden=3, callbacks="disable"),
            stock(kind, callbacks="disable"),
        ):
            detector = small(kind, net).fit(*table)
            assert detector.trajectories_.shape == (45, 2)
            assert len(detector.net_.callbacks_) == 1

    def test_its_parameters_are_nested(self, kind, table):
        detector = small(kind, NetClassifier(module__hidden=3))
        detector.set_params(estimator__max_epochs=1, estimator__module__hidden=5)
        detector.fit(*table)
        assert detector.net_.module_.head.in_features == 5
        assert detector.trajectories_.shape == (45, 1)
        assert detector.get_params()["estimator__max_epochs"] == 1

    @pytest.mark.parametrize(
        "params",
        [
            {"max_epochs": 3},
            {"lr": 0.5},
            {"module": Linear},
            {"callbacks": []},
            {"module__hidden": 3},
        ],
        ids=str,
    )
    def test_flat_parameters_beside_it_are_refused(self, kind, table, params):
        (name,) = params
        detector = small(kind, NetClassifier(max_epochs=1), **params)
        message = f"^{name}: set on the estimator .* estimator__{name}"
        with pytest.raises(ValueError, match=message):
            detector.fit(*table)

    @pytest.mark.fast_cases(2)
    def test_a_copy_from_another_process_can_be_fitted(self, kind, table):
        # Pickling makes new objects even of the defaults.
        detector = small(kind, NetClassifier(max_epochs=1, module__hidden=3))
        expected = clone(detector).fit(*table).noise_scores_
        again = pickle.loads(pickle.dumps(detector)).fit(*table)
        np.testing.assert_array_equal(again.noise_scores_, expected)

    def test_naming_a_default_is_no_offence(self, kind, table):
        lr = kind().lr
        lr = lr if lr is None else float(str(lr))  # equal, and another object
        detector = small(kind, NetClassifier(max_epochs=1, module__hidden=3), lr=lr)
        assert detector.fit(*table).noise_scores_.shape == (45,)

    def test_callbacks_of_the_net_are_kept(self, kind, table):
        class Count(Callback):
            def on_train_begin(self, net, **kwargs):
                self.epochs = 0

            def on_epoch_end(self, net, **kwargs):
                self.epochs += 1

        net = NetClassifier(max_epochs=3, module__hidden=3, callbacks=[Count()])
        detector = small(kind, net).fit(*table)
        counts = [c for _, c in detector.net_.callbacks_ if isinstance(c, Count)]
        assert [count.epochs for count in counts] == [3]


@pytest.mark.parametrize("other", [LogisticRegression(), "net", NetClassifier])
@pytest.mark.parametrize("kind", [DynaCorDetector, AUMDetector])
def test_other_estimators_are_refused_where_a_net_is_needed(kind, table, other):
    with pytest.raises(TypeError, match=r"'estimator' .* must be a skorch net"):
        small(kind, other).fit(*table)
    with pytest.raises(TypeError, match=r"must be a skorch net.*got \w+\."):
        kind(other)._make_net()
