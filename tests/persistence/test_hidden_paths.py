"""No place in a file makes the next fit unpickle a file, or run a program."""

import os
import pickle

import numpy as np
import pytest
from sealed_files import seal, unpack
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sknoisy import (
    AUMDetector,
    CleanedClassifier,
    ConfidentLearningDetector,
    DynaCorDetector,
    NetClassifier,
    NoisyLabelFilter,
    load,
    save,
)
from sknoisy.nets import DynamicsRecorder
from sknoisy.persistence import _decode

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
Y = np.arange(30) % 2
NET = NetClassifier(module__hidden=2, max_epochs=1, callbacks=[DynamicsRecorder()])
PIPE = make_pipeline(StandardScaler(), LogisticRegression())


class MakeFolder:
    """Unpickled, it makes a folder: it could do anything."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Holder(BaseEstimator):
    def __init__(self, value=None):
        self.value = value


class Plain:
    pass


def pairs(*items):
    return {"type": "dict", "items": [list(item) for item in items]}


def root(manifest):
    return manifest["objects"][manifest["estimator"]["id"]]


def all_of(manifest, kind):
    return [e for e in manifest["objects"] if e.get("class", "").endswith(kind)]


def under_attributes(kind, name, value):
    """Set a parameter behind the back of those who look at parameters."""

    def edit(manifest):
        for entry in all_of(manifest, kind):
            entry.get("params", {}).pop(name, None)
            entry["attributes"][name] = value

    return edit


def under_params(kind, **values):
    def edit(manifest):
        for entry in all_of(manifest, kind):
            entry["params"].update(values)

    return edit


def lie(estimator, edit, path):
    save(estimator, path)
    manifest, arrays = unpack(path.read_bytes())
    edit(manifest)
    path.write_bytes(seal(manifest, arrays))
    return path


def test_the_exploit_works_where_nothing_looks(tmp_path, monkeypatch):
    evil, done = tmp_path / "evil", tmp_path / "done"
    evil.write_bytes(pickle.dumps(MakeFolder(str(done))))
    edit = under_attributes("NetClassifier", "checkpoint", str(evil))
    path = lie(NET, edit, tmp_path / "file")
    with pytest.raises(ValueError, match="checkpoint may not come from a file"):
        load(path)
    monkeypatch.setattr(_decode, "is_path", lambda name, value: False)
    with pytest.raises(
        ValueError, match="cannot have the learnt attribute 'checkpoint'"
    ):
        load(path)
    monkeypatch.setattr(_decode, "check_names", lambda *args, **kwargs: None)
    monkeypatch.setattr(_decode, "looks_learnt", lambda name: True)
    with pytest.raises(ValueError, match="checkpoint"):
        load(path).fit(X, Y)
    assert done.is_dir()


CHECKPOINT = under_attributes("NetClassifier", "checkpoint", "x")
MEMORY = under_attributes("Pipeline", "memory", "x")
OF_CLEANED = under_attributes("CleanedClassifier", "memory", "x")
KWARGS = pairs(("weights_only", False))
OPTIONS = pairs(("cpp.cxx", "/tmp/evil"))
CLEANED = CleanedClassifier(AUMDetector(NET), make_pipeline(PCA(2), NET))


def net_params(**values):
    return under_params("NetClassifier", **values)


def settings(*items):
    return under_params("DynaCorDetector", settings=[pairs(*items)])


@pytest.mark.parametrize(
    ("estimator", "edit", "name"),
    [
        (NET, CHECKPOINT, "checkpoint"),
        (make_pipeline(PCA(2), NET), CHECKPOINT, "checkpoint"),
        (CLEANED, CHECKPOINT, "checkpoint"),
        (NoisyLabelFilter(ConfidentLearningDetector(NET)), CHECKPOINT, "checkpoint"),
        (BaggingClassifier(NET), CHECKPOINT, "checkpoint"),
        (NET, net_params(checkpoint="x"), "checkpoint"),
        (PIPE, MEMORY, "memory"),
        (CLEANED, MEMORY, "memory"),
        (CLEANED, OF_CLEANED, "memory"),
        (NET, under_attributes("NetClassifier", "torch_load_kwargs", KWARGS), "torch"),
        (NET, net_params(torch_load_kwargs=KWARGS), "torch_load_kwargs"),
        (NET, net_params(compile__options=OPTIONS), "compile__options"),
        (NET, net_params(compile__mode=OPTIONS), "compile__mode"),
        # Parameters of parts, and those of nets that are yet to be made.
        (NET, net_params(callbacks__x__checkpoint="x"), "callbacks__x__checkpoint"),
        (DynaCorDetector(), settings(("checkpoint", "x")), "checkpoint"),
        (DynaCorDetector(), settings(("compile__options", OPTIONS)), "compile__op"),
        (NET, under_attributes("DynamicsRecorder", "memory", "x"), "memory"),
    ],
)
def test_no_path_survives(estimator, edit, name, tmp_path):
    path = lie(estimator, edit, tmp_path / "file")
    with pytest.raises(ValueError, match=f"{name}.* may not come from a file"):
        load(path)


def test_nor_in_a_partial_or_an_object_of_the_caller(tmp_path):
    holder = Holder(Plain())
    edit = under_attributes("Plain", "checkpoint", "x")
    path = lie(holder, edit, tmp_path / "file")
    with pytest.raises(ValueError, match="checkpoint may not come from a file"):
        load(path, known=[Holder, Plain])
    call = [{"type": "name", "name": "builtins.str"}, [], pairs(("memory", "x"))]
    edit = under_params("Holder", value={"type": "partial", "items": call})
    path = lie(Holder(str), edit, path)
    with pytest.raises(ValueError, match="memory may not come from a file"):
        load(path, known=[Holder])


def test_they_are_saved_as_none_wherever_they_stand(tmp_path):
    net = NetClassifier(
        checkpoint="x",
        compile__options={"cpp.cxx": "x"},
        compile__mode="default",
        torch_load_kwargs={"weights_only": False},
    )
    settings = [{"checkpoint": "x", "lr": 0.1}]
    held = Holder([net, DynaCorDetector(settings=settings), {"memory": 3}])
    held.value += [
        make_pipeline(PCA(2), memory="x"),
        CleanedClassifier(0, 1, memory="x"),
    ]
    save(held, tmp_path / "file")
    net, dynacor, memory, pipe, cleaned = load(tmp_path / "file", known=[Holder]).value
    assert net.checkpoint is net.torch_load_kwargs is net.compile__options is None
    assert net.compile__mode == "default" and memory == {"memory": 3}
    assert dynacor.settings == [{"checkpoint": None, "lr": 0.1}]
    assert pipe.memory is None and cleaned.memory is None


@pytest.mark.parametrize(
    ("estimator", "edit", "message"),
    [
        (
            NET,
            under_attributes("NetClassifier", "lr", 1),
            "cannot have the learnt attribute 'lr'",
        ),
        (
            NET,
            under_attributes("NetClassifier", "more", 1),
            "cannot have the learnt attribute 'more'",
        ),
        (
            PIPE,
            under_attributes("Pipeline", "steps", []),
            "cannot have the learnt attribute 'steps'",
        ),
        (
            NET,
            under_attributes("NetClassifier", "_parameter_constraints", pairs()),
            "cannot have the learnt attribute '_parameter_constraints'",
        ),
        (
            PIPE,
            under_attributes("StandardScaler", "_own", 1),
            "StandardScaler cannot have the learnt attribute '_own'",
        ),
        (
            PIPE,
            under_attributes("StandardScaler", "own", 1),
            "StandardScaler cannot have the learnt attribute 'own'",
        ),
        (
            NET,
            under_attributes("NetClassifier", "_modules", 1),
            "must be a list of names",
        ),
        (
            NET,
            under_attributes("NetClassifier", "prefixes_", [1]),
            "must be a list of names",
        ),
        (NET, net_params(initialized_=True), "has no parameter 'initialized_'"),
        (PIPE, under_params("StandardScaler", own=1), "has no parameter 'own'"),
    ],
)
def test_names_that_no_fit_learns(estimator, edit, message, tmp_path):
    path = lie(estimator, edit, tmp_path / "file")
    with pytest.raises(ValueError, match=f"cannot be loaded: .*{message}"):
        load(path)


def test_what_a_net_has_during_a_fit_is_not_read(tmp_path):
    edit = under_attributes("NetClassifier", "hooks_", 1)
    net = load(lie(NET, edit, tmp_path / "file"))
    assert net.hooks_ is None and "hooks_" not in vars(net)


def test_what_a_class_sets_beside_its_parameters_stays_its_own(tmp_path):
    forest = RandomForestClassifier(2).fit(X, Y)
    edit = under_attributes("RandomForestClassifier", "estimator_params", ["x"])
    again = load(lie(forest, edit, tmp_path / "file"))
    assert again.estimator_params == forest.estimator_params


def test_names_that_could_not_be_loaded_are_refused_by_save(tmp_path):
    scaler = StandardScaler().fit(X)
    scaler.remark = "mine"
    with pytest.raises(ValueError, match="cannot have the learnt attribute 'remark'"):
        save(scaler, tmp_path / "file")
    # Of a class of one's own all is taken that is no parameter.
    holder = Holder().set_params(value=3)
    holder.remark, holder._private = "mine", 1
    save(holder, tmp_path / "file")
    again = load(tmp_path / "file", known=[Holder])
    assert (again.remark, again._private) == ("mine", 1)


def test_a_net_of_skorch_alone_keeps_its_lists(tmp_path):
    net = NeuralNetClassifier(nn.Linear, module__in_features=3, module__out_features=2)
    save(net.initialize(), tmp_path / "file")
    assert vars(load(tmp_path / "file"))["_modules"] == ["module"]


@pytest.mark.parametrize("kind", [CountVectorizer, HashingVectorizer])
def test_texts_are_no_names_of_files(kind, tmp_path):
    path = lie(kind(), under_params(kind.__name__, input="filename"), tmp_path / "file")
    with pytest.raises(ValueError, match="input='filename' would open files"):
        load(path)
    with pytest.raises(
        ValueError, match=r"input='filename' would open .* set it after"
    ):
        save(kind(input="filename"), path)
