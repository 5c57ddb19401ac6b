"""What skorch lets a user do with a net, beside the same done to a stock net."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit
from skorch.exceptions import SkorchAttributeError
from skorch.history import History
from torch import nn
from torch.nn import functional as F

from sknoisy import ELRClassifier, NetClassifier
from sknoisy.nets import ArrayDataset, LoaderBatches, TensorBatches

SPLIT = ValidSplit(5, stratified=True)


class Small(nn.Module):
    def __init__(self, n_features=4, n_classes=3):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, X):
        return self.head(X)


COMMON = {
    "criterion": nn.CrossEntropyLoss,
    "max_epochs": 2,
    "lr": 0.1,
    "batch_size": 16,
}
STOCK = {"train_split": None, "verbose": 0, **COMMON}
OURS = {"random_state": 0, **COMMON}


def both(**params):
    """A stock net and one of ours, with the same parameters."""
    return NeuralNetClassifier(Small, **{**STOCK, **params}), NetClassifier(
        Small, **{**OURS, **params}
    )


class WithModule:
    def initialize_module(self):
        super().initialize_module()
        self.extra_ = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
        return self


class WithParts(WithModule):
    """Mixed into a net: parts that a subclass builds by itself."""

    def initialize_criterion(self):
        super().initialize_criterion()
        self.proj_ = nn.Linear(3, 3)
        nn.init.eye_(self.proj_.weight)
        return self

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        self.modes_ = getattr(self, "modes_", [])
        self.modes_.append((self.proj_.training, self.extra_.training))
        y_pred = self.extra_(self.proj_(y_pred))
        return super().get_loss(y_pred, y_true, *args, **kwargs)


class StockParts(WithParts, NeuralNetClassifier):
    pass


class OurParts(WithParts, NetClassifier):
    pass


class RobustParts(WithModule, ELRClassifier):
    pass


@pytest.mark.parametrize("kind", [StockParts, OurParts])
def test_parts_of_a_subclass_are_trained_and_change_their_mode(table, kind):
    X, y = table
    params = STOCK if kind is StockParts else OURS
    net = kind(Small, **{**params, "train_split": SPLIT})
    for _ in range(2):  # the second fit starts anew, with the same parts
        net.fit(X, y.astype(np.int64))
        assert net._modules == ["module", "extra"]
        assert net._criteria == ["criterion", "proj"]
        assert not net.proj_.weight.equal(torch.eye(3))
        assert {(True, True), (False, False)} == set(net.modes_)
        trained = {
            id(p) for group in net.optimizer_.param_groups for p in group["params"]
        }
        parts = (net.module_, net.extra_, net.proj_)
        assert trained == {id(p) for part in parts for p in part.parameters()}


def test_parts_of_a_robust_subclass_do_not_count_as_classifiers(table):
    net = RobustParts(Small, max_epochs=1, random_state=0).fit(*table)
    assert net.noise_scores_.shape == (45,)


def test_a_given_history_is_filled(table):
    X, y = table
    for kind, params in ((NeuralNetClassifier, STOCK), (NetClassifier, OURS)):
        history = History()
        net = kind(Small, history=history, **params)
        assert net.history is history
        net.fit(X, y.astype(np.int64))
        assert net.history is history and len(history) == 2
        assert clone(net).history is None
    assert "history_" not in vars(NetClassifier())


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize(
    "names", [[0, 1, 2], [1, 2, 3], ["cat", "ant", "bee"]], ids=str
)
@pytest.mark.parametrize("on_train", [False, True])
def test_scores_without_a_cache_are_those_with_one(table, names, on_train):
    X, y = table
    labels = np.array(names)[y]
    seen = []

    def accuracy(net, X, y):
        seen.append((X, y))
        return accuracy_score(y, net.predict(X))

    scores = [
        EpochScoring(scoring, False, on_train, name, use_caching=use_caching)
        for name, scoring, use_caching in (
            ("uncached", "accuracy", False),
            ("proba", "neg_log_loss", False),
            ("own", accuracy, False),
        )
    ]
    net = NetClassifier(Small, callbacks=scores, train_split=SPLIT, **OURS)
    net.fit(X, labels)
    rows = SPLIT(net.get_dataset(X), y)[0 if on_train else 1].indices
    expected = accuracy_score(labels[rows], net.predict(X[rows]))
    assert net.history[-1, "uncached"] == pytest.approx(expected)
    assert net.history[-1, "own"] == pytest.approx(expected)
    proba = net.predict_proba(X[rows])[
        np.arange(len(rows)), net.classes_.searchsorted(labels[rows])
    ]
    assert net.history[-1, "proba"] == pytest.approx(np.log(proba).mean(), rel=1e-4)
    # As stock skorch: rows and labels, as they were given.
    np.testing.assert_array_equal(seen[-1][0], X[rows])
    np.testing.assert_array_equal(seen[-1][1], labels[rows])
    if names == [0, 1, 2]:
        given = len(seen)
        stock = NeuralNetClassifier(
            Small, callbacks=[scores[2]], **{**STOCK, "train_split": SPLIT}
        ).fit(X, y.astype(np.int64))
        assert stock.history[-1, "own"] >= 0
        np.testing.assert_array_equal(seen[given][0], X[rows])
        np.testing.assert_array_equal(seen[given][1], labels[rows])


def test_scores_of_frames_without_a_cache(table):
    pd = pytest.importorskip("pandas")
    X, y = table
    score = EpochScoring("accuracy", name="score", use_caching=False, on_train=True)
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = NetClassifier(Small, callbacks=[score], **OURS).fit(frame, y)
    assert net.history[-1, "score"] == accuracy_score(y, net.predict(frame))


def test_scores_without_a_cache_of_a_dataset_are_ones_own_task(table):
    """As stock skorch: it cannot know where a Dataset has its labels."""
    X, y = table

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return len(X)

        def __getitem__(self, row):
            return X[row]

    seen = []
    score = EpochScoring(
        lambda net, rows, y=None: seen.append((rows, y)) or 0.0,
        name="score",
        use_caching=False,
        on_train=True,
    )
    loaders = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}
    NetClassifier(Small, callbacks=[score], **loaders, **OURS).fit(Rows(), y)
    assert isinstance(seen[0][0], ArrayDataset) and seen[0][1] is None


def test_a_function_as_criterion(table):
    X, y = table
    stock, ours = both(criterion=lambda: F.cross_entropy, train_split=SPLIT)
    plain = NetClassifier(Small, **{**OURS, "train_split": SPLIT}).fit(X, y)
    stock.fit(X, y.astype(np.int64))
    ours.fit(X, y)
    assert stock.criterion_ is ours.criterion_ is F.cross_entropy
    np.testing.assert_array_equal(ours.predict_proba(X), plain.predict_proba(X))
    assert ours.history[:, "valid_loss"] == plain.history[:, "valid_loss"]
    ours.partial_fit(X, y)
    for net in both(criterion=F.cross_entropy):
        with pytest.raises(TypeError, match="input"):
            net.fit(X, y.astype(np.int64))


class Greedy(torch.optim.SGD):
    """Looks at the loss before it takes a step, if it is given a way to."""

    losses = []

    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("no loss to look at")
        self.losses.append(closure().item())
        return super().step()


def test_an_optimizer_with_an_optional_closure_is_given_it(table):
    X, y = table
    for net in both(optimizer=Greedy):
        Greedy.losses.clear()
        net.fit(X, y.astype(np.int64))
        assert len(Greedy.losses) == 2 * 3
        assert net.history[0, "train_loss"] > 0
    # torch's own need none: the step is shorter, and the same.
    plain = NetClassifier(Small, **OURS).fit(X, y)
    again = NetClassifier(
        Small, optimizer=Greedy, optimizer__momentum=0.9, **OURS
    ).set_params(optimizer__weight_decay=2e-3)
    assert not plain.step_needs_closure_ and again.fit(X, y).step_needs_closure_
    np.testing.assert_allclose(
        again.predict_proba(X), plain.predict_proba(X), rtol=1e-5
    )


class TwoOptimizers(NetClassifier):
    def initialize_optimizer(self):
        params = list(self.module_.parameters())
        self.optimizer_ = torch.optim.SGD(params[:1], lr=0.1)
        self.optimizer2_ = torch.optim.SGD(params[1:], lr=0.1)
        return self


def test_a_subclass_builds_its_optimizers_alone(table):
    net = TwoOptimizers(Small, lr_schedule=None, **OURS).fit(*table)
    params = {"optimizer__momentum": 0, "optimizer__weight_decay": 0}
    one = NetClassifier(Small, lr_schedule=None, **params, **OURS).fit(*table)
    np.testing.assert_allclose(
        net.predict_proba(table[0]), one.predict_proba(table[0]), rtol=1e-5
    )


def test_groups_of_the_optimizer_are_set_on_a_fitted_net(table):
    X, y = table
    groups = [("head.bias", {"lr": 0.2})]
    for net in both(optimizer__param_groups=groups):
        net.fit(X, y.astype(np.int64))
        before = {k: v for k, v in net.get_params().items() if "optimizer" in k}
        net.set_params(optimizer__param_groups__0__lr=0.5)
        net.set_params(optimizer__param_groups__1__momentum=0.7)
        assert net.optimizer_.param_groups[0]["lr"] == 0.5
        assert net.optimizer_.param_groups[1]["momentum"] == 0.7
        after = {k: v for k, v in net.get_params().items() if "optimizer" in k}
        assert after == before
        net.partial_fit(X, y.astype(np.int64))
        assert net.optimizer_.param_groups[0]["lr"] == 0.5
        # As parameters they would name nothing: the next fit has groups of its own.
        assert net.fit(X, y.astype(np.int64)).optimizer_.param_groups[0]["lr"] == 0.2


@pytest.mark.parametrize("name", ["2__lr", "0__momentun"])
def test_groups_and_settings_that_are_not_there(table, name):
    net = NetClassifier(Small, **OURS).fit(*table)
    with pytest.raises(ValueError, match=f"param_groups__{name} names no .* 1 group"):
        net.set_params(**{f"optimizer__param_groups__{name}": 0.1})


def subclass(kind, when):
    class Net(kind):
        def __init__(self, module=Small, teacher=None, **params):
            if when == "before":
                self.teacher = teacher
            super().__init__(module, **params)
            if when == "after":
                self.teacher = teacher

    return Net


@pytest.mark.parametrize("kind", [NeuralNetClassifier, NetClassifier])
def test_a_module_instance_stored_by_a_subclass(table, kind):
    X, y = table
    params, teacher = (STOCK if kind is NeuralNetClassifier else OURS), Small()
    net = subclass(kind, "before")(teacher=teacher, **params)
    assert net.fit(X, y.astype(np.int64)).teacher is teacher
    assert net._modules == ["module"]
    with pytest.raises(SkorchAttributeError, match=r"initialize_module|underscore"):
        subclass(kind, "after")(teacher=teacher, **params)


def test_our_iterators_stay_the_default():
    assert NetClassifier().iterator_train is TensorBatches


class TestCriterion:
    def test_any_class_whose_instances_are_called(self, table):
        class Plain:
            def __call__(self, y_pred, y_true):
                return nn.functional.cross_entropy(y_pred, y_true)

        params = {"module__hidden": 4, "max_epochs": 2, "random_state": 0}
        ours = NetClassifier(criterion=Plain, **params).fit(*table)
        torchs = NetClassifier(**params).fit(*table)
        assert ours.history[:, "train_loss"] == torchs.history[:, "train_loss"]

    def test_a_class_that_cannot_be_called_is_refused(self, table):
        with pytest.raises(ValueError, match="'criterion' parameter of NetClassifier"):
            NetClassifier(criterion=dict).fit(*table)

    def test_by_another_name_with_get_loss(self, table):
        class Named(NetClassifier):
            def initialize_criterion(self):
                self.mycriterion_ = nn.CrossEntropyLoss()
                return self

        class Scores(Named):
            def get_loss(self, y_pred, y_true, *args, **kwargs):
                return self.mycriterion_(y_pred, y_true)

        params = {"module__hidden": 4, "max_epochs": 1, "random_state": 0}
        fitted = Scores(**params).fit(*table)
        plain = NetClassifier(**params).fit(*table)
        proba = fitted.predict_proba(table[0])
        np.testing.assert_array_equal(proba, plain.predict_proba(table[0]))
        with pytest.raises(AttributeError, match="Named has no criterion_: set it in"):
            Named(**params).fit(*table)


class TestOnceOnly:
    def test_parts_are_moved_once(self):
        moves = []

        class Watched(nn.Linear):
            def to(self, *args, **kwargs):
                moves.append(args)
                return super().to(*args, **kwargs)

        params = {"module__in_features": 4, "module__out_features": 3}
        NetClassifier(Watched, device="cpu", **params).initialize()
        assert moves == [("cpu",)]


class TestWords:
    def test_parameter_of_a_callback_that_was_removed(self):
        net = NetClassifier().set_params(callbacks__print_log=None)
        with pytest.raises(ValueError, match="callback print_log which does not exist"):
            net.set_params(callbacks__print_log__sink=print)

    def test_one_underscore_too_few(self):
        net = NetClassifier(Small, module__n_classes=3, callbacks_mycb__foo=1)
        with pytest.raises(ValueError, match=r"did you mean callbacks__mycb__foo\?"):
            net.initialize()
