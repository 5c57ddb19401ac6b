"""The trajectory encoder: the reference's numbers, its centres and its selection."""

import numpy as np
import pytest
import torch
from torch import nn

from sknoisy._verdicts import suggest_labels
from sknoisy.detection._dynamics._encoder import (
    DynamicsClustering,
    DynamicsEncoder,
    TrajectoryCNN,
    normalize_trajectories,
    selection_metric,
)
from sknoisy.nets import ArrayDataset


def load_reference_weights(cnn, data):
    names = {"conv1.0": "conv1", "conv2.0": "conv2", "conv3.0": "conv3", "fc": "fc"}
    state = {
        f"{ours}.{kind}": torch.from_numpy(data[f"weight_{theirs}.{kind}"])
        for theirs, ours in names.items()
        for kind in ("weight", "bias")
    }
    cnn.load_state_dict(state)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("how", ["sign", "l2_time"])
def test_encoding_and_initial_centers_equal_the_reference(reference, how):
    data = reference("dynacor_clustering.npz")
    rows = normalize_trajectories(data["trajectories"], how)
    is_copy = data["is_copy"]

    class Loaded(DynamicsEncoder):
        def __init__(self, input_shape):
            super().__init__(input_shape)
            load_reference_weights(self.cnn, data)

    with torch.no_grad():
        encoding = Loaded((30,)).embed(torch.from_numpy(rows))
    expected = data[f"{how}_encoding"]
    np.testing.assert_allclose(encoding, expected, rtol=1e-4, atol=1e-5)

    copied = np.flatnonzero(~is_copy)[: is_copy.sum()]
    net = DynamicsClustering(
        Loaded, copied_rows=copied, max_epochs=1, lr=0.0, random_state=0
    )
    net.partial_fit(ArrayDataset(rows, is_copy.astype(np.int64)), classes=[0, 1])
    centers = net.module_.centers.detach()
    expected = data[f"{how}_centers"][::-1]  # the library has the clean one first
    np.testing.assert_allclose(centers, expected, rtol=1e-4, atol=1e-5)
    expected = data[f"{how}_q_euclidean"][:, 0]
    np.testing.assert_allclose(net.scores_, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        net.predict_proba(ArrayDataset(rows))[:, 1], expected, rtol=1e-4, atol=1e-5
    )


def test_convolutions_equal_a_plain_sequence_of_conv1d():
    torch.manual_seed(0)
    cnn = TrajectoryCNN(7, n_out=5)
    plain = nn.Sequential(
        cnn.conv1, nn.ReLU(), cnn.conv2, nn.ReLU(), cnn.conv3, nn.ReLU(), nn.Flatten()
    )
    X = torch.randn(11, 7)
    with torch.no_grad():
        expected = cnn.fc(plain(X[:, None]))
        np.testing.assert_allclose(cnn(X), expected, rtol=1e-5, atol=1e-6)


def clustering_data(n=200, n_copies=40, seed=0):
    """Trajectories: clean ones rise, noisy ones fall; copies are all noisy."""
    rng = np.random.default_rng(seed)
    is_noisy = rng.random(n) < 0.3
    slope = np.where(is_noisy, -1.0, 1.0)
    rows = slope[:, None] * np.linspace(0.2, 1, 12) + rng.normal(0, 0.3, (n, 12))
    copies = -np.linspace(0.2, 1, 12) + rng.normal(0, 0.3, (n_copies, 12))
    rows = normalize_trajectories(np.concatenate([rows, copies]), "l2_time")
    is_copy = np.repeat([0, 1], [n, n_copies]).astype(np.int64)
    return ArrayDataset(rows, is_copy), is_noisy, rng.choice(n, n_copies, replace=False)


def test_clusters_separate_rising_from_falling_trajectories():
    data, is_noisy, copied = clustering_data()
    net = DynamicsClustering(
        copied_rows=copied,
        lr=1e-4,
        optimizer=torch.optim.Adam,
        max_epochs=5,
        random_state=0,
        module__n_out=32,
    ).partial_fit(data, classes=[0, 1])
    flagged = net.scores_[:200] > 0.5
    assert (flagged == is_noisy).mean() > 0.95
    assert len(net.metrics_) == 6  # epoch 0, before training, is judged too


