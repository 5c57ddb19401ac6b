"""Parameters, clones, searches, pickles of NetClassifier."""

import copy
import io
import pickle
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import EarlyStopping, EpochScoring
from skorch.exceptions import DeviceWarning
from torch import nn

from sknoisy import NetClassifier
from sknoisy.nets import MLP, LoaderBatches, _loop


class Plain(nn.Module):
    """Asks for nothing but its own parameters."""

    def __init__(self, n_in, width=3, n_out=3):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_in, width), nn.Tanh(), nn.Linear(width, n_out)
        )

    def forward(self, X):
        return self.layers(X)


class Open(Plain):
    """Takes any keyword."""

    def __init__(self, **kwargs):
        self.kwargs = kwargs
        super().__init__(n_in=4)


def state_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same_state(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].equal(b[name]), name


class TestNestedNames:
    PARAMS = {
        "module__hidden": 7,
        "module__dropout": 0.1,
        "optimizer__weight_decay": 0.01,
        "optimizer__momentum": 0.5,
        "iterator_train__drop_last": True,
        "iterator_valid__batch_size": 5,
        "criterion__label_smoothing": 0.1,
        "callbacks__print_log": None,
    }

    def assert_applied(self, net, table):
        net.fit(*table)
        assert net.module_.head.in_features == 7
        assert net.module_.body[2].p == 0.1
        group = net.optimizer_.param_groups[0]
        assert (group["weight_decay"], group["momentum"]) == (0.01, 0.5)
        assert net.criterion_.label_smoothing == 0.1
        assert "print_log" not in dict(net.callbacks_)
        assert net.history[-1, "train_batch_count"] == 2  # of 16 in 45
        iterator = net.get_iterator(net.get_dataset(table[0]))
        assert len(iterator) == 9

    def test_in_the_constructor(self, table):
        net = NetClassifier(max_epochs=1, batch_size=16, **self.PARAMS)
        self.assert_applied(net, table)

    def test_by_set_params(self, table):
        net = NetClassifier(max_epochs=1, batch_size=16)
        assert net.set_params(**self.PARAMS) is net
        self.assert_applied(net, table)

    def test_on_a_clone_and_on_a_clone_of_a_fitted_net(self, table):
        net = NetClassifier(max_epochs=1, batch_size=16, **self.PARAMS)
        self.assert_applied(clone(net), table)
        fitted = copy.deepcopy(net).fit(*table)
        again = clone(fitted)
        assert not hasattr(again, "module_") and not again.initialized_
        self.assert_applied(again, table)

    def test_get_params_has_them(self):
        net = NetClassifier(**self.PARAMS)
        params = net.get_params(deep=False)
        assert self.PARAMS.items() <= params.items()
        assert params["lr"] == 0.05 and params["lr_schedule"] == "cosine"
        assert not [name for name in params if name.endswith("_")]
        with pytest.raises(ValueError, match="Invalid parameter 'rate'"):
            net.set_params(rate=3)

    def test_parameters_stay_as_given(self, table):
        callbacks = [EarlyStopping("train_loss")]
        net = NetClassifier(max_epochs=1, callbacks=callbacks, **self.PARAMS)
        before = dict(vars(net))
        net.fit(*table)
        after = {name: vars(net)[name] for name in before}
        assert all(after[name] is before[name] for name in before)
        assert len(callbacks) == 1

    def test_repr_before_and_after_fit(self, table):
        net = NetClassifier(max_epochs=1, **self.PARAMS)
        assert "NetClassifier" in repr(net)
        assert "NetClassifier" in repr(net.fit(*table))


