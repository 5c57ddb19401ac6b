"""NetClassifier with soft targets: the loss, the rows it reads, and what is refused."""

import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from fitted_state import assert_same_weights
from scipy.sparse import csr_array
from scipy.special import log_softmax
from sklearn import config_context
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from sknoisy import (
    CDRClassifier,
    CoTeachingClassifier,
    DynamicBootstrapClassifier,
    ELRClassifier,
    FlywheelClassifier,
    NetClassifier,
    RobustLossClassifier,
)
from sknoisy.nets import AdversarialMasking, LoaderBatches
from sknoisy.nets._soft_targets import learns_soft_targets, soft_loss

ONE_BATCH = {"batch_size": -1, "module__dropout": 0.0, "max_epochs": 8}
LETTERS = np.array(["a", "b", "c"])


@pytest.fixture
def targets():
    """Distributions over three classes for the 45 rows of the table."""
    return np.random.default_rng(1).dirichlet(np.ones(3), 45)


def softmax_net(input_shape, n_classes):
    return nn.Sequential(nn.Linear(*input_shape, n_classes), nn.Softmax(1))


def by_hand(logits, targets, weights=None):
    z = log_softmax(np.asarray(logits, np.float64), axis=1)
    return np.average(-(targets * z).sum(1), weights=weights)