def test_the_selected_epoch_has_the_largest_metric_and_its_weights_are_kept():
    data, _, copied = clustering_data()
    net = DynamicsClustering(
        copied_rows=copied,
        lr=0.05,
        optimizer=torch.optim.Adam,
        max_epochs=8,
        random_state=0,
        module__n_out=16,
    ).partial_fit(data, classes=[0, 1])
    assert net.best_epoch_ == int(np.argmax(net.metrics_))
    again = net.predict_proba(ArrayDataset(data.features))[:, 1]
    np.testing.assert_allclose(again, net.scores_, rtol=1e-5)
    is_copy = torch.from_numpy(data.codes == 1)
    metric = selection_metric(torch.from_numpy(net.scores_), is_copy, copied)
    assert metric == pytest.approx(max(net.metrics_), rel=1e-2)


def test_it_trains_in_full_precision_unless_asked():
    assert DynamicsClustering().amp is False
    assert DynamicsClustering(amp=True).amp is True


def test_a_collapsing_training_falls_back_to_epoch_0():
    data, is_noisy, copied = clustering_data()
    net = DynamicsClustering(
        copied_rows=copied,
        lr=1e6,
        optimizer=torch.optim.SGD,
        max_epochs=2,
        random_state=0,
        module__n_out=16,
        optimizer__momentum=0.0,
        optimizer__weight_decay=1e-5,
    )
    try:
        net.partial_fit(data, classes=[0, 1])
    except FloatingPointError:
        pytest.skip("this training diverges outright on this machine")
    assert net.best_epoch_ == 0
    assert ((net.scores_[:200] > 0.5) == is_noisy).mean() > 0.9


def test_without_copies_the_cluster_with_the_lower_signal_is_noisy():
    data, is_noisy, _ = clustering_data()
    originals = ArrayDataset(data.features[:200], np.zeros(200, dtype=np.int64))
    net = DynamicsClustering(
        copied_rows=np.array([], dtype=np.int64),
        max_epochs=1,
        lr=1e-5,
        random_state=0,
        module__n_out=32,
    ).partial_fit(originals, classes=[0, 1])
    assert net.metrics_ == [0.0, 0.0]
    assert net.best_epoch_ == 0
    assert ((net.scores_ > 0.5) == is_noisy).mean() > 0.95


def test_selection_metric_by_hand():
    q = torch.tensor([0.1, 0.9, 0.2, 0.8, 0.7, 0.3])
    is_copy = torch.tensor([False, False, False, True, True, True])
    # copies judged noisy: .8, .7; copied originals judged clean: .1, .2
    assert selection_metric(q, is_copy, [0, 1, 2]) == pytest.approx(0.6**2)
    assert selection_metric(q, is_copy, [1]) == 0.0
    assert selection_metric(q[:3], is_copy[:3], [0]) == 0.0


class TestNormalizeTrajectories:
    t = np.array([[3.0, -4.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])

    def test_l2_time_gives_unit_rows_and_leaves_zeros(self):
        scaled = normalize_trajectories(self.t, "l2_time")
        np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), [1, 1, 0], rtol=1e-6)

    def test_sign_gives_plus_and_minus_one(self):
        scaled = normalize_trajectories(self.t[:2, :2], "sign")
        np.testing.assert_array_equal(scaled, [[1, -1], [1, 1]])

    def test_zscore_standardises_each_epoch(self):
        t = np.random.default_rng(0).normal(3, 2, (50, 4))
        scaled = normalize_trajectories(t, "zscore")
        np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-5)

    def test_none_changes_nothing(self):
        np.testing.assert_array_equal(normalize_trajectories(self.t, None), self.t)


def test_suggestions_are_the_best_other_class_of_flagged_rows_only():
    proba = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
    codes = np.array([0, 2, 0])
    mask = np.array([True, False, True])
    before = proba.copy()
    np.testing.assert_array_equal(suggest_labels(proba, codes, mask), [1, 2, 1])
    np.testing.assert_array_equal(proba, before)
