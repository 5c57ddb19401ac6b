"""How many classes a net is, and which private members of skorch it overrides."""

import pytest
from public_estimators import public_estimators
from skorch import NeuralNet, NeuralNetClassifier

from sknoisy import CoTeachingPlusClassifier, NetClassifier

NETS = [cls for cls in public_estimators() if issubclass(cls, NetClassifier)]
# Private members of skorch that its public ones leave no way around.
PRIVATE = {
    "_check_device": "skorch would write the device that it finds into the parameter",
    "_default_callbacks": "get_params reads the default callbacks here",
    "_get_param_names": "what is learnt under private names is no parameter",
    "_validate_params": "names that skorch would leave unread are errors",
}


def ours(cls):
    return [kind for kind in cls.__mro__ if kind.__module__.startswith("sknoisy")]


@pytest.mark.parametrize("cls", NETS)
def test_a_net_is_few_classes(cls):
    # Co-teaching+ is co-teaching with one more selection.
    most = {NetClassifier: 3, CoTeachingPlusClassifier: 6}.get(cls, 5)
    assert len(ours(cls)) <= most


def test_few_private_members_of_skorch_are_overridden():
    theirs = {*vars(NeuralNet), *vars(NeuralNetClassifier)}
    found = {name for kind in ours(NetClassifier) for name in vars(kind)} & theirs
    lists = {"_modules", "_criteria", "_optimizers"}
    is_private = {n for n in found if n[0] == "_" and not n.startswith("__")}
    assert is_private - lists == {*PRIVATE}