class TestLoss:
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"criterion__label_smoothing": 0.2},
            {"criterion__weight": torch.tensor([1.0, 2.0, 5.0])},
            {
                "criterion__weight": torch.tensor([1.0, 2.0, 5.0]),
                "criterion__label_smoothing": 0.2,
            },
            {"criterion": nn.CrossEntropyLoss(reduction="none")},
            {"module": softmax_net, "criterion": nn.NLLLoss},
            {
                "module": softmax_net,
                "criterion": nn.NLLLoss,
                "criterion__weight": torch.tensor([1.0, 2.0, 5.0]),
            },
        ],
        ids=["plain", "smooth", "weight", "both", "each row", "nll", "weighted nll"],
    )
    @pytest.mark.parametrize("weighted", [False, True])
    def test_one_hot_targets_are_the_labels(self, make_net, table, params, weighted):
        X, y = table
        w = np.random.default_rng(0).random(45) if weighted else None
        soft = make_net(**params).fit(X, y, w, soft_targets=np.eye(3)[y])
        hard = make_net(**params).fit(X, y, w)
        given = soft.predict_proba(X)
        np.testing.assert_allclose(given, hard.predict_proba(X), rtol=1e-5, atol=1e-6)

    def test_one_hot_targets_are_the_labels_in_a_sum(self, make_net, table):
        X, y = table
        net = make_net(criterion=nn.CrossEntropyLoss(reduction="sum"), lr=0.001)
        given = net.fit(X, y, soft_targets=np.eye(3)[y]).predict_proba(X)
        np.testing.assert_allclose(given, net.fit(X, y).predict_proba(X), rtol=1e-5)

    def test_a_mix_equals_weighted_copies_in_a_full_batch(
        self, make_net, table, targets
    ):
        X, y = table
        soft = make_net(**ONE_BATCH).fit(X, y, soft_targets=targets)
        copies = make_net(**ONE_BATCH).fit(
            X.repeat(3, 0), np.tile([0, 1, 2], 45), targets.ravel()
        )
        given = soft.predict_proba(X)
        np.testing.assert_allclose(given, copies.predict_proba(X), rtol=1e-4, atol=1e-5)
        hard = make_net(**ONE_BATCH).fit(X, y).predict_proba(X)
        assert np.abs(given - hard).max() > 0.05

    def test_uniform_targets_pull_towards_equal_probabilities(self, make_net, table):
        X, y = table
        params = {**ONE_BATCH, "lr": 0.5, "max_epochs": 60, "lr_schedule": None}
        net = make_net(**params).fit(X, y, soft_targets=np.full((45, 3), 1 / 3))
        assert np.abs(net.predict_proba(X) - 1 / 3).max() < 0.05
        assert net.history[-1, "train_loss"] == pytest.approx(np.log(3), abs=1e-2)

    @pytest.mark.parametrize("iterator", [None, LoaderBatches])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_they_are_read_by_row_in_shuffled_batches_of_a_split(
        self, make_net, table, targets, spy, weighted, iterator
    ):
        X, y = table
        w = np.random.default_rng(2).random(45) if weighted else None
        params = {} if iterator is None else {"iterator_train": iterator}
        net = make_net(
            callbacks=[spy],
            batch_size=8,
            train_split=ValidSplit(3, stratified=True),
            iterator_train__shuffle=True,
            **params,
        )
        net.fit(X, y, w, soft_targets=targets)
        seen = list(chain.from_iterable(spy.train))
        assert any((np.diff(index) < 0).any() for index, *_ in seen)
        for index, rows, codes, logits, loss in seen:
            np.testing.assert_array_equal(rows, X[index])
            np.testing.assert_array_equal(codes, y[index])
            weights = None if w is None else w[index]
            expected = by_hand(logits, targets[index], weights)
            np.testing.assert_allclose(loss, expected, rtol=1e-5)
        # The rows of the split are scored by their labels.
        for index, _, codes, logits, loss in chain.from_iterable(spy.valid):
            np.testing.assert_array_equal(codes, y[index])
            expected = by_hand(logits, np.eye(3)[codes])
            np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def test_class_weights_by_hand(self):
        rng = np.random.default_rng(0)
        logits, t = rng.normal(size=(6, 3)), rng.dirichlet(np.ones(3), 6)
        of_class, smooth = np.array([1.0, 2.0, 5.0]), 0.3
        criterion = nn.CrossEntropyLoss(
            weight=torch.tensor(of_class, dtype=torch.float32), label_smoothing=smooth
        )
        learnt = of_class * ((1 - smooth) * t + smooth / 3)
        losses = -(learnt * log_softmax(logits, axis=1)).sum(1)
        given = soft_loss(criterion, torch.tensor(logits), torch.tensor(t))
        np.testing.assert_allclose(given, losses.sum() / (t @ of_class).sum(), 1e-5)
        # torch agrees where it adds up; its mean is over rows.
        criterion.reduction = "sum"
        torchs = criterion(torch.tensor(logits).float(), torch.tensor(t).float())
        given = soft_loss(criterion, torch.tensor(logits), torch.tensor(t))
        np.testing.assert_allclose(given, torchs, rtol=1e-5)

    # torch's compiler warns of itself, differently in each version.
    @pytest.mark.filterwarnings("default")
    @pytest.mark.parametrize("compiled", [False, True])
    def test_compiled_and_in_mixed_precision(self, make_net, table, targets, compiled):
        X, y = table
        params = {"amp": True}
        if compiled:
            params = {"compile": True, "compile__backend": "eager"}
        net = make_net(**params, **ONE_BATCH).fit(X, y, soft_targets=targets)
        plain = make_net(**ONE_BATCH).fit(X, y, soft_targets=targets)
        hard = make_net(**ONE_BATCH).fit(X, y)
        given, expected = net.predict_proba(X), plain.predict_proba(X)
        np.testing.assert_allclose(given, expected, atol=0.01)
        assert np.abs(given - hard.predict_proba(X)).max() > 0.05

    def test_a_term_in_get_loss_is_added(self, make_net, table, targets):
        class WithTerm(NetClassifier):
            def get_loss(self, y_pred, y_true, X=None, training=False):
                assert y_true.shape == (len(y_pred), 3) if training else True
                loss = super().get_loss(y_pred, y_true, X=X, training=training)
                return loss + 1

        X, y = table
        params = {"module__hidden": 6, "max_epochs": 2, "random_state": 0}
        term = WithTerm(**params).fit(X, y, soft_targets=targets)
        plain = NetClassifier(**params).fit(X, y, soft_targets=targets)
        assert_same_weights(term, plain)
        losses = np.subtract(
            term.history[:, "train_loss"], plain.history[:, "train_loss"]
        )
        np.testing.assert_allclose(losses, 1, rtol=1e-5)