class TestTypos:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("module__hiden", r"MLP takes no module__hiden; it takes .*hidden"),
            ("optimizer__momentun", "SGD takes no optimizer__momentun; .*momentum"),
            ("iterator_train__shufle", "takes no iterator_train__shufle.*shuffle"),
            ("iterator_valid__bath_size", "takes no iterator_valid__bath_size.*batch"),
            ("criterion__wieght", "CrossEntropyLoss takes no criterion__wieght.*weig"),
            ("callbacks__foo", "callbacks__foo names no callback.*print_log"),
            ("callbacks__foo__sink", "callbacks__foo__sink names no callback"),
            ("foo", "unexpected argument.*foo"),
            ("module_hidden", r"module_hidden. Did you mean module__hidden\?"),
            ("dataset__foo", "dataset__foo"),
        ],
    )
    def test_they_are_named_at_fit_not_before(self, table, name, message):
        net = NetClassifier(max_epochs=1, **{name: 3})
        clone(net)
        with pytest.raises((ValueError, TypeError), match=message):
            net.fit(*table)

    def test_they_are_named_without_callbacks_too(self, table):
        net = NetClassifier(max_epochs=1, callbacks="disable", callbacks__foo=3)
        with pytest.raises(ValueError, match="callbacks__foo"):
            net.fit(*table)

    @pytest.mark.parametrize(
        "name",
        [
            "module__hiden",
            "optimizer__momentun",
            "iterator_train__shufle",
            "criterion__wieght",
            "callbacks__foo",
        ],
    )
    def test_a_fitted_net_names_them_at_the_next_fit_at_the_latest(self, table, name):
        net = NetClassifier(max_epochs=1, module__hidden=3).fit(*table)
        with pytest.raises(ValueError, match=name):
            net.set_params(**{name: 3}).fit(*table)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("lr", -0.1),
            ("lr", "fast"),
            ("max_epochs", -1),
            ("max_epochs", 2.5),
            ("batch_size", 0),
            ("batch_size", -2),
            ("lr_schedule", "linear"),
            ("lr_schedule", 0.0),
            ("lr_schedule", 1.5),
            ("amp", "yes"),
            ("random_state", "a"),
            ("callbacks", "enable"),
            ("verbose", -1),
            ("warm_start", "no"),
            ("compile", 2),
        ],
    )
    def test_values_out_of_range_are_named(self, table, name, value):
        net = NetClassifier(max_epochs=1).set_params(**{name: value})
        with pytest.raises(ValueError, match=f"'{name}' parameter of NetClassifier"):
            net.fit(*table)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"module__dropout": 1.5}, r"dropout must be in \[0, 1\); got 1.5"),
            ({"module__hidden": 0}, "hidden must hold widths"),
            ({"iterator_train__batch_size": 0}, "batch_size must be at least 1"),
        ],
    )
    def test_values_of_the_parts_are_named(self, table, params, message):
        with pytest.raises(ValueError, match=message):
            NetClassifier(max_epochs=1, **params).fit(*table)


class TestModules:
    def test_a_class_is_given_only_what_it_asks_for(self, make_net, table):
        net = make_net(Plain, module__n_in=4, module__width=5).fit(*table)
        assert net.module_.layers[0].weight.shape == (5, 4)
        net = make_net(Open, module__anything=3).fit(*table)
        assert net.module_.kwargs == {"anything": 3}

    def test_what_the_user_says_comes_first(self, make_net, table):
        X, y = table
        net = make_net(MLP, module__n_classes=3, module__input_shape=(2, 2)).fit(X, y)
        assert net.module_.body[0].in_features == 4

    def test_a_wrong_number_of_outputs_is_refused(self, make_net, table):
        message = "Plain must return logits.* 5 outputs for a row, but 3 are needed"
        with pytest.raises(ValueError, match=message):
            make_net(Plain, module__n_in=4, module__n_out=5).fit(*table)

    def test_an_instance_is_copied_and_never_trained(self, make_net, table):
        X, y = table
        module = Plain(4)
        before = state_of(module)
        net = make_net(module, lr=0.5).fit(X, y)
        assert net.module is module and net.module_ is not module
        assert_same_state(module.state_dict(), before)
        first = net.predict_proba(X)
        assert not net.module_.layers[0].weight.equal(before["layers.0.weight"])
        # A second fit starts from the instance's weights again.
        np.testing.assert_array_equal(net.fit(X, y).predict_proba(X), first)

    def test_fit_starts_from_the_weights_of_an_instance(self, make_net, table):
        module = Plain(4)
        net = make_net(module, lr=0, random_state=7).fit(*table)
        assert_same_state(net.module_.state_dict(), module.state_dict())

    def test_a_clone_starts_from_the_same_instance_weights(self, make_net, table):
        net = make_net(Plain(4))
        a, b = clone(net).fit(*table), net.fit(*table)
        assert_same_state(a.module_.state_dict(), b.module_.state_dict())

    def test_parameters_rebuild_an_instance(self, make_net, table):
        net = make_net(Plain(4), module__n_in=4, module__width=9).fit(*table)
        assert net.module_.layers[0].out_features == 9

    def test_a_criterion_instance_is_copied(self, make_net, table):
        criterion = nn.CrossEntropyLoss(label_smoothing=0.2)
        net = make_net(criterion=criterion).fit(*table)
        assert net.criterion_ is not criterion
        assert net.criterion_.label_smoothing == 0.2


