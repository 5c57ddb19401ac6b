"""What is loaded is what was saved, for every public estimator."""

import copy
import os
import pickle
import stat
import subprocess
import sys
import threading
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from public_estimators import CONTRACT, DETECTORS, label
from sealed_files import same, seal, unpack
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from skorch.callbacks import EarlyStopping, EpochScoring, LRScheduler
from skorch.dataset import ValidSplit
from skorch.history import History
from torch import nn

from sknoisy import (
    AUMDetector,
    CoTeachingClassifier,
    LossMixtureDetector,
    NALClassifier,
    NetClassifier,
    RobustLossClassifier,
    SymmetricNoiseInjector,
    TransitionNoiseInjector,
    load,
    save,
)
from sknoisy.base import NoiseInjectorMixin
from sknoisy.nets import AdversarialMasking, DynamicsRecorder, PreActResNet

OUTPUTS = (
    *("predict", "predict_proba", "decision_function", "transform", "score_samples"),
    *("predict_noisy", "ranking"),
)
TABLE = [*CONTRACT, *DETECTORS]


class MyNet(nn.Module):
    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], n_classes)
        self.shared = self.layer
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, X):
        return self.layer(X)


class Shift:
    def __init__(self, by):
        self.by = by

    def __call__(self, X):
        return X + self.by


class Holder(BaseEstimator):
    """An estimator of a user, for values of all kinds."""

    def __init__(self, value=None):
        self.value = value


class Slotted:
    __slots__ = ("value",)


def to_half(done, max_epochs):
    return 0.5


def data():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 4)) + 3 * np.eye(4)[y]
    return X.astype(np.float32), np.where(rng.random(60) < 0.1, (y + 1) % 3, y)


def inputs_of(estimator):
    """Return what an estimator is fitted on, by its tags."""
    X, y = data()
    tags = estimator.__sklearn_tags__()
    if tags.input_tags.one_d_array:
        return (np.abs(X[:, 0]),)
    if not tags.target_tags.required:
        return (1 / (1 + np.exp(-X[:, :1])),)
    binary = tags.classifier_tags and not tags.classifier_tags.multi_class
    return X, (y > 0).astype(int) if binary else y