class TestForms:
    @pytest.mark.parametrize("kind", ["list", "tensor", "float16", "fortran"])
    def test_kinds_of_arrays(self, make_net, table, targets, kind):
        X, y = table
        form = {
            "list": np.ndarray.tolist,
            "tensor": torch.tensor,
            "float16": np.float16,
            "fortran": np.asfortranarray,
        }[kind]
        given = make_net().fit(X, y, soft_targets=form(targets))
        plain = make_net().fit(X, y, soft_targets=targets)
        atol = 1e-2 if kind == "float16" else 0
        np.testing.assert_allclose(
            given.predict_proba(X), plain.predict_proba(X), rtol=1e-6, atol=atol
        )

    def test_truth_values_and_counts_are_numbers(self, make_net, table):
        X, y = table
        plain = make_net().fit(X, y, soft_targets=np.eye(3)[y])
        for dtype in (bool, np.uint8):
            net = make_net().fit(X, y, soft_targets=np.eye(3, dtype=dtype)[y])
            assert_same_weights(net, plain)

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    @pytest.mark.parametrize("labels", [LETTERS, np.array([3, 10, 7])])
    def test_columns_of_a_frame_are_found_by_name(
        self, make_net, table, targets, library, labels
    ):
        X, y = table
        classes = np.unique(labels)
        plain = make_net().fit(X, classes[y], soft_targets=targets)
        values = {classes[k]: targets[:, k] for k in (2, 0, 1)}
        if library == "polars":
            values = {str(name): column for name, column in values.items()}
        frame = pytest.importorskip(library).DataFrame(values)
        named = make_net().fit(X, classes[y], soft_targets=frame)
        assert_same_weights(named, plain)

    def test_a_frame_without_names_is_in_the_order_of_the_classes(
        self, make_net, table, targets
    ):
        pd = pytest.importorskip("pandas")
        X, y = table
        plain = make_net().fit(X, LETTERS[y], soft_targets=targets)
        # Rows are in the order of X, whatever their index.
        frame = pd.DataFrame(targets, index=np.arange(45)[::-1])
        assert_same_weights(make_net().fit(X, LETTERS[y], soft_targets=frame), plain)

    def test_the_users_array_may_change_after_fit(self, make_net, table, targets):
        X, y = table
        net = make_net(lr_schedule=None, max_epochs=4)
        given = targets.astype(np.float32)
        before = given.copy()
        net.fit(X, y, soft_targets=given)
        np.testing.assert_array_equal(given, before)
        assert net.soft_targets_ is None and "soft_targets_" not in vars(net)

    def test_a_fit_without_them_forgets_them(self, make_net, table, targets):
        X, y = table
        net = make_net().fit(X, y, soft_targets=targets).fit(X, y)
        assert_same_weights(net, make_net().fit(X, y))
        pickle.loads(pickle.dumps(net))

    def test_they_matter_after_weights_are_dropped(self, make_net, table, targets):
        """A weight of 0 leaves out a row with its targets."""
        X, y = table
        keep = np.random.default_rng(0).random(45) < 0.6
        a = make_net(**ONE_BATCH).fit(X, y, keep.astype(float), targets)
        b = make_net(**ONE_BATCH).fit(X[keep], y[keep], soft_targets=targets[keep])
        np.testing.assert_allclose(
            a.predict_proba(X), b.predict_proba(X), rtol=1e-5, atol=1e-6
        )