class TestSetParamsAfterFit:
    def test_a_new_module_draws_from_our_seed_only(self, make_net, table):
        X, y = table
        nets = []
        for seed in (0, 1):
            net = make_net().fit(X, y)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                before = torch.random.get_rng_state()
                net.set_params(module__hidden=9)
                assert torch.equal(torch.random.get_rng_state(), before)
            assert net.module_.head.in_features == 9
            nets.append(net.partial_fit(X, y))
        np.testing.assert_array_equal(
            nets[0].predict_proba(X), nets[1].predict_proba(X)
        )

    def test_then_fit_equals_a_fresh_net(self, make_net, table):
        X, y = table
        net = make_net().fit(X, y).set_params(module__hidden=9).fit(X, y)
        fresh = make_net(module__hidden=9).fit(X, y)
        np.testing.assert_array_equal(net.predict_proba(X), fresh.predict_proba(X))

    def test_parameters_of_the_iterators(self, make_net, table):
        net = make_net(max_epochs=1).fit(*table)
        net.set_params(iterator_train__drop_last=True).partial_fit(*table)
        assert net.history[:, "train_batch_count"] == [3, 2]

    def test_parameters_of_the_optimizer(self, make_net, table):
        net = make_net().fit(*table).set_params(optimizer__momentum=0.1)
        assert net.optimizer_.param_groups[0]["momentum"] == 0.1
        assert net.fit(*table).optimizer_.param_groups[0]["momentum"] == 0.1

    def test_callbacks_can_be_dropped(self, make_net, table):
        net = make_net().fit(*table)
        net.set_params(callbacks__print_log=None).partial_fit(*table)
        assert len(net.history) == 6

    def test_callbacks_can_be_replaced(self, make_net, table, spy):
        net = make_net().fit(*table).set_params(callbacks=[spy]).fit(*table)
        assert len(spy.train) == len(net.history) == 3