def fit(estimator):
    fitted, inputs = clone(estimator), inputs_of(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(fitted, NoiseInjectorMixin):
            fitted.fit_resample(*inputs)
            return fitted
        return fitted.fit(*inputs)


def again(estimator, tmp_path, **kwargs):
    save(estimator, tmp_path / "file")
    return load(tmp_path / "file", **kwargs)


@pytest.fixture(scope="module", params=TABLE, ids=label)
def pair(request, tmp_path_factory):
    """A fitted estimator and its file."""
    fitted = fit(request.param)
    path = tmp_path_factory.mktemp("saved") / "model.sknoisy"
    save(fitted, path)
    return fitted, path


class TestEveryEstimator:
    @pytest.mark.fast_cases(3)
    @pytest.mark.usefixtures("default_output")
    def test_outputs_are_the_same_bits(self, pair):
        # Prediction leaves a net in evaluation mode.
        fitted, path = copy.deepcopy(pair[0]), pair[1]
        loaded, inputs = load(path), inputs_of(fitted)
        assert type(loaded) is type(fitted)
        for name in OUTPUTS:
            if not hasattr(fitted, name):
                continue
            rows = () if name in ("predict_noisy", "ranking") else inputs[:1]
            ours, theirs = getattr(loaded, name)(*rows), getattr(fitted, name)(*rows)
            assert ours.dtype == theirs.dtype
            assert ours.tobytes() == theirs.tobytes(), name
        if hasattr(fitted, "corrupt"):
            ours, theirs = loaded.corrupt(*inputs), fitted.corrupt(*inputs)
            np.testing.assert_array_equal(ours, theirs)
        if hasattr(fitted, "noise_scores_"):
            assert same(loaded.noise_scores_, fitted.noise_scores_)

    @pytest.mark.fast_cases(3)
    def test_all_attributes_are_the_same(self, pair):
        fitted, path = pair
        assert same(load(path), fitted)

    def test_parameters_clone_and_pickle(self, pair):
        fitted, path = pair
        loaded = load(path)
        ours, theirs = loaded.get_params(), fitted.get_params()
        assert same(ours, theirs)
        assert same(clone(loaded).get_params(), clone(fitted).get_params())
        assert same(pickle.loads(pickle.dumps(loaded)).get_params(), theirs)

    @pytest.mark.fast_cases(3)
    def test_training_goes_on_to_the_same_bits(self, pair):
        fitted, path = pair
        if not hasattr(fitted, "partial_fit"):
            return
        ours, theirs = load(path), copy.deepcopy(fitted)
        inputs = inputs_of(fitted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for estimator in (ours, theirs):
                estimator.partial_fit(*inputs)
        assert same(ours.predict_proba(inputs[0]), theirs.predict_proba(inputs[0]))
        if isinstance(fitted, NetClassifier):
            weights = (net.module_.state_dict() for net in (ours, theirs))
            assert same(*weights)
            assert len(ours.history) == len(fitted.history) + fitted.max_epochs

    def test_unfitted(self, pair, tmp_path):
        fresh = clone(pair[0])
        loaded = again(fresh, tmp_path)
        assert same(loaded.get_params(), fresh.get_params())
        assert set(vars(loaded)) == set(vars(fresh))

    def test_a_second_file_is_the_same(self, pair, tmp_path):
        # Sets and addresses leave no trace.
        save(load(pair[1]), tmp_path / "second")
        assert (tmp_path / "second").read_bytes() == pair[1].read_bytes()

    def test_another_program_reads_and_writes_it(self, pair, tmp_path):
        fitted, path = pair
        (tmp_path / "other").write_bytes(seal(*unpack(path.read_bytes())))
        assert same(load(tmp_path / "other").get_params(), fitted.get_params())


@pytest.mark.parametrize("labels", [["b", "a", "c"], [True, False], [2.0, 7.0, 1.0]])
def test_labels_and_column_names(labels, tmp_path):
    X, y = data()
    y = np.array(labels)[y % len(labels)]
    for target in (y, y.astype(object)) if isinstance(labels[0], str) else (y,):
        frame = pd.DataFrame(X, columns=list("wxyz"))
        net = NALClassifier(max_epochs=2, random_state=0).fit(frame, target)
        loaded = again(net, tmp_path)
        assert loaded.feature_names_in_.tolist() == list("wxyz")
        assert same(loaded.classes_, net.classes_)
        assert same(loaded.suggested_labels_, net.suggested_labels_)
        assert same(loaded.predict(frame), net.predict(frame))


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            True,
            7,
            -(2**70),
            0.1,
            -0.0,
            float("nan"),
            float("-inf"),
            "",
            "a\ud800",
        ),
        *([], (), [1, (2, [3.5])], {1, 2}, frozenset("ab"), {}, {"a": 1, 2: [None]}),
        *(slice(1, None, 2), {("a", 1): {"b": ()}}, np.float32(0.1), np.bool(True)),
        *(np.int64(-3), np.str_("ü"), np.float64("nan"), np.dtype("float32"), float),
        *(np.float64, torch.float16, torch.Size([2, 3]), torch.device("cpu")),
        *(nn.ReLU, torch.optim.Adam, np.array(3.0), np.array("x"), np.empty((0, 3))),
        *(np.arange(6).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.eye(2) > 0),
        *(np.arange(4, dtype=np.float16), np.array([1 + 2j]), np.array(["a", "bcd"])),
        *(np.array([b"a", b"bc"]), np.array(["2020-01-01", "NaT"], "M8[D]")),
        *(np.array([3, 4], "m8[s]"), np.array(["a", 1, None, 2.5], dtype=object)),
        *(np.arange(10)[::3], np.array([["a"], ["b"]], dtype=object)),
        *(torch.arange(3), torch.tensor(1.5), torch.ones(2, dtype=torch.bfloat16)),
        *(torch.empty(0, 2), torch.tensor([True]), nn.Parameter(torch.ones(2))),
        torch.ones(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        *(np.random.RandomState(3), np.random.default_rng(3)),
        np.random.Generator(np.random.Philox(3)),
        np.random.Generator(np.random.MT19937(3)),
        *(History([{"epoch": 1, "batches": [{"loss": 0.5}]}]), ValidSplit(3)),
        nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval(),
        *(EarlyStopping(patience=2), GaussianMixture(2), TfidfVectorizer()),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_values_of_every_kind(value, tmp_path):
    loaded = again(Holder(value), tmp_path, known=[Holder]).value
    assert same(loaded, value)
    if isinstance(value, np.ndarray):
        assert loaded.flags.writeable


def test_big_endian_becomes_native_and_views_become_arrays(tmp_path):
    values = np.arange(3, dtype=">f8")
    loaded = again(Holder(values), tmp_path, known=[Holder]).value
    np.testing.assert_array_equal(loaded, values)
    assert loaded.dtype.isnative


def test_a_generator_goes_on_where_it_was(tmp_path):
    rng = np.random.RandomState(0)
    rng.normal(size=701)
    loaded = again(SymmetricNoiseInjector(random_state=rng), tmp_path).random_state
    assert same(loaded.normal(size=900), rng.normal(size=900))


def test_what_is_shared_stays_shared(tmp_path):
    X, y = data()
    recorder = DynamicsRecorder()
    net = NetClassifier(MyNet, callbacks=[recorder], max_epochs=2).fit(X, y)
    loaded = again(net, tmp_path, known=[MyNet])
    assert loaded.module_.shared is loaded.module_.layer
    assert loaded.callbacks[0] is loaded.callbacks_[-2][1]
    ours = {*loaded.optimizer_.param_groups[0]["params"]}
    assert ours == {*loaded.module_.parameters()}
    assert "calls" not in loaded.module_.state_dict()
    assert same(loaded.callbacks[0].trajectories_, recorder.trajectories_)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.RMSprop])
