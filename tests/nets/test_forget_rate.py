"""The estimate of the noise rate: against loops, and by networks that must not know."""

from fractions import Fraction
from unittest.mock import patch

import joblib
import numpy as np
import pytest
from fitted_state import assert_same_fit
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch.utils.data import Dataset

from sknoisy import (
    CDRClassifier,
    CoTeachingClassifier,
    NetClassifier,
    RobustLossClassifier,
)
from sknoisy.nets import AdversarialMasking, LoaderBatches, _forget_rate
from sknoisy.nets._forget_rate import (
    estimate_noise_rate,
    number_kept,
    stratified_halves,
)

BOTH = [CDRClassifier, CoTeachingClassifier]
SMALL = {"module__hidden": 8, "max_epochs": 2, "batch_size": 32, "random_state": 0}


@st.composite
def predictions(draw):
    n_classes = draw(st.integers(2, 5))
    n_samples = draw(st.integers(n_classes, 300))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    # Float32 as networks give them; no two are equal.
    logits = rng.normal(scale=3, size=(n_samples, n_classes)).astype(np.float32)
    codes = rng.integers(0, n_classes, n_samples)
    agrees = rng.random(n_samples) < draw(st.floats(0, 1))
    return logits, np.where(agrees, logits.argmax(1), codes)


