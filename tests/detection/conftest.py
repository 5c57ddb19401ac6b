"""A look at the trainings of a detector."""

import pytest

from sknoisy.detection import _dynacor


@pytest.fixture
def trainings(monkeypatch):
    """List of what each training was given and what it recorded."""
    seen = []
    record = _dynacor.record_dynamics

    def spy(net, X, codes, n_classes, **kwargs):
        training = {
            "net": net,
            # Before the net is fitted, which adds to them.
            "params": net.get_params(deep=False),
            "X": X,
            "codes": codes.copy(),
            "seed": kwargs["seed"],
        }
        seen.append(training)
        trajectories, mean_proba = record(net, X, codes, n_classes, **kwargs)
        training.update(trajectories=trajectories.copy(), proba=mean_proba.copy())
        return trajectories, mean_proba

    monkeypatch.setattr(_dynacor, "record_dynamics", spy)
    return seen