def test_optimizers_go_on_with_their_state(optimizer, tmp_path):
    X, y = data()
    net = NetClassifier(optimizer=optimizer, lr=0.01, max_epochs=2, random_state=0)
    net.fit(X, y)
    loaded = again(net, tmp_path)
    for each in (net, loaded):
        each.partial_fit(X, y)
    assert same(loaded.predict_proba(X), net.predict_proba(X))
    fresh = again(net, tmp_path)
    fresh.optimizer_.state.clear()
    assert not same(fresh.partial_fit(X, y).predict_proba(X), loaded.predict_proba(X))


def test_callbacks_and_parameters_of_users(tmp_path):
    X, y = data()
    net = NetClassifier(
        MyNet,
        augment=Shift(0.1),
        lr_schedule=to_half,
        train_split=ValidSplit(3),
        callbacks=[
            EpochScoring("accuracy", on_train=True, name="seen"),
            EarlyStopping(patience=2, load_best=True),
            LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1),
        ],
        max_epochs=3,
        random_state=0,
    ).fit(X, y)
    loaded = again(net, tmp_path, known=[MyNet, Shift, to_half])
    assert loaded.augment.by == 0.1 and loaded.lr_schedule is to_half
    for each in (net, loaded):
        each.partial_fit(X, y)
    assert same(loaded.predict_proba(X), net.predict_proba(X))
    assert [row["seen"] for row in loaded.history] == [
        row["seen"] for row in net.history
    ]


@pytest.mark.parametrize("criterion", [{}, {"criterion__weight": torch.ones(3)}])
def test_tensors_and_instances_as_parameters(criterion, tmp_path):
    X, y = data()
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    net = NetClassifier(module, max_epochs=2, **criterion, random_state=0).fit(X, y)
    loaded = again(net, tmp_path)
    assert loaded.module is not loaded.module_
    assert same(clone(loaded).fit(X, y).predict_proba(X), net.predict_proba(X))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", [RobustLossClassifier, CoTeachingClassifier])
def test_images_with_masking(kind, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (60, 3, 8, 8)).astype(np.uint8)
    y = np.arange(60) % 2
    net = kind(
        PreActResNet,
        module__blocks=(1,),
        module__width=4,
        masking=AdversarialMasking,
        masking__warmup_epochs=0,
        max_epochs=2,
        random_state=0,
    ).fit(X, y)
    loaded = again(net, tmp_path)
    assert same(loaded.predict_proba(X), net.predict_proba(X))
    assert same(loaded.masking_, net.masking_)
    for each in (net, loaded):
        each.partial_fit(X, y)
    assert same(loaded.predict_proba(X), net.predict_proba(X))


