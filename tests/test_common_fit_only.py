"""What a net has while it is fitted only stays neither on it nor in a pickle."""

import numpy as np
import pytest
from public_estimators import ONE_EACH, label
from skorch.callbacks import Callback

from sknoisy import NetClassifier

NETS = [estimator for estimator in ONE_EACH if isinstance(estimator, NetClassifier)]


class Looking(Callback):
    """Look at what is on the net and in its pickle, and fail at the end."""

    def on_batch_end(self, net, training=False, **kwargs):
        self.held_ = {*vars(net)}.intersection(net.fit_only_attributes_)
        self.stored_ = {*net.__getstate__()}.intersection(net.fit_only_attributes_)

    def on_train_end(self, net, **kwargs):
        raise RuntimeError("seen enough")


@pytest.mark.parametrize("net", NETS, ids=label)
def test_it_is_dropped_when_a_fit_fails(net):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
    looking = Looking()
    net = type(net)(max_epochs=2, callbacks=[looking], random_state=0)
    with pytest.raises(RuntimeError, match="seen enough"):
        net.fit(X, y)
    assert {"autocast_", "hooks_", "turn_"} <= looking.held_
    assert not looking.stored_
    assert not {*vars(net)}.intersection(net.fit_only_attributes_)