class TestSearches:
    @pytest.fixture
    def pipe(self):
        net = NetClassifier(
            max_epochs=15, batch_size=16, random_state=0, module__dropout=0.0
        )
        return make_pipeline(StandardScaler(), net)

    @pytest.mark.slow
    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_grid_over_module_and_optimizer(self, pipe, table, n_jobs):
        X, y = table
        names = np.array(["ant", "bee", "cat"])[y]
        grid = {
            "netclassifier__module__hidden": [8, (8, 8)],
            "netclassifier__optimizer__lr": [1e-9, 0.1],
        }
        search = GridSearchCV(pipe, grid, cv=2, n_jobs=n_jobs).fit(X, names)
        best = search.best_estimator_[-1]
        assert best.optimizer_.param_groups[0]["lr"] == 0.1
        width = search.best_params_["netclassifier__module__hidden"]
        last = width if isinstance(width, int) else width[-1]
        assert best.module_.head.in_features == last
        assert set(search.predict(X)) <= {"ant", "bee", "cat"}
        # Every cell equals a pipeline that is fitted by hand.
        for cell, score in zip(
            search.cv_results_["params"],
            search.cv_results_["mean_test_score"],
            strict=True,
        ):
            by_hand = cross_val_score(clone(pipe).set_params(**cell), X, names, cv=2)
            assert by_hand.mean() == pytest.approx(score, rel=1e-9)

    @pytest.mark.usefixtures("no_routing")
    def test_weights_reach_the_net_through_a_pipeline(self, pipe, table):
        X, y = table
        w = np.random.default_rng(0).random(45)
        pipe.fit(X, y, netclassifier__sample_weight=w)
        Z = StandardScaler().fit_transform(X)
        by_hand = clone(pipe[-1]).fit(Z, y, sample_weight=w)
        np.testing.assert_array_equal(pipe.predict_proba(X), by_hand.predict_proba(Z))

    def test_weights_reach_the_net_by_metadata_routing(self, table):
        X, y = table
        w = np.random.default_rng(0).random(45)
        params = {"max_epochs": 2, "module__hidden": 4, "random_state": 0}
        with config_context(enable_metadata_routing=True):
            net = NetClassifier(**params).set_fit_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            routed = make_pipeline(scaler, net)
            routed.fit(X, y, sample_weight=w)
        Z = StandardScaler().fit_transform(X)
        by_hand = NetClassifier(**params).fit(Z, y, sample_weight=w)
        np.testing.assert_array_equal(routed.predict_proba(X), by_hand.predict_proba(Z))


class TestPickle:
    def copies(self, net):
        buffer = io.BytesIO()
        joblib.dump(net, buffer)
        buffer.seek(0)
        return pickle.loads(pickle.dumps(net)), copy.deepcopy(net), joblib.load(buffer)

    def test_copies_predict_the_same(self, make_net, table):
        X, y = table
        names = np.array(["ant", "bee", "cat"])[y]
        net = make_net().fit(X, names)
        for again in self.copies(net):
            assert again.device is None and again.device_ == torch.device("cpu")
            np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
            assert again.predict(X).tolist() == net.predict(X).tolist()
            np.testing.assert_array_equal(again.transform(X), net.transform(X))
            assert again.history[:, "train_loss"] == net.history[:, "train_loss"]

    def test_copies_go_on_as_the_net_would(self, make_net, table):
        X, y = table
        params = {"lr_schedule": None, "module__dropout": 0.3}
        whole = make_net(max_epochs=4, **params).fit(X, y)
        for again in self.copies(make_net(max_epochs=2, **params).fit(X, y)):
            again.partial_fit(X, y)
            assert_same_state(again.module_.state_dict(), whole.module_.state_dict())

    def test_an_unfitted_net(self, make_net, table):
        X, y = table
        expected = make_net().fit(X, y).predict_proba(X)
        for again in self.copies(make_net()):
            assert not again.initialized_ and again.device is None
            np.testing.assert_array_equal(again.fit(X, y).predict_proba(X), expected)

    @pytest.mark.parametrize("iterator", [None, LoaderBatches])
    def test_callbacks_and_iterators_survive(self, make_net, table, iterator):
        params = {} if iterator is None else {"iterator_valid": iterator}
        scoring = EpochScoring("accuracy", lower_is_better=False, on_train=True)
        net = make_net(callbacks=[scoring], **params).fit(*table)
        again = pickle.loads(pickle.dumps(net)).partial_fit(*table)
        assert len(again.history) == 6

    def test_a_default_device_is_looked_up_where_it_is_loaded(
        self, make_net, table, monkeypatch
    ):
        # As if the net had been trained on a machine with CUDA.
        net = make_net().fit(*table)
        state = net.__getstate__()
        state["device_"] = torch.device("cuda")
        monkeypatch.setattr(
            _loop, "resolve_device", lambda device: torch.device(device or "cpu")
        )
        again = NetClassifier.__new__(NetClassifier)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again.__setstate__(state)
        assert again.device is None and again.device_ == torch.device("cpu")
        np.testing.assert_array_equal(
            again.predict_proba(table[0]), net.predict_proba(table[0])
        )

    def test_a_device_that_is_gone_is_replaced_with_a_warning(self, make_net, table):
        if torch.cuda.is_available():
            pytest.skip("needs a machine without CUDA")
        net = make_net().fit(*table)
        state = net.__getstate__()
        state.update(device="cuda", device_=torch.device("cuda"))
        again = NetClassifier.__new__(NetClassifier)
        with pytest.warns(DeviceWarning, match="(?i)cuda"):
            again.__setstate__(state)
        assert torch.device(again.device) == again.device_ == torch.device("cpu")
        again.partial_fit(*table)

    def test_saved_parameters_can_be_loaded(self, make_net, table, tmp_path):
        X, y = table
        net = make_net().fit(X, y)
        net.save_params(f_params=tmp_path / "weights.pt")
        other = make_net(random_state=9).fit(X, y)
        other.load_params(f_params=tmp_path / "weights.pt")
        assert other.device is None
        np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