def texts_and_labels():
    texts = ["a good day", "the best of days", "good", "a bad day", "worst", "bad"] * 6
    return np.array(texts, dtype=object), np.array(["+", "+", "+", "-", "-", "-"] * 6)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_tensors_lie_in_memory_as_before(n_channels, tmp_path):
    # Of one channel a tensor lies in both forms at once, with other strides.
    rng = np.random.default_rng(0)
    X = rng.random((40, n_channels, 8, 8), dtype=np.float32)
    y = rng.integers(0, 2, 40)
    net = NetClassifier(PreActResNet, module__blocks=(1,), module__width=4)
    net.set_params(max_epochs=2, random_state=0).fit(X, y)
    save(net, tmp_path / "net.sknoisy")
    again = load(tmp_path / "net.sknoisy")
    for a, b in zip(
        net.module_.state_dict().values(),
        again.module_.state_dict().values(),
        strict=True,
    ):
        assert a.stride() == b.stride()
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    for each in (net, again):
        each.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))


@pytest.mark.usefixtures("default_output")
def test_pipelines_of_texts_and_of_categories(tmp_path):
    texts, y = texts_and_labels()
    pipe = make_pipeline(TfidfVectorizer(), LogisticRegression())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = LossMixtureDetector(pipe, random_state=0).fit(texts, y)
    loaded = again(detector, tmp_path)
    assert same(loaded.noise_scores_, detector.noise_scores_)
    model = clone(pipe).fit(texts, y)
    assert same(again(model, tmp_path).predict_proba(texts), model.predict_proba(texts))
    frame = pd.DataFrame({"kind": [*"aabbcc"] * 6, "size": np.arange(36.0)})
    table = ColumnTransformer(
        [("kind", OneHotEncoder(), ["kind"]), ("size", StandardScaler(), ["size"])]
    )
    model = make_pipeline(table, LogisticRegression()).fit(frame, y)
    loaded = again(model, tmp_path)
    assert same(loaded.predict_proba(frame), model.predict_proba(frame))


def test_forests(tmp_path):
    X, y = data()
    for forest in (RandomForestClassifier(5), ExtraTreesRegressor(5)):
        forest.fit(np.where(X > 2, np.nan, X), y)
        assert same(again(forest, tmp_path).predict(X), forest.predict(X))


def test_a_net_of_torch_and_skorch_alone(tmp_path):
    from skorch import NeuralNetClassifier

    X, y = data()
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=-1))
    net = NeuralNetClassifier(module, max_epochs=2, verbose=0).fit(X, y)
    loaded = again(net, tmp_path)
    assert same(loaded.predict_proba(X), net.predict_proba(X))


def test_other_classes_of_scikit_learn_need_the_callers_word(tmp_path):
    X, y = data()
    model = SVC().fit(X, y)
    save(model, tmp_path / "file")
    with pytest.raises(ValueError, match=r"names sklearn.svm.SVC; .*known=\[SVC\]"):
        load(tmp_path / "file")
    loaded = load(tmp_path / "file", known=[SVC])
    assert same(loaded.predict(X), model.predict(X))


def test_unknown_classes_are_all_named(tmp_path):
    net = NetClassifier(MyNet, augment=Shift(1), lr_schedule=partial(to_half, 3))
    save(net, tmp_path / "file")
    with pytest.raises(ValueError, match=r"known=\[MyNet, Shift, to_half\]"):
        load(tmp_path / "file")
    with pytest.raises(ValueError, match=r"known=\[Shift, to_half\]"):
        load(tmp_path / "file", known=[MyNet])
    loaded = load(tmp_path / "file", known=[MyNet, Shift, to_half])
    assert loaded.lr_schedule.func is to_half and loaded.module is MyNet


