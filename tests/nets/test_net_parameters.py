"""Parameters and parts that make no sense are named before any training."""

import pytest
import torch
from torch import nn

from sknoisy import (
    AUMDetector,
    CoTeachingClassifier,
    DynaCorDetector,
    ELRClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
)
from sknoisy.nets._parameter_names import did_you_mean, signature_of

NET = r"parameter of NetClassifier must be"


def three():
    return 3


class NoCallback:
    pass


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"module": 5}, f"'module' {NET} a torch.nn.Module .* Got 5"),
        ({"module": dict}, f"'module' {NET} .* Got <class 'dict'>"),
        ({"module": three}, "module must return a torch module; three .* type int"),
        ({"criterion": 3}, f"'criterion' {NET} .* Got 3"),
        ({"criterion": three}, "criterion must return .*; three returns .* int"),
        ({"optimizer": dict}, f"'optimizer' {NET} .* Got <class 'dict'>"),
        ({"train_split": 0.2}, f"'train_split' {NET} a callable or None. Got 0.2"),
        (
            {"train_split": lambda X, y: X},
            "train_split must return two datasets.*Rows",
        ),
        ({"iterator_train": 5}, f"'iterator_train' {NET} a callable. Got 5"),
        ({"iterator_valid": 5}, f"'iterator_valid' {NET} a callable. Got 5"),
        ({"callbacks": [3]}, "callbacks must be a list of skorch callbacks.*got 3 in"),
        ({"callbacks": [("a", "b")]}, r"callbacks must be .*got \('a', 'b'\) in it"),
        ({"callbacks": [NoCallback()]}, "callbacks must be .*got <.*NoCallback object"),
        ({"device": "gpu"}, "device='gpu' is not a torch device: pass 'cpu'"),
        ({"device": "meta"}, "device='meta' cannot compute"),
        ({"predict_nonlinearity": 5}, f"'predict_nonlinearity' {NET} .* Got 5"),
        ({"max_epoch": 3}, r"argument\(s\) max_epoch. Did you mean max_epochs\?"),
        ({"batchsize": 3}, r"Did you mean batch_size\?"),
        ({"modul__hidden": 3}, r"modul__hidden. Did you mean module__hidden\?"),
        ({"module_hidden": 3}, r"module_hidden. Did you mean module__hidden\?"),
        ({"hidden": 3}, r"argument\(s\) hidden. Did you mean module__hidden\?"),
        ({"weight_decay": 3}, r"Did you mean optimizer__weight_decay\?"),
        ({"qqq": 3}, r"NetClassifier got unexpected argument\(s\) qqq.$"),
        ({"module__hiden": 3}, r"no module__hiden; .* Did you mean module__hidden\?"),
        ({"optimizer__momentun": 3}, r"Did you mean optimizer__momentum\?"),
    ],
)
def test_refused_by_a_net(table, params, message):
    net = NetClassifier(**{"max_epochs": 1, **params})
    with pytest.raises((TypeError, ValueError), match=message):
        net.fit(*table)
    assert not net.history_


@pytest.mark.parametrize(
    ("detector", "params", "message"),
    [
        (AUMDetector, {"max_epoch": 3}, r"no max_epoch; .* Did you mean max_epochs\?"),
        (DynaCorDetector, {"n_run": 3}, r"no n_run; .* Did you mean n_runs\?"),
        (AUMDetector, {"modul__hidden": 3}, r"Did you mean module__hidden\?"),
        (AUMDetector, {"module__hiden": 3}, r"Did you mean module__hidden\?"),
        (AUMDetector, {"qqq": 3}, "takes no qqq; .*callbacks__….$"),
        (AUMDetector, {"callbacks": [5]}, "callbacks must be a list of skorch .*got 5"),
        (DynaCorDetector, {"device": "gpu"}, "device='gpu' is not a torch device"),
        (AUMDetector, {"module": 5}, "'module' parameter of AUMDetector must be"),
    ],
)
def test_refused_by_a_detector(table, detector, params, message):
    with pytest.raises((TypeError, ValueError), match=message):
        detector(**{"random_state": 0, **params}).fit(*table)


def test_a_classifier_names_its_own_parameters(table):
    with pytest.raises(ValueError, match=r"ELRClassifier got .* Did you mean lam\?"):
        ELRClassifier(lamb=3).fit(*table)


def same(X):
    return X


@pytest.mark.parametrize(
    "classifier",
    [
        NetClassifier(),
        CoTeachingClassifier(forget_rate=0.1),
        NALClassifier(),
        FlywheelClassifier(weak_view=same, strong_view=same),
    ],
    ids=lambda clf: type(clf).__name__,
)
def test_a_tuple_is_refused_by_every_kind_of_net(table, classifier):
    class Two(nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.head = nn.Linear(4, n_classes)

        def forward(self, X):
            return self.head(X), X

    with pytest.raises(TypeError, match=r"Two must return logits.* returns a tuple"):
        classifier.set_params(module=Two, max_epochs=5).fit(*table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: torch.tensor(X, requires_grad=True), r"X .* requires grad.*detach"),
        (lambda X: torch.tensor(X).to_sparse(), r"X is a sparse tensor; .*to_dense"),
        (lambda X: {"a": X, "b": X}, "X is a dict, which has no rows; pass"),
    ],
)
def test_kinds_of_rows(table, change, message):
    X, y = table
    with pytest.raises(TypeError, match=message):
        NetClassifier(max_epochs=1).fit(change(X), y)
    fitted = NetClassifier(max_epochs=1, module__hidden=4).fit(X, y)
    for method in (fitted.predict, fitted.transform):
        with pytest.raises(TypeError, match=message):
            method(change(X))
    with pytest.raises(TypeError, match=message):
        AUMDetector(max_epochs=1).fit(change(X), y)


def test_a_tensor_is_as_good_as_an_array(table):
    X, y = table
    a, b = (NetClassifier(max_epochs=1, random_state=0) for _ in range(2))
    a.fit(X, y)
    b.fit(torch.tensor(X), torch.tensor(y))
    assert (a.predict_proba(X) == b.predict_proba(torch.tensor(X).double())).all()


def test_what_was_meant():
    known = ["lr", "module__hidden", "module__"]
    assert did_you_mean("module__hidde", known) == " Did you mean module__hidden?"
    assert did_you_mean("hidden", known) == " Did you mean module__hidden?"
    assert did_you_mean("zzz", known) == ""


def test_some_callables_have_no_signature():
    assert signature_of(dict) == ([], True)
    assert signature_of(three) == ([], False)
