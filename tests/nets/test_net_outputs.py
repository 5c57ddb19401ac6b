"""What a network returns: logits, or under NLLLoss probabilities, as in skorch."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import log_loss, roc_auc_score
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F

from sknoisy import (
    AUMDetector,
    CORESDetector,
    DynaCorDetector,
    LossMixtureDetector,
    NetClassifier,
    RobustLossClassifier,
    SmallLossDetector,
)
from sknoisy.nets import AdversarialMasking, ArrayDataset, DynamicsRecorder
from sknoisy.nets._outputs import check_outputs, logits_of, scores_alone, takes_proba

SPLIT = ValidSplit(5, stratified=True)
SMALL = {"max_epochs": 3, "batch_size": 16, "random_state": 0}
STOCK = {"max_epochs": 3, "batch_size": 16, "lr": 0.2, "verbose": 0}


class Ends(nn.Module):
    """One network, whose logits, probabilities or their log are returned."""

    def __init__(self, n_classes, end="logits"):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.head = nn.Linear(6, n_classes)
        self.end = end

    def forward(self, X):
        logits = self.head(self.body(X))
        kinds = {"softmax": torch.softmax, "log": torch.log_softmax}
        return kinds[self.end](logits, 1) if self.end in kinds else logits


class OwnNLL(nn.NLLLoss):
    pass


def net(end, criterion, kind=NetClassifier, **params):
    return kind(Ends, criterion=criterion, module__end=end, **{**SMALL, **params})


NLL = pytest.mark.parametrize("criterion", [nn.NLLLoss, nn.NLLLoss(), OwnNLL], ids=str)


@NLL
def test_probabilities_under_nll_train_as_logits_under_cross_entropy(table, criterion):
    X, y = table
    recorders = [DynamicsRecorder("loss"), DynamicsRecorder("loss")]
    scores = [
        EpochScoring("neg_log_loss", name="nll", lower_is_better=False, on_train=True)
        for _ in range(2)
    ]
    params = {"train_split": SPLIT}
    a = net("logits", nn.CrossEntropyLoss, callbacks=[recorders[0], scores[0]])
    b = net("softmax", criterion, callbacks=[recorders[1], scores[1]])
    for each in (a, b):
        each.set_params(**params).fit(X, y)
    for left, right in zip(a.module_.parameters(), b.module_.parameters(), strict=True):
        np.testing.assert_allclose(right.detach(), left.detach(), rtol=1e-4, atol=1e-5)
    for name in ("train_loss", "valid_loss", "nll"):
        expected = a.history[:, name]
        np.testing.assert_allclose(b.history[:, name], expected, rtol=1e-4)
    np.testing.assert_allclose(
        recorders[1].trajectories_, recorders[0].trajectories_, rtol=1e-3, atol=1e-5
    )
    # Unchanged: not the softmax of probabilities.
    proba = b.predict_proba(X)
    np.testing.assert_array_equal(proba, b.forward(X).numpy())
    np.testing.assert_allclose(proba, a.predict_proba(X), rtol=1e-4, atol=1e-6)


def test_eval_pass_returns_the_log_of_probabilities(table):
    X, y = table
    trained = net("softmax", nn.NLLLoss).fit(X, y)
    _, _, logits = trained.eval_pass(ArrayDataset(X, y))
    np.testing.assert_allclose(
        logits["module"], np.log(trained.predict_proba(X)), rtol=1e-5
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_sample_weights_under_nll(table, weighted):
    X, y = table
    w = np.random.default_rng(0).random(45) if weighted else np.ones(45)
    params = {"train_split": SPLIT, "max_epochs": 2}
    a = net("logits", nn.CrossEntropyLoss, **params).fit(X, y, sample_weight=w)
    b = net("softmax", nn.NLLLoss, **params).fit(X, y, sample_weight=w)
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(b.history[:, name], a.history[:, name], rtol=1e-4)


def test_a_robust_loss_that_is_nll(table):
    X, y = table
    clfs = [
        RobustLossClassifier(Ends, module__end=end, loss=loss, **SMALL).fit(X, y)
        for end, loss in (("logits", nn.CrossEntropyLoss), ("softmax", nn.NLLLoss))
    ]
    np.testing.assert_allclose(
        clfs[1].noise_scores_, clfs[0].noise_scores_, rtol=1e-4, atol=1e-6
    )


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("stock", [False, True], ids=["ours", "stock"])
@pytest.mark.parametrize(
    ("detector", "params"),
    [
        (DynaCorDetector, {"n_runs": 2}),
        (LossMixtureDetector, {}),
        (SmallLossDetector, {"noise_rate": 0.2}),
        (AUMDetector, {"estimator__module__n_classes": 4}),
    ],
)
def test_detectors_find_the_same_under_both(blobs, detector, params, stock):
    X, y, is_noisy = blobs
    n_classes = params.get("estimator__module__n_classes", 3)
    own = {k: v for k, v in params.items() if not k.startswith("estimator__")}
    aurocs, scores = [], []
    for end, criterion in (("logits", nn.CrossEntropyLoss), ("softmax", nn.NLLLoss)):
        given = {"module__end": end, "module__n_classes": n_classes}
        if stock:
            est = NeuralNetClassifier(Ends, criterion=criterion, **STOCK, **given)
        else:
            est = NetClassifier(Ends, criterion=criterion, **SMALL, **given)
        found = detector(est, random_state=0, **own).fit(X, y)
        scores.append(found.noise_scores_)
        aurocs.append(roc_auc_score(is_noisy, scores[-1]))
    np.testing.assert_allclose(scores[1], scores[0], rtol=5e-3, atol=1e-3)
    assert aurocs[1] == pytest.approx(aurocs[0], abs=2e-3)
    assert aurocs[1] > 0.7


@NLL
@pytest.mark.parametrize("end", ["log", "logits"])
def test_outputs_that_cannot_be_probabilities_are_refused(table, criterion, end):
    with pytest.raises(ValueError, match=r"Ends returns values.*CrossEntropyLoss"):
        net(end, criterion).fit(*table)


def test_also_when_the_criterion_is_set_later(table):
    trained = net("log", nn.CrossEntropyLoss).fit(*table)
    trained.set_params(criterion=nn.NLLLoss)
    with pytest.raises(ValueError, match=r"under NLLLoss.*probabilities"):
        trained.partial_fit(*table)


@pytest.mark.parametrize("stock", [False, True], ids=["ours", "stock"])
def test_and_in_detectors(table, stock):
    kind, params = (NeuralNetClassifier, STOCK) if stock else (NetClassifier, SMALL)
    est = kind(
        Ends, criterion=nn.NLLLoss, module__end="log", module__n_classes=3, **params
    )
    with pytest.raises(ValueError, match=r"criterion=torch\.nn\.CrossEntropyLoss"):
        LossMixtureDetector(est, random_state=0).fit(*table)


def test_nothing_is_said_of_probabilities_where_rows_overflow():
    class Overflows(nn.Module):
        def forward(self, X):
            return torch.full((1, 2), torch.nan)

    check_outputs(Overflows(), torch.zeros(1, 4), 2, nn.NLLLoss())


def test_the_sieve_says_that_it_has_a_loss_of_its_own(table):
    with pytest.raises(ValueError, match="criterion would have no effect"):
        CORESDetector(net("softmax", nn.NLLLoss)).fit(*table)


def test_masking_needs_logits():
    X = np.random.default_rng(0).random((8, 3, 8, 8), dtype=np.float32)
    masked = NetClassifier(
        Proba, masking=AdversarialMasking, criterion=nn.NLLLoss, max_epochs=1
    )
    with pytest.raises(ValueError, match=r"masking needs .* logits; under NLLLoss"):
        masked.fit(X, np.arange(8) % 2)


class Proba(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, n_classes)

    def feature_map(self, X):
        return self.conv(X)

    def forward(self, X):
        return self.head(self.feature_map(X).mean((2, 3))).softmax(1)


def test_a_compiled_criterion_is_seen_through():
    class Compiled(nn.Module):
        """Holds the criterion as torch.compile does."""

        def __init__(self):
            super().__init__()
            self._orig_mod = nn.NLLLoss()

    assert takes_proba(Compiled()) and not takes_proba(nn.CrossEntropyLoss())
    out = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    assert logits_of(Compiled(), out).isfinite().all()
    assert logits_of(None, out) is out


class Smooth(nn.Module):
    """A criterion of one's own, without row numbers."""

    def forward(self, logits, y):
        return F.cross_entropy(logits, y, label_smoothing=0.3)