def test_functions_of_ours_are_known_if_they_only_compute(tmp_path):
    loaded = again(Holder(save), tmp_path, known=[Holder, save])
    assert loaded.value is save
    with pytest.raises(ValueError, match=r"names sknoisy.persistence.*save; that"):
        load(tmp_path / "file", known=[Holder])
    assert again(Holder(print), tmp_path, known=[Holder]).value is print
    save(Holder(partial(print, "what a file says")), tmp_path / "file")
    with pytest.raises(ValueError, match="a partial of print is not allowed"):
        load(tmp_path / "file", known=[Holder])
    load(tmp_path / "file", known=[Holder, print])


def test_bad_known(tmp_path):
    save(AUMDetector(), tmp_path / "file")
    with pytest.raises(TypeError, match=r"classes and functions; it holds 'MyNet'"):
        load(tmp_path / "file", known=["MyNet"])
    twin = type("MyNet", (nn.Module,), {"__module__": MyNet.__module__})
    with pytest.raises(TypeError, match=r"known holds two different .*MyNet"):
        load(tmp_path / "file", known=[MyNet, twin])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda X: X, r"Holder.value cannot be found again: a lambda has no name"),
        (threading.Lock(), r"Holder.value is a _thread.lock"),
        ([1, {"a": Slotted()}], r"Holder.value\[1\]\['a'\] is a .*Slotted"),
        (iter([]), r"Holder.value is a builtins.list_iterator"),
        ("x".upper, r"Holder.value cannot be found again: it is bound to an object"),
        (b"bytes", r"Holder.value is a builtins.bytes"),
        (pd.Series([1]), r"Holder.value is a pandas"),
        (np.ma.array([1]), r"Holder.value is a numpy.ma"),
        (np.zeros(2, "i4,i4"), r"Holder.value has dtype \[\('f0'"),
        (np.zeros(2, np.longdouble), r"Holder.value has dtype float128"),
        (np.datetime64("2020-01-01"), r"Holder.value is a numpy.datetime64"),
        (np.dtype("i4,i4"), r"Holder.value has dtype"),
        (10**5000, r"Holder.value is too large"),
        (torch.zeros(2).to_sparse(), r"Holder.value is a tensor of torch.sparse"),
        (torch.zeros(2, device="meta"), r"Holder.value is a tensor of"),
        (torch.zeros(2, dtype=torch.complex64), r"and torch.complex64"),
        (
            KNeighborsClassifier(algorithm="kd_tree").fit([[0]] * 9, [0, 1, 0] * 3),
            r"_tree is a sklearn",
        ),
        (OneHotEncoder(drop="first").fit([["a"], ["b"]]), r"with drop, min_frequency"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_saved_is_named_and_the_file_stays(value, message, tmp_path):
    path = tmp_path / "file"
    save(AUMDetector(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message + r".*pickle may be able to"):
        save(Holder(value), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file"]


def test_other_refusals_of_save(tmp_path):
    with pytest.raises(TypeError, match="must be an estimator; got dict"):
        save({}, tmp_path / "file")
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested too deeply, or a list contains itsel"):
        save(Holder(endless), tmp_path / "file")
    loop = Holder()
    loop.value = loop
    with pytest.raises(ValueError, match=r"Holder.value contains itself"):
        save(loop, tmp_path / "file")
    hooked = nn.Linear(1, 1)
    hooked.register_forward_hook(print)
    with pytest.raises(ValueError, match=r"Holder.value has hooks \(_forward_hooks\)"):
        save(Holder(hooked), tmp_path / "file")
    odd = torch.optim.SGD([nn.Parameter(torch.ones(1))])
    odd.__class__ = type("Odd", (torch.optim.SGD,), {"__getstate__": lambda self: {}})
    with pytest.raises(
        ValueError, match=r"Holder.value has state that cannot be saved"
    ):
        save(Holder(odd), tmp_path / "file")
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="is a folder; give a file in it"):
        save(AUMDetector(), tmp_path)
    with pytest.raises(ValueError, match=r"there is no folder .*Create it first"):
        save(AUMDetector(), tmp_path / "none" / "file")


def test_a_failing_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    save(AUMDetector(), path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save(AUMDetector(max_epochs=3), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file"]


def test_rights_and_links_stay(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    (tmp_path / "usual").touch()
    save(AUMDetector(), path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(
        (tmp_path / "usual").stat().st_mode
    )
    path.chmod(0o640)
    link.symlink_to(path)
    save(AUMDetector(max_epochs=3), link)
    assert link.is_symlink() and load(path).max_epochs == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_paths_to_pickles_do_not_travel(tmp_path):
    X, y = data()
    net = NetClassifier(
        max_epochs=1,
        checkpoint=str(tmp_path / "training"),
        torch_load_kwargs={"weights_only": False},
    ).fit(X, y)
    pipe = make_pipeline(StandardScaler(), net, memory=str(tmp_path / "cache"))
    loaded = again(pipe, tmp_path)
    assert loaded.memory is None and loaded[-1].checkpoint is None
    assert loaded[-1].torch_load_kwargs is None
    assert pipe.memory and net.checkpoint and net.torch_load_kwargs


def test_a_function_of_numpy_by_name(tmp_path):
    step = FunctionTransformer(np.log1p)
    save(step, tmp_path / "file")
    with pytest.raises(ValueError, match=r"known=\[log1p\]"):
        load(tmp_path / "file")
    assert load(tmp_path / "file", known=[np.log1p]).func is np.log1p


@pytest.mark.slow
def test_a_compiled_network_is_stored_as_it_was(tmp_path):
    X, y = data()
    net = NetClassifier(max_epochs=1, random_state=0).fit(X, y)
    plain = net.module_
    net.module_ = torch.compile(plain)
    loaded = again(net, tmp_path)
    assert type(loaded.module_) is type(plain)
    assert same(loaded.module_.state_dict(), plain.state_dict())


def test_the_device_that_is_not_there(tmp_path):
    X, y = data()
    net = NetClassifier(max_epochs=1, random_state=0).fit(X, y)
    save(net.set_params(device="cuda"), tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    manifest, arrays = unpack(content)
    for entry in manifest["objects"]:
        if entry["type"] == "tensor":
            entry["device"] = "cuda"
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    loaded = load(tmp_path / "file")
    assert loaded.device == "cpu"
    net.device = "cpu"
    assert same(loaded.predict_proba(X), net.predict_proba(X))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_return_to_the_device(tmp_path):
    X, y = data()
    net = NALClassifier(max_epochs=2, device="cuda", random_state=0).fit(X, y)
    loaded = again(net, tmp_path)
    assert next(loaded.module_.parameters()).is_cuda
    assert same(loaded.predict_proba(X), net.predict_proba(X))
    for each in (net, loaded):
        each.partial_fit(X, y)
    assert same(loaded.module_.state_dict(), net.module_.state_dict())


@pytest.mark.slow
def test_injectors_are_saved_without_torch(tmp_path):
    code = (
        "import sys, sknoisy\n"
        "injector = sknoisy.SymmetricNoiseInjector(0.3, random_state=0)\n"
        "injector.fit_resample([[0], [1], [2], [3]], [0, 1, 0, 1])\n"
        "sknoisy.save(injector, sys.argv[1])\n"
        "assert sknoisy.load(sys.argv[1]).noise_rate == 0.3\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "file")]
    assert subprocess.run(run, check=False).returncode == 0


def test_no_global_generator_moves(tmp_path):
    X, y = data()
    net = NetClassifier(max_epochs=1, random_state=0).fit(X, y)
    before = np.append(*np.random.get_state()[1:3]), torch.random.get_rng_state()
    again(net, tmp_path)
    again(SymmetricNoiseInjector(random_state=np.random.RandomState(1)), tmp_path)
    np.testing.assert_array_equal(np.append(*np.random.get_state()[1:3]), before[0])
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_an_injector_with_a_lambda_is_refused(tmp_path):
    injector = TransitionNoiseInjector(lambda n: np.eye(n))
    with pytest.raises(ValueError, match=r"TransitionNoiseInjector.transition_matrix"):
        save(injector, tmp_path / "file")


@pytest.mark.parametrize("path", [None, b"file", 5])
def test_a_path_is_a_string_or_path_like(path):
    with pytest.raises(TypeError, match="path must be a string or path-like; got "):
        save(LogisticRegression(), path)
    with pytest.raises(TypeError, match="path must be a string or path-like; got "):
        load(path)