class NeedsImages(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.layer = nn.Conv2d(1, n_classes, 3)

    def forward(self, X):
        return self.layer(X).mean((-2, -1))


def test_rows_that_the_network_cannot_take(blobs):
    X, y, _ = blobs
    net = NetClassifier(NeedsImages, max_epochs=1)
    with pytest.raises(
        ValueError, match=r"NeedsImages cannot take .* of shape \(4,\): "
    ):
        net.fit(X, y)


@pytest.mark.parametrize("factor", ["fast", None, float("nan"), -1, float("inf")])
def test_a_schedule_returns_a_number(blobs, factor):
    X, y, _ = blobs
    net = NetClassifier(max_epochs=1, lr_schedule=lambda done, n: factor)
    with pytest.raises(ValueError, match="lr_schedule must return a number, 0 or more"):
        net.fit(X, y)


def test_a_fitted_net_names_what_it_cannot_build(blobs):
    X, y, _ = blobs
    net = NetClassifier(max_epochs=1, module__hidden=2).fit(X, y)
    for name, value in (("module", [1]), ("optimizer", 5), ("max_epochs", -1)):
        with pytest.raises(
            InvalidParameterError, match=f"The '{name}' parameter of Net"
        ):
            net.set_params(**{name: value})
    assert net.predict(X).shape == y.shape


@pytest.mark.parametrize("name", ["criterio_", "max_epoch_"])
def test_a_misspelt_name_may_end_in_an_underscore(blobs, name):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=f"unexpected argument.* {name}"):
        NetClassifier(max_epochs=1, **{name: 1}).fit(X, y)


def test_warm_start_is_a_bool_also_for_a_fitted_net(blobs):
    X, y, _ = blobs
    net = NetClassifier(max_epochs=1, module__hidden=2).fit(X, y)
    vars(net)["warm_start"] = np.array([1, 2])
    with pytest.raises(InvalidParameterError, match="'warm_start' parameter"):
        net.fit(X, y)


def test_a_criterion_that_takes_no_codes_is_named(blobs):
    X, y, _ = blobs
    net = NetClassifier(max_epochs=1, criterion=nn.BCEWithLogitsLoss)
    with pytest.raises(
        ValueError, match=r"criterion BCEWithLogitsLoss does not take ou"
    ):
        net.fit(X, y)


def test_a_class_that_needs_more_is_named(blobs):
    X, y, _ = blobs
    with pytest.raises(
        TypeError, match=r"Linear needs in_features, out_features: set "
    ):
        NetClassifier(nn.Linear, max_epochs=1).fit(X, y)
    params = {"module__in_features": 4, "module__out_features": 3}
    assert NetClassifier(nn.Linear, max_epochs=1, **params).fit(X, y).predict(X).shape
