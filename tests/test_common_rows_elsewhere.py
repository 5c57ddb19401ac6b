"""Estimators take rows in each container as they take the array."""

import warnings

import numpy as np
import pytest
from rows_elsewhere import IMAGES, TABLES, hugging_face, items, memmap, parquet
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from test_common_images import Narrow

from sknoisy import (
    AUMDetector,
    CleanedClassifier,
    ConfidentLearningDetector,
    DynaCorDetector,
    FINEDetector,
    LossMixtureDetector,
    NetClassifier,
    NoisyLabelFilter,
    RobustLossClassifier,
    SmallLossDetector,
    label_report,
)
from sknoisy.datasets import as_row_source
from sknoisy.nets import _defaults

SMALL = {"module__hidden": 4, "max_epochs": 2, "batch_size": 16, "random_state": 0}
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(60, 4))
LABELS = np.array(["cat", "dog", "emu"])[np.arange(60) % 3]
PICTURES = RNG.integers(0, 256, (24, 3, 8, 8)).astype(np.uint8)
PICTURE_LABELS = np.repeat([0, 1, 2], 8)

NET = NetClassifier(**SMALL)
SCORER = LossMixtureDetector(NET, random_state=0)
ESTIMATORS = [
    NET,
    RobustLossClassifier(**SMALL),
    ConfidentLearningDetector(NET, cv=2, random_state=0),
    SCORER,
    SmallLossDetector(NET, random_state=0),
    AUMDetector(NET, random_state=0),
    FINEDetector(NET, random_state=0),
    CleanedClassifier(NoisyLabelFilter(SCORER, keep=50), NET),
    DynaCorDetector(
        settings=[{"module__hidden": 4, "lr": 0.1}], max_epochs=1, random_state=0
    ),
]


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch):
    monkeypatch.setattr("sknoisy._rows_elsewhere.HELD_BYTES", 0)
    monkeypatch.setattr("sknoisy._row_blocks.HELD_BYTES", 100)


def assert_same(estimator, X, array, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, expected = clone(estimator).fit(X, y), clone(estimator).fit(array, y)
    if hasattr(expected, "noise_scores_"):
        np.testing.assert_array_equal(found.noise_scores_, expected.noise_scores_)
    if hasattr(expected, "predict_proba"):
        proba = expected.predict_proba(array)
        np.testing.assert_array_equal(found.predict_proba(X), proba)


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_a_net_learns_from_tables(kind, tmp_path):
    assert_same(NET, kind(TABLE, tmp_path), TABLE, LABELS)


@pytest.mark.parametrize("kind", IMAGES, ids=lambda kind: kind.__name__)
def test_a_net_learns_from_images(kind, tmp_path):
    net = NetClassifier(Narrow, max_epochs=1, batch_size=8, random_state=0)
    assert_same(net, kind(PICTURES, tmp_path), PICTURES, PICTURE_LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_the_bits_are_those_of_the_array(estimator, kind, tmp_path):
    assert_same(estimator, kind(TABLE, tmp_path), TABLE, LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", IMAGES, ids=lambda kind: kind.__name__)
def test_a_detector_of_images(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(_defaults._MODULES, 3, Narrow)
    detector = LossMixtureDetector(max_epochs=2, random_state=0)
    assert_same(detector, kind(PICTURES, tmp_path), PICTURES, PICTURE_LABELS)


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_who_needs_all_rows_refuses_all_but_a_memmap(kind, tmp_path):
    X = kind(TABLE, tmp_path)
    if kind is memmap:
        assert_same(FINEDetector(random_state=0), X, TABLE, LABELS)
        return
    with pytest.raises(TypeError, match=r"FINEDetector needs all rows .*\.load\(\)"):
        FINEDetector().fit(X, LABELS)


@pytest.mark.parametrize("kind", [memmap, hugging_face, items])
def test_labels_that_occur_once(kind, tmp_path):
    labels = LABELS.copy()
    labels[7] = "yak"
    assert_same(SCORER, kind(TABLE, tmp_path), TABLE, labels)


@pytest.mark.parametrize("kind", [hugging_face, items, parquet])
def test_kept_rows_and_a_report(kind, tmp_path):
    X = kind(TABLE, tmp_path)
    kept, labels = clone(SCORER).fit_resample(X, LABELS)
    expected, same = clone(SCORER).fit_resample(TABLE.astype("f4"), LABELS)
    np.testing.assert_array_equal(kept.load(), expected)
    np.testing.assert_array_equal(labels, same)
    report = label_report(clone(SCORER).fit(X, LABELS), X, LABELS)
    page = report.to_html(tmp_path / "report.html", max_rows=3).read_text()
    assert "feature 3" in page


def test_rows_are_selected_by_a_source(tmp_path):
    rows = as_row_source(items(TABLE, tmp_path))
    found = cross_val_score(NET, rows, LABELS, cv=2)
    np.testing.assert_array_equal(found, cross_val_score(NET, TABLE, LABELS, cv=2))
