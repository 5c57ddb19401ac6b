"""How estimators show themselves: signature, repr, diagram."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from public_estimators import at_defaults, public_estimators, required_parameters
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_documented_defaults import documented_defaults
from torch import nn

from sknoisy import FlywheelClassifier, NetClassifier, RobustLossClassifier
from sknoisy._documentation import DOC_LINK_TEMPLATE

ALL = public_estimators()
CLASSIFIERS = public_estimators("net", "robust classifier")
# A method may have its own defaults of the first three.
SHOWN = ["lr", "max_epochs", "batch_size", "random_state", "verbose", "device"]
ROWS = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
LABELS = np.arange(12) % 2


def defaults(function):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


class Mine(NetClassifier):
    """A method of another package, which hands on what it does not name."""

    def __init__(self, module=None, *, strength=1.0, **net_params):
        super().__init__(module, **net_params)
        self.strength = strength


class Closed(NetClassifier):
    """A method that hands nothing on."""

    def __init__(self, module=None, lr=0.5):
        super().__init__(module, lr=lr)


@pytest.mark.parametrize("cls", CLASSIFIERS)
class TestSignatureOfAClassifier:
    def test_training_parameters_stand_in_it(self, cls):
        usual, own = defaults(NetClassifier), defaults(cls)
        for name in SHOWN:
            assert name in own, f"the signature of {cls.__name__} lacks {name}"
            assert type(own[name]) is type(usual[name]), name
        for name in ("random_state", "verbose", "device"):
            assert own[name] == usual[name], name

    def test_docstring_has_the_defaults_of_the_signature(self, cls):
        promised = dict(documented_defaults(cls))
        for name in SHOWN:
            assert promised[name] == defaults(cls)[name], name

    def test_constructor_stores_them(self, cls):
        params = {
            "lr": 0.3,
            "max_epochs": 3,
            "batch_size": 7,
            "random_state": 5,
            "verbose": 2,
            "device": "meta",
        }
        assert list(params) == SHOWN
        assert params.items() <= cls(**params).get_params(deep=False).items()

    def test_docstring_describes_each_parameter(self, cls):
        text = inspect.getdoc(cls).split("\nAttributes\n")[0]
        named = re.findall(r"^\*{0,2}(\w[\w, ]*) : ", text, re.M)
        named = {name for names in named for name in names.split(", ")}
        assert {*inspect.signature(cls).parameters} <= named


@pytest.mark.parametrize("cls", [*CLASSIFIERS, Mine])
def test_constructor_says_every_parameter_that_there_is(cls):
    # scikit-learn takes the defaults from it.
    found = defaults(cls.__init__)
    assert found == cls().get_params(deep=False)
    assert {"optimizer", "dataset", "use_caching"} <= {*found}
    assert defaults(cls).items() <= found.items()
    assert next(iter(inspect.signature(cls).parameters)) == "module"


def test_constructor_that_hands_nothing_on_keeps_its_signature():
    assert str(inspect.signature(Closed.__init__)) == "(self, module=None, lr=0.5)"


@pytest.mark.parametrize("cls", ALL)
def test_repr_names_changed_parameters_only(cls):
    estimator = at_defaults(cls)
    required = required_parameters(cls)
    shown = re.findall(r"\b(\w+)=", repr(estimator).partition("(")[2])
    assert repr(estimator).startswith(cls.__name__ + "(")
    assert {*required} <= {*shown}
    assert required or not shown


FLYWHEEL = FlywheelClassifier(lr=0.1, max_epochs=1, module__hidden=3)


class TestReprOfANet:
    @pytest.mark.parametrize(
        ("net", "expected"),
        [
            (FLYWHEEL, "FlywheelClassifier(lr=0.1, max_epochs=1, module__hidden=3)"),
            (NetClassifier(lr=0.05), "NetClassifier()"),
            (NetClassifier(nn.Linear), "NetClassifier(module=<class 'torch.nn."),
            (NetClassifier(optimizer=torch.optim.Adam), "NetClassifier(optimizer=<cl"),
            (RobustLossClassifier(loss__q=0.5), "RobustLossClassifier(loss__q=0.5)"),
            (Mine(strength=2, verbose=1), "Mine(strength=2, verbose=1)"),
            (Mine(train_split=None), "Mine()"),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_is_that_of_scikit_learn(self, net, expected):
        assert repr(net).startswith(expected)
        assert repr(clone(net)) == repr(net)

    def test_can_show_all_parameters(self):
        with config_context(print_changed_only=False):
            assert "lr_schedule='cosine'" in repr(NetClassifier())

    def test_is_the_same_in_a_pipeline_and_a_search(self):
        pipeline = make_pipeline(StandardScaler(), FLYWHEEL)
        search = GridSearchCV(NetClassifier(max_epochs=2), {"lr": [0.1]})
        assert "FlywheelClassifier(lr=0.1, max_epochs=1, module__hidden=3)" in repr(
            pipeline
        )
        assert "estimator=NetClassifier(max_epochs=2)," in repr(search)

    def test_is_the_same_after_fit(self):
        net = NetClassifier(module__hidden=3, max_epochs=1, callbacks="disable")
        before = repr(net)
        assert repr(net.fit(ROWS, LABELS)) == before
        assert "callbacks='disable'" in before


def html(estimator):
    with config_context(display="diagram"):
        return estimator._repr_html_()


class TestDiagram:
    @pytest.mark.parametrize("cls", ALL)
    def test_question_mark_leads_to_the_documentation(self, cls):
        link = DOC_LINK_TEMPLATE.format(estimator_name=cls.__name__)
        assert f'href="{link}"' in html(at_defaults(cls))
        # Sphinx names its pages so.
        api = (Path(__file__).parents[1] / "docs/api.rst").read_text(encoding="utf-8")
        assert f"\n   {cls.__name__}\n" in api

    def test_marks_changed_parameters_only(self):
        rows = r'class="user-set">.*?copyToClipboard\(\'(\w+)\''
        marked = re.findall(rows, html(FLYWHEEL), re.S)
        assert sorted(marked) == ["lr", "max_epochs", "module__hidden"]

    def test_of_a_pipeline_has_the_link_of_the_net(self):
        link = DOC_LINK_TEMPLATE.format(estimator_name="FlywheelClassifier")
        assert f'href="{link}"' in html(make_pipeline(StandardScaler(), FLYWHEEL))

    def test_of_a_class_elsewhere_has_none(self):
        assert Mine()._get_doc_link() == ""