def by_loops(logits, codes):
    """The rule of the docstring, row by row, on probabilities."""
    proba = softmax(logits.astype(float), axis=1)
    n_classes, total = proba.shape[1], 0.0
    for k in range(n_classes):
        rows = [i for i, p in enumerate(proba) if p.argmax() == k]
        if not rows:
            continue
        rows.sort(key=lambda i: proba[i, k], reverse=True)
        asked = rows[: max(5, -(-len(rows) // 20))]
        share = sum(codes[i] != k for i in asked) / len(asked)
        total += share * len(rows) / len(proba)
    return min(total, 0.9, 1 - 1 / n_classes)


class TestNumberKept:
    @given(st.integers(1, 100_000), st.integers(0, 999))
    def test_it_is_the_floor_of_the_decimal_that_was_written(self, n, thousandths):
        exact = int((1 - Fraction(thousandths, 1000)) * n)
        assert number_kept(n, thousandths / 1000) == max(1, exact)


class TestHalves:
    @given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(0, 99))
    def test_they_part_the_rows_and_every_class(self, codes, seed):
        codes = np.array(codes)
        halves = stratified_halves(codes, np.random.default_rng(seed))
        assert sorted(np.concatenate(halves)) == list(range(len(codes)))
        first, second = (np.bincount(codes[half], minlength=5) for half in halves)
        assert np.abs(first - second).max() <= 1
        assert abs(first.sum() - second.sum()) <= 1
        assert all((np.diff(half) > 0).all() for half in halves)

    def test_they_are_drawn(self):
        codes = np.repeat([0, 1], 50)
        drawn = [stratified_halves(codes, np.random.default_rng(s))[0] for s in (0, 1)]
        assert (drawn[0] != drawn[1]).any()


class TestEstimate:
    @given(predictions())
    def test_it_is_what_a_loop_over_the_rows_finds(self, drawn):
        assert estimate_noise_rate(*drawn) == pytest.approx(by_loops(*drawn), abs=1e-12)

    @given(predictions(), st.integers(0, 1000))
    def test_order_names_and_offsets_are_of_no_account(self, drawn, seed):
        logits, codes = drawn
        expected = pytest.approx(estimate_noise_rate(logits, codes), abs=1e-12)
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(codes))
        assert estimate_noise_rate(logits[rows], codes[rows]) == expected
        names = rng.permutation(logits.shape[1])
        renamed = logits[:, np.argsort(names)]
        assert estimate_noise_rate(renamed, names[codes]) == expected
        shifted = logits.astype(float) + rng.integers(-9, 9, (len(codes), 1))
        assert estimate_noise_rate(shifted, codes) == expected

    @given(predictions())
    def test_labels_that_are_predicted_are_right(self, drawn):
        logits, _ = drawn
        assert estimate_noise_rate(logits, logits.argmax(1)) == 0.0

    @pytest.mark.parametrize(
        ("n_classes", "most"), [(2, 0.5), (4, 0.75), (10, 0.9), (50, 0.9)]
    )
    def test_it_ends_where_labels_are_chance_and_at_nine_tenths(self, n_classes, most):
        codes = np.arange(200) % n_classes
        logits = np.eye(n_classes, dtype=np.float32)[(codes + 1) % n_classes]
        assert estimate_noise_rate(logits, codes) == pytest.approx(most, abs=1e-12)

    def test_rows_it_is_not_sure_of_do_not_count(self):
        # Nine in ten predictions are wrong, of a network that knows it.
        rng = np.random.default_rng(0)
        codes = rng.integers(0, 4, 4000)
        is_known = rng.random(4000) < 0.1
        predicted = np.where(is_known, codes, (codes + 1) % 4)
        logits = np.eye(4)[predicted] * np.where(is_known, 5, 1)[:, None]
        assert estimate_noise_rate(logits, codes) == 0.0

    def test_every_class_is_asked(self):
        # Only class 1 has wrong labels, and the network is less sure of it.
        codes = np.repeat([0, 1], 500)
        logits = np.where(codes[:, None] == [0, 1], [8.0, 2.0], 0.0)
        codes[500::2] = 0
        logits += np.random.default_rng(0).normal(scale=0.1, size=logits.shape)
        # Half of the labels of half of the rows; seeds 0 to 9: 0.12 to 0.30.
        assert 0.05 < estimate_noise_rate(logits, codes) < 0.4

    def test_probabilities_that_round_to_one_keep_their_order(self):
        sureness = np.arange(200, 400, dtype=np.float32)
        logits = np.stack([sureness, 0 * sureness, 0 * sureness], axis=1)
        codes = np.where(sureness >= 390, 0, 1)
        assert estimate_noise_rate(logits, codes) == 0.0


@pytest.fixture
def firsts():
    """Keep the networks that an estimate trains."""
    made, eval_pass = [], NetClassifier.eval_pass

    def keep(net, *args):
        if type(net) is NetClassifier:
            made.append(net)
        return eval_pass(net, *args)

    with patch.object(NetClassifier, "eval_pass", keep):
        yield made


class Counter(Callback):
    """Counts epochs, those of copies of itself too."""

    n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        type(self).n_epochs += 1


@pytest.mark.parametrize("estimator", BOTH)
class TestAuto:
    def test_a_number_is_in_use_as_it_is(self, blobs, estimator, firsts):
        clf = estimator(forget_rate=0.25, **SMALL).fit(*blobs[:2])
        assert clf.forget_rate_ == 0.25 and not firsts
        assert type(estimator(forget_rate=0, **SMALL).fit(*blobs[:2]).forget_rate_) is (
            float
        )

    @pytest.mark.slow
    def test_it_comes_near_the_share_of_wrong_labels(self, blobs, estimator):
        X, y, is_noisy = blobs
        found = []
        for labels in (np.where(is_noisy, (y + 1) % 3, y), X[:, :3].argmax(1)):
            params = {**SMALL, "module__hidden": 32, "max_epochs": 20}
            found.append(estimator(**params).fit(X, labels).forget_rate_)
        # Seeds 0 to 9: 0.07 to 0.27, and 0.
        assert 0 < found[0] < 0.4 and found[1] < 0.1
        assert type(found[0]) is float

    @pytest.mark.fast_cases(1)
    def test_no_network_has_seen_the_rows_it_is_asked(self, estimator):
        # Nothing can be learnt but by heart, which these would within the epochs.
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(240, 50)), rng.integers(0, 3, 240)
        params = {**SMALL, "module__hidden": 256, "max_epochs": 50, "batch_size": 16}
        net = NetClassifier(**{**params, "max_epochs": 25}).fit(X, y)
        assert net.score(X, y) > 0.95
        clf = estimator(**params, module__dropout=0.0)
        with patch.object(estimator, "initialize", side_effect=InterruptedError):
            with pytest.raises(InterruptedError):
                clf.fit(X, y)
        # Chance is 2/3; seeds 0 to 9: at least 0.51.
        assert clf.forget_rate_ > 0.4

    @pytest.mark.fast_cases(1)
    def test_networks_are_like_the_one_asked_for(self, blobs, estimator, firsts):
        params = {**SMALL, "lr": 0.03, "optimizer__momentum": 0.5, "max_epochs": 16}
        params |= {"verbose": 0, "lr_schedule": 0.9, "module__dropout": 0.1}
        clf = estimator(**params).fit(*blobs[:2])
        assert len(firsts) == 2
        for first in firsts:
            given = first.get_params()
            differs = {"max_epochs", "random_state", "train_split"}
            for name in set(params) - differs:
                assert given[name] == params[name]
            assert len(first.history) == 8
            assert not hasattr(first, "forget_rate")
        assert firsts[0].seed_ != firsts[1].seed_ != clf.seed_

    @pytest.mark.parametrize(("epochs", "used"), [(1, 5), (11, 6), (50, 25), (80, 25)])
    def test_epochs_of_the_estimate(self, blobs, estimator, epochs, used):
        clf = estimator(**{**SMALL, "max_epochs": epochs})
        clf.seed_ = 0
        params = _forget_rate._plain_params(clf, np.arange(9), 0)
        assert params["max_epochs"] == used

    def test_nothing_but_the_fit_that_was_asked_for_is_seen(
        self, blobs, estimator, tmp_path, capsys
    ):
        Counter.n_epochs = 0
        extra = {"verbose": 2, "checkpoint": tmp_path / "run.pt"}
        clf = estimator(callbacks=[("count", Counter())], **SMALL, **extra)
        clf.fit(*blobs[:2])
        assert Counter.n_epochs == 2
        # Two lines of a header, and a row for each epoch.
        assert len(capsys.readouterr().out.strip().splitlines()) == 4
        assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]

    def test_every_row_is_asked_once_by_the_other_half(self, blobs, estimator, firsts):
        X, y, _ = blobs
        asked = []
        with patch.object(
            _forget_rate,
            "estimate_noise_rate",
            lambda logits, codes: asked.append((logits, codes)) or 0.3,
        ):
            clf = estimator(train_split=ValidSplit(3), **SMALL).fit(X, y)
        assert clf.forget_rate_ == 0.3
        ((logits, codes),) = asked
        np.testing.assert_array_equal(codes, y)
        trained = [first.train_split(np.arange(180), y)[0].indices for first in firsts]
        assert sorted(np.concatenate(trained)) == list(range(180))
        for first, other in zip(firsts, trained[::-1], strict=True):
            expected = first.predict_proba(X[other])
            np.testing.assert_allclose(
                softmax(logits[other], axis=1), expected, rtol=1e-4, atol=1e-6
            )

    @pytest.mark.fast_cases(1)
    def test_partial_fit_and_a_warm_start_go_on_with_it(self, blobs, estimator, firsts):
        X, y, _ = blobs
        clf = estimator(warm_start=True, **SMALL).partial_fit(X, y)
        rate = clf.forget_rate_
        clf.partial_fit(X[:50], y[:50]).fit(X, y)
        assert clf.forget_rate_ == rate and len(firsts) == 2
        clf.set_params(warm_start=False).fit(X, y)
        assert len(firsts) == 4

    @pytest.mark.fast_cases(1)
    def test_a_run_goes_on_from_its_checkpoint_without_another_estimate(
        self, blobs, estimator, firsts, tmp_path
    ):
        X, y, _ = blobs

        class Stop(Callback):
            def on_epoch_end(self, net, **kwargs):
                if len(net.history) == 3:
                    raise RuntimeError("power cut")

        params = {**SMALL, "max_epochs": 5, "checkpoint": tmp_path / "run.pt"}
        with pytest.raises(RuntimeError, match="power cut"):
            estimator(callbacks=[("stop", Stop())], **params).fit(X, y)
        resumed = estimator(**params).fit(X, y)
        assert len(firsts) == 2
        whole = estimator(**{**params, "checkpoint": None}).fit(X, y)
        assert resumed.forget_rate_ == whole.forget_rate_
        np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))

    def test_labels_that_are_not_there_yet(self, blobs, estimator):
        X, y, _ = blobs
        names = ["ant", "bee", "cat", "dog"]
        clf = estimator(classes=names, **SMALL).fit(X, np.array(names)[y])
        assert clf.predict_proba(X).shape == (180, 4)
        clf = estimator(**SMALL).partial_fit(X, y, classes=[0, 1, 2, 3])
        assert clf.predict_proba(X).shape == (180, 4)

    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("rows", [4, 5, 6])
    def test_a_handful_of_rows_is_enough(self, blobs, estimator, rows):
        X, y = blobs[0][:rows], [0, 1, 0, 1, 2, 2][:rows]
        assert 0 <= estimator(**SMALL).fit(X, y).forget_rate_ <= 0.9

    def test_fewer_are_refused_with_advice(self, blobs, estimator):
        message = r"needs 4 of them; got n_samples = 3. Set forget_rate to a number"
        with pytest.raises(ValueError, match=message):
            estimator(**SMALL).fit(blobs[0][:3], [0, 1, 0])
        estimator(forget_rate=0.3, **SMALL).fit(blobs[0][:3], [0, 1, 0])

    @pytest.mark.fast_cases(1)
    def test_rows_that_are_loaded_one_by_one(self, blobs, estimator):
        X, y, _ = blobs

        class Rows(Dataset):
            def __len__(self):
                return len(X)

            def __getitem__(self, row):
                return X[row]

        loaders = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}
        clf = estimator(**loaders, **SMALL).fit(Rows(), y)
        in_memory = estimator(**SMALL).fit(X, y)
        assert clf.forget_rate_ == in_memory.forget_rate_

    @pytest.mark.parametrize("rate", [1, 1.2, -0.1, "half", None], ids=str)
    def test_bad_rates_are_named(self, blobs, estimator, rate):
        with pytest.raises(ValueError, match=r"'forget_rate' parameter .* must be"):
            estimator(forget_rate=rate).fit(*blobs[:2])


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_both_halves_at_once(blobs, backend):
    X, y, _ = blobs
    one = CoTeachingClassifier(**SMALL).fit(X, y)
    # Threads would wait for the training that waits for them.
    with joblib.parallel_config(backend, n_jobs=2):
        two = CoTeachingClassifier(**SMALL).fit(X, y)
    assert two.forget_rate_ == one.forget_rate_
    assert_same_fit(two, one)


def test_a_method_that_is_built_on_one_of_these_may_add_parameters(blobs):
    class Extended(CDRClassifier):
        def __init__(self, module=None, *, extra=1, **net_params):
            super().__init__(module, **net_params)
            self.extra = extra

    extended = Extended(extra=2, **SMALL).fit(*blobs[:2])
    plain = CDRClassifier(**SMALL).fit(*blobs[:2])
    assert extended.forget_rate_ == plain.forget_rate_


def test_parameters_of_a_methods_own_slots_are_left_out():
    clf = RobustLossClassifier(loss="gce", loss__q=0.4, lr=0.2, module__hidden=5)
    clf.set_params(callbacks=[("count", Counter())], callbacks__count=Counter())
    clf.set_params(masking=AdversarialMasking, masking__aspect_ratio=0.5)
    clf.seed_ = 7
    params = _forget_rate._plain_params(clf, np.arange(4), 1)
    left_out = {"loss", "loss__q", "callbacks", "callbacks__count"}
    left_out |= {"masking", "masking__aspect_ratio"}
    assert not left_out & set(params)
    assert params["lr"] == 0.2 and params["module__hidden"] == 5
    assert params["random_state"] == 8
    assert NetClassifier(**params).get_params()["lr"] == 0.2
