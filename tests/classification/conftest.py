"""A look at every training step of a DynamicBootstrapClassifier."""

from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch

from sknoisy import DynamicBootstrapClassifier


class Watched(DynamicBootstrapClassifier):
    """Keeps what each step was given, computed and returned, as numpy arrays."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        if not len(self.history):
            self.steps_, self.phases_, self.temperatures_ = [], [], []

    def on_epoch_begin(self, net, *args, **kwargs):
        super().on_epoch_begin(net, *args, **kwargs)
        self.phases_.append(self.phase_)
        if self.phase_ == "bootstrap":
            self.temperatures_.append(self.temperature_)

    def training_loss(self, X, y, index):
        step = SimpleNamespace(epoch=len(self.history), phase=self.phase_)
        step.X, step.y, step.index = to_numpy(X), to_numpy(y), to_numpy(index)
        step.state = {k: to_numpy(v) for k, v in self.module_.state_dict().items()}
        step.calls, step.partner, step.p_noisy = [], None, None
        self.steps_.append(step)

        def keep(module, args, out):
            call = SimpleNamespace(training=module.training, grad=out.requires_grad)
            call.X, call.logits = to_numpy(args[0]), to_numpy(out)
            step.calls.append(call)

        def randperm(*args, randperm=torch.randperm, **kwargs):
            partner = randperm(*args, **kwargs)
            step.partner = to_numpy(partner)
            return partner

        hook = self.module_.register_forward_hook(keep)
        with patch.object(torch, "randperm", randperm):
            made = super().training_loss(X, y, index)
        hook.remove()
        step.loss, step.logits = made.loss.item(), to_numpy(made.logits)
        bias = list(self.module_.parameters())[-1]
        step.grad = to_numpy(torch.autograd.grad(made.loss, bias, retain_graph=True)[0])
        return made

    def _posterior(self, X, y):
        p_noisy = super()._posterior(X, y)
        self.steps_[-1].p_noisy = to_numpy(p_noisy)
        return p_noisy


def to_numpy(tensor):
    return tensor.detach().cpu().numpy().copy()


SMALL = {
    "module__hidden": 8,
    "module__dropout": 0.0,
    "max_epochs": 6,
    "warmup_epochs": 2,
    "batch_size": 60,
    "random_state": 0,
}


@pytest.fixture
def watch():
    """Fit a small classifier and keep its steps."""

    def fit(X, y, fit_params=None, **params):
        return Watched(**{**SMALL, **params}).fit(X, y, **(fit_params or {}))

    return fit