class TestOtherCalls:
    def test_two_and_two_epochs_are_four(self, make_net, table, targets):
        X, y = table
        two = make_net(lr_schedule=None, max_epochs=2)
        for _ in range(2):
            two.partial_fit(X, y, soft_targets=targets)
        four = make_net(lr_schedule=None, max_epochs=4)
        assert_same_weights(two, four.fit(X, y, soft_targets=targets))

    def test_the_first_rows_may_lack_a_class(self, make_net, table, targets):
        X, y = table
        few = y < 2
        net = make_net()
        net.partial_fit(X[few], y[few], [0, 1, 2], soft_targets=targets[few])
        with pytest.raises(ValueError, match=r"shape \(30, 3\).*got shape \(30, 2\)"):
            net.partial_fit(X[few], y[few], soft_targets=targets[few, :2])

    def test_pipelines_and_metadata_routing(self, table, targets):
        X, y = table
        params = {"module__hidden": 6, "max_epochs": 3, "random_state": 0}
        pipe = make_pipeline(StandardScaler(), NetClassifier(**params))
        pipe.fit(X, y, netclassifier__soft_targets=targets)
        Z = pipe[0].transform(X)
        by_hand = NetClassifier(**params).fit(Z, y, soft_targets=targets)
        assert_same_weights(pipe[-1], by_hand)
        with config_context(enable_metadata_routing=True):
            net = NetClassifier(**params).set_fit_request(soft_targets=True)
            routed = make_pipeline(StandardScaler(), net)
            routed.fit(X, y, soft_targets=targets)
            scores = cross_val_score(
                routed, X, y, cv=3, params={"soft_targets": targets}
            )
        assert_same_weights(routed[-1], by_hand)
        assert np.isfinite(scores).all()

    def test_a_checkpoint_is_of_its_targets(self, make_net, table, targets, tmp_path):
        X, y = table
        stored = tmp_path / "training"
        net = make_net(checkpoint=stored).fit(X, y, soft_targets=targets)
        again = make_net(checkpoint=stored).fit(X, y, soft_targets=targets)
        assert_same_weights(net, again)
        for other in (None, np.eye(3)[y]):
            with pytest.raises(ValueError, match="checksum of soft_targets was"):
                make_net(checkpoint=stored).fit(X, y, soft_targets=other)

    def test_robust_nets_with_the_default_step_learn_them(self, table, targets):
        X, y = table
        params = {"module__hidden": 6, "max_epochs": 3, "random_state": 0}
        critical = CDRClassifier(forget_rate=0.2, **params)
        soft = critical.fit(X, y, soft_targets=np.eye(3)[y]).predict_proba(X)
        np.testing.assert_allclose(soft, critical.fit(X, y).predict_proba(X), 1e-4)
        own = RobustLossClassifier(loss=nn.CrossEntropyLoss, **params)
        plain = NetClassifier(**params).fit(X, y, soft_targets=targets)
        assert_same_weights(own.fit(X, y, soft_targets=targets), plain)


def with_row(values):
    """Return 45 even distributions, but for row 7."""
    changed = np.full((45, 3), 1 / 3)
    changed[7] = values
    return changed


