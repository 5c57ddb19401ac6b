"""What a method may override, and what it can rely on there."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Subset

from sknoisy import NetClassifier
from sknoisy.nets import ArrayDataset, Batch, LoaderBatches, Step


class RowState(nn.Module):
    """Keeps the last probabilities of every row, and how often it saw each."""

    def __init__(self, n_samples, n_classes, input_shape, momentum=0.9):
        super().__init__()
        self.register_buffer("proba", torch.zeros(n_samples, n_classes))
        self.register_buffer("count", torch.zeros(n_samples, dtype=torch.int64))
        self.input_shape = input_shape
        self.momentum = momentum

    def forward(self, logits, y, index):
        with torch.no_grad():
            self.proba[index] = logits.softmax(1)
            self.count.index_add_(0, index, torch.ones_like(index))
        return F.cross_entropy(logits, y)


class RowStateClassifier(NetClassifier):
    def training_loss(self, X, y, index):
        logits = self.module_(X)
        return Step(self.criterion_(logits, y, index), logits)


class SmoothClassifier(NetClassifier):
    """Label smoothing, written as a training loss."""

    def __init__(self, module=None, *, smoothing=0.0, **kwargs):
        super().__init__(module, **kwargs)
        self.smoothing = smoothing

    def training_loss(self, X, y, index):
        logits = self.module_(X)
        log_p = logits.log_softmax(1)
        hit = -log_p.gather(1, y[:, None]).squeeze(1)
        loss = (1 - self.smoothing) * hit - self.smoothing * log_p.mean(1)
        return Step(self.weighted_mean(loss, index), logits)


PARAMS = {"max_epochs": 4, "batch_size": 16, "module__hidden": 6, "random_state": 0}


class TestTrainingLoss:
    def test_a_subclass_is_trained_by_its_own_loss(self, table):
        X, y = table
        own = SmoothClassifier(smoothing=0.3, **PARAMS).fit(X, y)
        torchs = NetClassifier(criterion__label_smoothing=0.3, **PARAMS).fit(X, y)
        plain = NetClassifier(**PARAMS).fit(X, y)
        given = own.predict_proba(X)
        np.testing.assert_allclose(given, torchs.predict_proba(X), rtol=1e-4)
        assert np.abs(given - plain.predict_proba(X)).max() > 1e-3
        np.testing.assert_allclose(
            own.history[:, "train_loss"], torchs.history[:, "train_loss"], rtol=1e-4
        )

    def test_its_parameters_are_parameters(self, table):
        net = SmoothClassifier(smoothing=0.3, **PARAMS)
        assert net.get_params()["smoothing"] == 0.3
        assert net.set_params(smoothing=0.1).fit(*table).smoothing == 0.1

    def test_weights_come_by_one_helper(self, table):
        X, y = table
        w = np.random.default_rng(0).random(45)
        own = SmoothClassifier(smoothing=0.0, **PARAMS).fit(X, y, sample_weight=w)
        plain = NetClassifier(**PARAMS).fit(X, y, sample_weight=w)
        np.testing.assert_allclose(
            own.predict_proba(X), plain.predict_proba(X), rtol=1e-4
        )

    def test_weighted_mean_by_hand(self, make_net):
        net = make_net()
        loss, index = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2, 0, 1])
        assert net.weighted_mean(loss, index).item() == pytest.approx(7 / 3)
        assert net.weighted_mean(loss.mean(), index).item() == pytest.approx(7 / 3)
        net.sample_weight_ = torch.tensor([3.0, 0.0, 1.0])
        expected = (1 * 1 + 3 * 2 + 0 * 4) / 4
        assert net.weighted_mean(loss, index).item() == pytest.approx(expected)
        assert net.weighted_mean(loss[2:], index[2:]).item() == 0

    @pytest.mark.parametrize("weight", [None, torch.ones(3)])
    def test_weighted_mean_of_no_rows_is_zero_with_a_gradient(self, make_net, weight):
        net = make_net()
        net.sample_weight_ = weight
        loss, none = torch.ones(3, requires_grad=True), torch.arange(0)
        mean = net.weighted_mean(loss[none], none)
        mean.backward()
        assert mean.shape == () and mean.item() == 0
        assert (loss.grad == 0).all()

    def test_a_batch_from_which_nothing_is_learnt_keeps_the_weights(self, table):
        class Idle(NetClassifier):
            def training_loss(self, X, y, index):
                logits = self.module_(X)
                rows = (y < 0).nonzero().squeeze(1)
                losses = F.cross_entropy(logits, y, reduction="none")
                return Step(self.weighted_mean(losses[rows], index[rows]), logits)

        params = {**PARAMS, "optimizer__weight_decay": 0.0}
        untrained = NetClassifier(**{**params, "lr": 0.0}).fit(*table)
        np.testing.assert_array_equal(
            Idle(**params).fit(*table).predict_proba(table[0]),
            untrained.predict_proba(table[0]),
        )

    def test_epoch_hooks_of_the_net_live_without_callbacks(self, table):
        class Counting(NetClassifier):
            def on_train_begin(self, net, X=None, y=None, **kwargs):
                super().on_train_begin(net, X, y, **kwargs)
                self.calls_ = []

            def on_epoch_begin(self, net, *args, **kwargs):
                super().on_epoch_begin(net, *args, **kwargs)
                self.calls_.append("begin")

            def on_epoch_end(self, net, *args, **kwargs):
                super().on_epoch_end(net, *args, **kwargs)
                self.calls_.append("end")

            def on_batch_end(self, net, **kwargs):
                self.calls_.append("batch")

        net = Counting(callbacks="disable", **PARAMS).fit(*table)
        assert net.calls_ == ["begin", "batch", "batch", "batch", "end"] * 4
        plain = NetClassifier(**PARAMS).fit(*table)
        np.testing.assert_array_equal(
            net.predict_proba(table[0]), plain.predict_proba(table[0])
        )


class TestRowState:
    @pytest.mark.parametrize("iterator", [None, LoaderBatches])
    def test_every_row_is_updated_once_per_epoch_by_its_number(
        self, table, spy, iterator
    ):
        X, y = table
        params = {"iterator_train": iterator} if iterator else {}
        net = RowStateClassifier(
            criterion=RowState, callbacks=[spy], **PARAMS, **params
        ).fit(X, y)
        assert net.criterion_.count.tolist() == [4] * 45
        assert net.criterion_.proba.shape == (45, 3)
        assert net.criterion_.input_shape == (4,)
        expected = np.empty((45, 3))
        for index, _, _, logits, _ in spy.train[-1]:
            expected[index] = np.exp(log_softmax(logits.astype(float), axis=1))
        np.testing.assert_allclose(net.criterion_.proba, expected, rtol=1e-5)

    def test_what_the_user_says_comes_first(self, table):
        net = RowStateClassifier(
            criterion=RowState,
            criterion__n_samples=100,
            criterion__momentum=0.5,
            **PARAMS,
        ).fit(*table)
        assert net.criterion_.proba.shape == (100, 3)
        assert net.criterion_.momentum == 0.5

    @pytest.mark.parametrize(
        "criterion",
        [RowState, partial(RowState, momentum=0.5), RowState(45, 3, (4,))],
        ids=["class", "partial", "instance"],
    )
    def test_partial_fit_needs_the_same_rows(self, table, criterion):
        X, y = table
        net = RowStateClassifier(criterion=criterion, **PARAMS).fit(X, y)
        before = net.criterion_.count.clone()
        message = "continue with the rows and labels of the first fit in the same order"
        for rows in (slice(0, 30), slice(None, None, -1)):
            with pytest.raises(ValueError, match=message):
                net.partial_fit(X[rows], y[rows])
        assert net.criterion_.count.equal(before)
        net.partial_fit(X, y)
        assert net.criterion_.count.tolist() == [8] * 45

    def test_warm_start_needs_the_same_rows(self, table):
        X, y = table
        net = RowStateClassifier(criterion=RowState, warm_start=True, **PARAMS)
        net.fit(X, y)
        with pytest.raises(ValueError, match="RowState keeps a state for each row"):
            net.fit(X[:30], y[:30])
        net.set_params(warm_start=False).fit(X[:30], y[:30])
        assert net.criterion_.count.tolist() == [4] * 30

    def test_interrupted_training_goes_on_bit_for_bit(self, table):
        X, y = table
        params = {**PARAMS, "criterion": RowState, "lr_schedule": None}
        whole = RowStateClassifier(**{**params, "max_epochs": 8}).fit(X, y)
        net = RowStateClassifier(**params).fit(X, y).partial_fit(X, y)
        assert net.criterion_.proba.equal(whole.criterion_.proba)
        np.testing.assert_array_equal(net.predict_proba(X), whole.predict_proba(X))


class TestBuild:
    def test_it_adds_the_facts_that_a_signature_asks_for(self, table):
        class Probe(nn.Linear):
            def __init__(self, n_samples, n_classes, input_shape):
                self.facts = n_samples, n_classes, input_shape
                super().__init__(input_shape[0], n_classes)

        net = NetClassifier(Probe, max_epochs=1).fit(*table)
        assert net.module_.facts == (45, 3, (4,))

    def test_a_slot_of_a_method(self, table):
        class TwoModules(NetClassifier):
            def __init__(self, module=None, *, judge=None, **kwargs):
                super().__init__(module, **kwargs)
                self.judge = judge

            def initialize_module(self):
                super().initialize_module()
                self.judge_ = self.build("judge")
                return self

            def training_loss(self, X, y, index):
                logits = self.module_(X)
                both = self.criterion_(logits, y) + self.criterion_(self.judge_(X), y)
                return Step(both, logits)

        class Judge(nn.Linear):
            def __init__(self, input_shape, n_classes, bias=True):
                super().__init__(input_shape[0], n_classes, bias)

        X, y = table
        net = TwoModules(judge=Judge, judge__bias=False, **PARAMS).fit(X, y)
        assert net.judge_.bias is None
        rows, _, logits = net.eval_pass(ArrayDataset(X, y))
        assert list(logits) == ["module", "judge"] and len(rows) == 45
        with torch.no_grad():
            expected = net.judge_(torch.from_numpy(X))
        torch.testing.assert_close(logits["judge"], expected, rtol=1e-6, atol=1e-7)
        # Both modules are trained by the one optimizer, seeded alike.
        again = TwoModules(judge=Judge, judge__bias=False, **PARAMS).fit(X, y)
        assert net.judge_.weight.equal(again.judge_.weight)
        still = TwoModules(judge=Judge, judge__bias=False, **{**PARAMS, "lr": 0})
        assert not net.judge_.weight.equal(still.fit(X, y).judge_.weight)

    def test_names_in_the_way_of_none(self, table):
        with pytest.raises(ValueError, match="RowState takes no criterion__momentm"):
            RowStateClassifier(criterion=RowState, criterion__momentm=3, **PARAMS).fit(
                *table
            )


class TestEvalPass:
    @pytest.mark.parametrize("iterator", [None, LoaderBatches])
    def test_logits_in_evaluation_mode_with_their_rows(self, table, iterator):
        X, y = table
        params = {"iterator_valid": iterator} if iterator else {}
        net = NetClassifier(
            module__dropout=0.5, iterator_valid__batch_size=10, **PARAMS, **params
        ).fit(X, y)
        net.module_.train()
        rows, codes, logits = net.eval_pass(ArrayDataset(X, y))
        assert rows.tolist() == list(range(45)) and codes.tolist() == y.tolist()
        assert list(logits) == ["module"] and not logits["module"].requires_grad
        with torch.no_grad():
            expected = net.module_.eval()(torch.from_numpy(X))
        torch.testing.assert_close(logits["module"], expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(logits["module"], net.forward(X))

    def test_a_subset_keeps_its_row_numbers(self, table):
        X, y = table
        net = NetClassifier(**PARAMS).fit(X, y)
        chosen = [7, 3, 40]
        rows, codes, logits = net.eval_pass(Subset(ArrayDataset(X, y), chosen))
        assert rows.tolist() == chosen and codes.tolist() == y[chosen].tolist()
        torch.testing.assert_close(logits["module"], net.forward(X)[chosen])

    def test_it_may_be_called_within_training_without_changing_it(self, table):
        class Looking(NetClassifier):
            def on_epoch_begin(self, net, dataset_train=None, *args, **kwargs):
                super().on_epoch_begin(net, dataset_train, *args, **kwargs)
                self.eval_pass(dataset_train)

            def training_loss(self, X, y, index):
                assert self.module_.training and self.criterion_.training
                return super().training_loss(X, y, index)

        X, y = table
        params = {**PARAMS, "module__dropout": 0.5}
        a, b = Looking(**params).fit(X, y), NetClassifier(**params).fit(X, y)
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))

    def test_batches_given_to_the_loss_are_consistent(self, table):
        X, y = table

        class Checking(NetClassifier):
            def training_loss(self, features, codes, index):
                np.testing.assert_array_equal(features.numpy(), X[index.numpy()])
                np.testing.assert_array_equal(codes.numpy(), y[index.numpy()])
                assert index.dtype == codes.dtype == torch.int64
                return super().training_loss(features, codes, index)

        Checking(**PARAMS).fit(X, y)

    def test_a_batch_can_be_scored_by_hand(self, table):
        X, y = table
        net = NetClassifier(**PARAMS).fit(X, y)
        batch = Batch(torch.from_numpy(X[:5]), None, torch.arange(5))
        torch.testing.assert_close(net.evaluation_step(batch), net.forward(X)[:5])


class Finishing(NetClassifier):
    """Notes what it is given after training, and in which state."""

    def on_train_begin(self, net, *args, **kwargs):
        super().on_train_begin(net, *args, **kwargs)
        if not hasattr(self, "finishes_"):
            self.finishes_ = []

    def finish_fit(self, dataset):
        rows, codes, logits = self.eval_pass(dataset)
        weights = self.sample_weight_
        self.finishes_.append((len(self.history), rows, codes, logits, weights))


class TestFinishFit:
    def test_once_after_training_with_all_rows(self, table):
        X, y = table
        net = Finishing(train_split=ValidSplit(3), **PARAMS).fit(X, y)
        ((n_epochs, rows, codes, logits, _),) = net.finishes_
        assert n_epochs == 4
        assert rows.tolist() == list(range(45)) and codes.tolist() == y.tolist()
        torch.testing.assert_close(logits["module"], net.forward(X))

    def test_after_each_partial_fit(self, table):
        X, y = table
        net = Finishing(**PARAMS).partial_fit(X, y).partial_fit(X[:30], y[:30])
        assert [(n, len(rows)) for n, rows, *_ in net.finishes_] == [(4, 45), (8, 30)]

    @pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end"])
    def test_after_an_interruption_too(self, table, hook):
        class Stop(Callback):
            pass

        def stop(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

        setattr(Stop, hook, stop)
        net = Finishing(callbacks=[Stop()], **PARAMS).fit(*table)
        assert [n_epochs for n_epochs, *_ in net.finishes_] == [2]

    def test_not_after_an_error(self, table):
        X, y = table
        net = Finishing(**{**PARAMS, "lr": 1e12, "max_epochs": 20})
        with pytest.raises(FloatingPointError, match="diverged"):
            net.fit(X, y)
        assert net.finishes_ == []

    def test_sample_weights_are_still_there(self, table):
        X, y = table
        w = np.random.default_rng(0).random(45)
        net = Finishing(**PARAMS).fit(X, y, sample_weight=w)
        np.testing.assert_allclose(net.finishes_[0][-1], w, rtol=1e-6)
        assert net.sample_weight_ is None

    def test_random_numbers_in_it_are_isolated(self, table):
        class Drawing(NetClassifier):
            def finish_fit(self, dataset):
                self.drawn_ = torch.rand(1).item()

        before = torch.random.get_rng_state()
        a, b = (Drawing(**PARAMS).fit(*table).drawn_ for _ in range(2))
        assert a == b and torch.equal(torch.random.get_rng_state(), before)

    def test_a_plain_net_learns_nothing(self, table):
        X, y = table
        net = NetClassifier(**PARAMS).fit(X, y)
        before = set(vars(net)), net.predict_proba(X)
        assert net.finish_fit(net.get_dataset(X)) is None
        assert set(vars(net)) == before[0]
        assert (net.predict_proba(X) == before[1]).all()