class Remembers(nn.Module):
    def __init__(self, n_samples):
        super().__init__()
        self.register_buffer("seen", torch.zeros(n_samples))

    def forward(self, logits, y, index):
        self.seen[index] += 1
        return 2 * F.cross_entropy(logits, y)


class TestValidLoss:
    def fitted(self, table, criterion, **params):
        X, y = table
        trained = net("logits", criterion, train_split=SPLIT, **params).fit(X, y)
        _, valid = SPLIT(trained.get_dataset(X), y)
        rows = np.array(valid.indices)
        return trained, torch.from_numpy(trained.forward(X).numpy()[rows]), y[rows]

    @pytest.mark.parametrize(
        "criterion", [nn.CrossEntropyLoss, Smooth, nn.MultiMarginLoss]
    )
    def test_it_is_the_value_of_the_criterion_as_in_skorch(self, table, criterion):
        trained, logits, y = self.fitted(table, criterion)
        expected = criterion()(logits, torch.from_numpy(y)).item()
        assert trained.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-5)
        X, codes = table
        stock = NeuralNetClassifier(
            trained.module_, criterion=criterion, lr=0.0, verbose=0, max_epochs=1
        ).fit(X, codes.astype(np.int64))
        assert stock.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-5)

    def test_with_a_state_of_rows_it_is_cross_entropy(self, table):
        trained, logits, y = self.fitted(table, Remembers)
        expected = log_loss(y, np.exp(log_softmax(logits.numpy(), axis=1)))
        assert trained.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-5)
        # No validation row was counted.
        assert int(trained.criterion_.seen.sum()) == 36 * SMALL["max_epochs"]

    def test_what_scores_alone(self):
        class Three(nn.Module):
            def forward(self, logits, attention, y):
                return 0

        assert scores_alone(nn.CrossEntropyLoss()) and scores_alone(F.cross_entropy)
        for other in (Three(), Remembers(3), nn.Identity()):
            assert not scores_alone(other)
        assert not scores_alone(nn.ModuleDict({"cycles": Remembers(3)}))
        assert not scores_alone(nn.ModuleList([nn.CrossEntropyLoss()]))


@pytest.mark.parametrize("returned", [tuple, list, dict])
def test_anything_but_a_tensor_is_refused(table, returned):
    class Several(nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.head = nn.Linear(4, n_classes)

        def forward(self, X):
            return returned({"logits": self.head(X)}.items())

    with pytest.raises(TypeError, match=f"returns a {returned.__name__}. Wrap it"):
        NetClassifier(Several, max_epochs=1).fit(*table)