class TestRefusals:
    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            (
                np.ones((45, 2)) / 2,
                ValueError,
                r"\(45, 3\), a .*got shape \(45, 2\)",
            ),
            (np.ones((44, 3)) / 3, ValueError, r"got shape \(44, 3\)"),
            (np.ones(45), ValueError, r"got shape \(45,\)"),
            (with_row([0.5, 0.5, 0.1]), ValueError, r"row 7 of .* sums to 1.1.*divide"),
            (with_row([0.5, 0.3, 0.1]), ValueError, r"row 7 .* sums to 0.9, and must"),
            (with_row([1.5, -0.5, 0]), ValueError, "row 7 .* contains -0.5; probabil"),
            (with_row([np.nan, 0.5, 0.5]), ValueError, "row 7 .* contains NaN or inf"),
            (with_row([np.inf, 0, 0]), ValueError, "row 7 .* contains NaN or infinity"),
            (with_row([1e308, 1e308, 1e308]), ValueError, "row 7 .* sums to inf"),
            (np.full((45, 3), "a"), TypeError, "must be numbers; got .* dtype <U1.*y"),
            (
                np.full((45, 3), "a", object),
                TypeError,
                "must be numbers; got .* dtype object",
            ),
            (np.ones((45, 3)) * 1j, TypeError, "must be numbers; got .* complex128"),
            (csr_array(np.eye(3)[[0] * 45]), TypeError, r"sparse.*toarray\(\)"),
            (np.ma.masked_equal(with_row([1, 0, 0]), 0), ValueError, "masked entries"),
        ],
        ids=str,
    )
    def test_what_is_no_distribution_for_each_row(
        self, make_net, table, bad, error, message
    ):
        net = make_net()
        with pytest.raises(error, match=message):
            net.fit(*table, soft_targets=bad)
        assert not net.initialized_ and "soft_targets_" not in vars(net)

    def test_sums_may_be_rounded(self, make_net, table):
        thirds = np.full((45, 3), 0.3333)
        make_net(max_epochs=1).fit(*table, soft_targets=thirds)

    def test_frames_with_other_names(self, make_net, table, targets):
        pd = pytest.importorskip("pandas")
        X, y = table
        for names, message in (
            (["a", "b", "d"], r"must have the classes as names, \['a'.* have \['a'"),
            ([1, 2, 3], r"must have the classes as names, \['a'.* have \['1'"),
            (["a", "b", "b"], "soft_targets has 2 columns named 'b'"),
        ):
            frame = pd.DataFrame(targets, columns=names)
            with pytest.raises(ValueError, match=message):
                make_net().fit(X, LETTERS[y], soft_targets=frame)

    @pytest.mark.parametrize(
        "kind", [CoTeachingClassifier, DynamicBootstrapClassifier, FlywheelClassifier]
    )
    def test_methods_with_their_own_targets(self, table, targets, kind):
        net = kind(max_epochs=3)
        with pytest.raises(ValueError, match=f"{kind.__name__} takes no soft_targets"):
            net.fit(*table, soft_targets=targets)
        assert not net.initialized_ and not learns_soft_targets(net)

    @pytest.mark.parametrize(
        ("net", "name"),
        [
            (ELRClassifier(), "ELRLoss of ELRClassifier"),
            (RobustLossClassifier(), "GCELoss of RobustLossClassifier"),
            (NetClassifier(criterion=nn.MultiMarginLoss), "MultiMarginLoss of Net"),
        ],
        ids=["elr", "gce", "margin"],
    )
    def test_criteria_that_are_defined_for_labels(self, table, targets, net, name):
        net.set_params(max_epochs=3)
        with pytest.raises(ValueError, match=f"need the criterion .*; {name}"):
            net.fit(*table, soft_targets=targets)
        assert not len(net.history) and not learns_soft_targets(net)
        with pytest.raises(ValueError, match=f"need the criterion .*; {name}"):
            net.partial_fit(*table, soft_targets=targets)

    def test_a_subclass_of_a_criterion_with_its_own_value(self, table, targets):
        class Focal(nn.CrossEntropyLoss):
            def forward(self, logits, y):
                return super().forward(logits, y) ** 2

        net = NetClassifier(criterion=Focal, max_epochs=1)
        with pytest.raises(ValueError, match="Focal of NetClassifier is defined for l"):
            net.fit(*table, soft_targets=targets)

    def test_a_class_that_is_ignored(self, make_net, table, targets):
        with pytest.raises(ValueError, match="criterion__ignore_index=2 ignores rows"):
            make_net(criterion__ignore_index=2).fit(*table, soft_targets=targets)

    def test_masking(self, make_net, images):
        X, y = images
        net = make_net(nn.Flatten, masking=AdversarialMasking)
        with pytest.raises(ValueError, match="no soft_targets together with masking"):
            net.fit(X, y, soft_targets=np.eye(2)[y])

    def test_batches_without_row_numbers(self, make_net, table, targets):
        net = make_net(iterator_train=DataLoader)
        with pytest.raises(TypeError, match="soft_targets reads which rows a batch"):
            net.fit(*table, soft_targets=targets)

    def test_which_nets_are_known_to_learn_them(self):
        assert learns_soft_targets(NetClassifier())
        assert learns_soft_targets(NetClassifier(criterion=nn.NLLLoss()))
        assert learns_soft_targets(CDRClassifier())
        assert not learns_soft_targets(NetClassifier(masking=AdversarialMasking))
