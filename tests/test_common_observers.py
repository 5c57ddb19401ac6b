"""What looks at a training, and what it leaves out, changes no bit of it."""

import numpy as np
import pytest
from fitted_state import assert_same_fit
from public_estimators import instances, label
from sklearn.base import clone

from sknoisy.nets import DynamicsRecorder

NETS = {type(net): net for net in instances("going on")[::-1]}.values()


@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("net", NETS, ids=label)
def test_with_a_recorder_and_without_any_callback(net, blobs):
    X, y, _ = blobs
    net = clone(net).set_params(max_epochs=3)
    within, after = DynamicsRecorder(), DynamicsRecorder("loss", when="epoch_end")
    watched = clone(net).set_params(callbacks=[within, after]).fit(X, y)
    assert_same_fit(watched, net.set_params(callbacks="disable").fit(X, y))
    assert within.trajectories_.shape == after.trajectories_.shape == (180, 3)
    # Some methods leave rows out after the warm-up.
    assert np.isfinite(within.trajectories_[:, 0]).all()
    assert np.isfinite(after.trajectories_).all()
