"""How NetClassifier runs: precision, compilation, interruption, devices."""

import numpy as np
import pytest
import torch
from fitted_state import assert_same_weights
from skorch.callbacks import Callback
from torch import nn

from sknoisy import NetClassifier
from sknoisy.nets import LoaderBatches, _running


class Interrupt(Callback):
    """Press Ctrl-C in some epoch."""

    def __init__(self, epoch, hook="on_batch_end"):
        self.epoch = epoch
        self.hook = hook

    def _press(self, net):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_begin(self, net, **kwargs):
        if self.hook == "on_epoch_begin":
            self._press(net)

    def on_batch_end(self, net, **kwargs):
        if self.hook == "on_batch_end":
            self._press(net)


class TestPrecision:
    class Typed(nn.Module):
        seen = []

        def __init__(self, n_classes):
            super().__init__()
            self.fc = nn.Linear(4, n_classes)

        def forward(self, X):
            out = self.fc(X)
            # A single row is the check of the outputs before training.
            if len(X) > 1:
                self.seen.append(out.dtype)
            return out

    @pytest.mark.usefixtures("default_output")
    @pytest.mark.parametrize(
        ("amp", "dtype"),
        [(True, torch.bfloat16), (False, torch.float32), ("auto", torch.float32)],
    )
    def test_mixed_precision_on_the_cpu(self, make_net, table, amp, dtype):
        X, y = table
        self.Typed.seen.clear()
        net = make_net(self.Typed, amp=amp, device="cpu").fit(X, y)
        proba, logits = net.predict_proba(X), net.forward(X)
        assert set(self.Typed.seen) == {dtype}
        assert proba.dtype == np.float32 and logits.dtype == torch.float32
        np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
        assert all(p.dtype == torch.float32 for p in net.module_.parameters())
        assert net.transform(X).dtype == np.float32


@pytest.mark.slow
class TestCompile:
    # torch's compiler warns of itself, differently in each version.
    @pytest.mark.filterwarnings("default")
    def test_a_compiled_net_is_the_same_net(self, make_net, table):
        X, y = table
        params = {"module__dropout": 0.0, "max_epochs": 2}
        plain = make_net(**params).fit(X, y)
        net = make_net(compile=True, compile__backend="eager", **params).fit(X, y)
        assert hasattr(net.module_, "_orig_mod")
        np.testing.assert_allclose(
            net.predict_proba(X), plain.predict_proba(X), rtol=1e-4
        )
        np.testing.assert_allclose(
            net.transform(X), plain.transform(X), rtol=1e-4, atol=1e-6
        )


class TestTrouble:
    def test_divergence_names_the_learning_rate(self, make_net, table):
        X, y = table
        net = make_net(lr=1e12, max_epochs=20, module__hidden=32)
        message = r"diverged in epoch \d+.*(nan|inf).*Lower lr \(now 1000000000000"
        with pytest.raises(FloatingPointError, match=message):
            net.fit(X, y)
        assert net.optimizer_.param_groups[0]["lr"] == 1e12

    def test_a_diverged_net_can_be_fitted_again(self, make_net, table):
        X, y = table
        net = make_net(lr=1e12, max_epochs=20, module__hidden=32)
        with pytest.raises(FloatingPointError, match="diverged"):
            net.fit(X, y, sample_weight=np.ones(45))
        net.set_params(lr=0.05, max_epochs=3).fit(X, y)
        assert_same_weights(net, make_net(module__hidden=32).fit(X, y))

    def test_an_interrupt_keeps_the_epochs_before(self, make_net, table):
        X, y = table
        interrupt = Interrupt(3, "on_epoch_begin")
        params = {"lr_schedule": None}
        net = make_net(callbacks=[interrupt], max_epochs=9, **params).fit(X, y)
        assert_same_weights(net, make_net(max_epochs=2, **params).fit(X, y))
        np.testing.assert_array_equal(
            net.predict(X), make_net(max_epochs=2, **params).fit(X, y).predict(X)
        )

    def test_an_interrupt_within_an_epoch(self, make_net, table):
        X, y = table
        net = make_net(callbacks=[Interrupt(3)], max_epochs=9, lr=0.1).fit(X, y)
        assert len(net.history[:2, "train_loss"]) == 2
        assert net.predict(X).shape == (45,)
        assert net.optimizer_.param_groups[0]["lr"] == 0.1
        # The callback stops only the third epoch.
        net.partial_fit(X, y)
        assert len(net.history) == 3 + 9

    def test_device_that_does_not_exist(self, table):
        with pytest.raises(ValueError, match="device='nonsense' is not a torch device"):
            NetClassifier(device="nonsense").fit(*table)


@pytest.mark.gpu
class TestGPU:
    @pytest.fixture(autouse=True)
    def gpu(self):
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")

    @pytest.mark.parametrize("iterator", [None, LoaderBatches])
    def test_it_trains_on_the_device_as_on_the_cpu(self, make_net, table, iterator):
        X, y = table
        params = {"module__dropout": 0.0, "amp": False, "max_epochs": 5}
        if iterator is not None:
            params.update(iterator_train=iterator, iterator_valid=iterator)
        cpu = make_net(device="cpu", **params).fit(X, y)
        gpu = make_net(**params).fit(X, y)
        assert gpu.device_.type == "cuda"
        assert next(gpu.module_.parameters()).is_cuda
        assert gpu.predict_proba(X).dtype == np.float32
        assert gpu.score(X, y) > 0.4 and cpu.score(X, y) > 0.4

    def test_the_generators_stay_as_they_are(self, make_net, table):
        before = torch.cuda.get_rng_state(), torch.random.get_rng_state()
        make_net().fit(*table).predict(table[0])
        assert torch.equal(torch.cuda.get_rng_state(), before[0])
        assert torch.equal(torch.random.get_rng_state(), before[1])


def test_losses_of_many_batches_are_those_of_each():
    found = _running._Losses()
    expected = [float(number) for number in range(2 * _running._STACKED + 3)]
    for value in expected:
        found.append(torch.tensor(value))
    assert len(found.before) == 2 and found.tolist() == expected
    assert _running._Losses().tolist() == []
