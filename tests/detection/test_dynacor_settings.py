"""DynaCorDetector: what the networks are given, what is refused, interruptions."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sknoisy import DynaCorDetector, NetClassifier
from sknoisy.base import TrainingInterrupted, TrainingInterruptedWarning
from sknoisy.detection import _dynacor
from sknoisy.nets import MLP

QUICK = {"n_runs": 3, "max_epochs": 4, "module__hidden": 8, "random_state": 0}
TWO = [
    {"lr": 0.1, "max_epochs": 3, "module__hidden": 8},
    {"lr": 0.05, "max_epochs": 2, "module__hidden": (6, 5)},
]


def stock_net(**params):
    return NeuralNetClassifier(
        MLP,
        module__input_shape=(4,),
        module__n_classes=3,
        criterion=nn.CrossEntropyLoss,
        verbose=0,
        **params,
    )


class TestSettings:
    def test_a_list_reaches_the_networks(self, blobs, trainings):
        X, y, _ = blobs
        detector = DynaCorDetector(settings=TWO, n_runs=2, random_state=0).fit(X, y)
        for training, setting in zip(trainings, TWO, strict=False):
            params = training["params"]
            assert {name: params[name] for name in setting} == setting
            assert training["trajectories"].shape[1] == setting["max_epochs"]
        widths = [t["net"].module_.head.in_features for t in trainings[:2]]
        assert widths == [8, 5]
        assert detector.settings_ == TWO
        assert detector.best_setting_ in TWO
        assert detector.setting_aurocs_.shape == (2, 2)

    def test_a_tuple_is_a_list(self, blobs):
        X, y, _ = blobs
        detector = DynaCorDetector(settings=(TWO[0],), n_runs=2, random_state=0)
        assert detector.fit(X, y).settings_ == [TWO[0]]

    @pytest.mark.slow
    def test_auto_tries_four_from_little_to_much_capacity(self, blobs, trainings):
        X, y, _ = blobs
        detector = DynaCorDetector(n_runs=2, max_epochs=1, random_state=0).fit(X, y)
        assert len(detector.settings_) == 4
        sizes = [
            sum(p.numel() for p in training["net"].module_.parameters())
            for training in trainings[:4]
        ]
        assert sizes == sorted(sizes)
        assert sizes[0] == 4 * 3 + 3  # a linear one
        decays = [t["params"]["optimizer__weight_decay"] for t in trainings[:4]]
        assert decays[-1] == 5e-4 == min(decays)

    def test_paper_is_one_network_trained_in_each_run(self, blobs, trainings):
        X, y, _ = blobs
        detector = DynaCorDetector(settings="paper", n_runs=2, max_epochs=1).fit(X, y)
        assert len(trainings) == 2 and detector.setting_aurocs_.shape == (1, 2)
        assert trainings[0]["params"]["module__hidden"] == (512, 512)

    @pytest.mark.slow
    def test_parameters_of_the_user_hold_for_all_settings(self, blobs, trainings):
        X, y, _ = blobs
        DynaCorDetector(
            n_runs=2,
            max_epochs=2,
            lr=0.07,
            batch_size=50,
            module__hidden=5,
            optimizer__weight_decay=0.01,
            random_state=0,
        ).fit(X, y)
        assert len(trainings) >= 4 + 1
        for training in trainings:
            params = training["params"]
            assert (params["max_epochs"], params["lr"]) == (2, 0.07)
            assert params["batch_size"] == 50
            assert params["optimizer__weight_decay"] == 0.01
            assert training["net"].module_.head.in_features == 5

    def test_settings_stay_as_they_were_given(self, blobs):
        X, y, _ = blobs
        settings = [dict(setting) for setting in TWO]
        detector = DynaCorDetector(settings=settings, n_runs=2, max_epochs=1)
        detector.fit(X, y)
        assert settings == TWO and detector.settings is settings

    @pytest.mark.slow
    def test_one_that_diverges_is_left_out(self, blobs):
        X, y, is_noisy = blobs
        wild, tame = {**TWO[0], "lr": 1e30}, {**TWO[0], "max_epochs": 8}
        detector = DynaCorDetector(settings=[wild, tame], n_runs=3, random_state=0)
        detector.fit(X, y)
        assert detector.best_setting_ == tame
        np.testing.assert_array_equal(
            np.isnan(detector.setting_aurocs_), [[True] * 3, [False] * 3]
        )
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9
        with pytest.raises(FloatingPointError):
            detector.set_params(settings=[wild, wild]).fit(X, y)

    def test_a_stock_net_that_diverges_says_so(self, blobs):
        # skorch's own nets go on with a loss of NaN.
        X, y, _ = blobs
        net = stock_net(lr=1e30, max_epochs=3)
        with pytest.raises(FloatingPointError, match=r"diverged.* Lower lr"):
            DynaCorDetector(net, n_runs=2, random_state=0).fit(X, y)
        detector = DynaCorDetector(
            net, settings=[{}, {"lr": 0.1}], n_runs=2, random_state=0
        ).fit(X, y)
        assert detector.best_setting_ == {"lr": 0.1}

    def test_logits_that_become_nan_later_on_are_a_divergence(self, blobs):
        X, y, _ = blobs

        class Late(MLP):
            n_steps = 0

            def forward(self, X):
                self.n_steps += torch.is_grad_enabled()
                return super().forward(X) * (1 if self.n_steps < 5 else np.nan)

        net = stock_net(max_epochs=5).set_params(module=Late)
        with pytest.raises(FloatingPointError):
            DynaCorDetector(net, n_runs=2, random_state=0).fit(X, y)

    def test_an_estimator_is_taken_as_it_is(self, blobs, trainings):
        X, y, _ = blobs
        net = NetClassifier(max_epochs=2, lr=0.03, module__hidden=7)
        for settings in ("auto", "paper"):
            detector = DynaCorDetector(net, settings=settings, n_runs=2).fit(X, y)
            assert detector.settings_ == [{}] == [detector.best_setting_]
        assert len(trainings) == 4
        for training in trainings:
            for name, value in net.get_params(deep=False).items():
                assert training["params"][name] == value or name in (
                    "callbacks",  # the recorder is there too
                    "train_split",
                )

    @pytest.mark.parametrize("stock", [False, True])
    def test_settings_are_set_on_an_estimator(self, blobs, trainings, stock):
        X, y, _ = blobs
        net = stock_net() if stock else NetClassifier(max_epochs=1)
        net.set_params(module__dropout=0.1)
        before = net.get_params(deep=False)
        detector = DynaCorDetector(net, settings=TWO, n_runs=2, random_state=0)
        detector.fit(X, y)
        assert net.get_params(deep=False) == before and not net.initialized_
        assert detector.settings_ == TWO
        for training, setting in zip(trainings, TWO, strict=False):
            params = training["params"]
            assert {name: params[name] for name in setting} == setting
            assert params["module__dropout"] == 0.1

    @pytest.mark.slow
    def test_a_module_gets_no_settings_of_ours_but_how_to_train(self, blobs, trainings):
        X, y, _ = blobs

        class Plain(nn.Module):
            def __init__(self, input_shape, n_classes, width=3):
                super().__init__()
                self.head = nn.Linear(input_shape[0], n_classes)

            def forward(self, X):
                return self.head(X)

        detector = DynaCorDetector(module=Plain, n_runs=2, random_state=0).fit(X, y)
        assert len(detector.settings_) == 1 and len(trainings) == 2
        params = trainings[0]["params"]
        assert (params["lr"], params["max_epochs"]) == (0.1, 30)
        assert not any(name.startswith("module__") for name in params)
        assert isinstance(detector.net_.module_, Plain)
        detector.set_params(module__width=4, max_epochs=2).fit(X, y)
        assert detector.net_.module_.head.in_features == 4
        assert detector.trajectories_.shape == (180, 2)

    @pytest.mark.slow
    def test_clone_and_pickle_keep_them(self, blobs):
        X, y, _ = blobs
        detector = DynaCorDetector(settings=TWO, n_runs=2, random_state=0)
        assert clone(detector).get_params() == detector.get_params()
        fitted = clone(detector).fit(X, y)
        again = pickle.loads(pickle.dumps(fitted))
        assert again.best_setting_ == fitted.best_setting_
        for name in ("noise_scores_", "setting_aurocs_", "trajectories_"):
            np.testing.assert_array_equal(getattr(again, name), getattr(fitted, name))
        refitted = clone(again).fit(X, y)
        np.testing.assert_array_equal(refitted.noise_scores_, fitted.noise_scores_)

    @pytest.mark.slow
    def test_verbose_says_how_each_training_went(self, blobs, capsys):
        X, y, _ = blobs
        detector = DynaCorDetector(settings=TWO, n_runs=2, random_state=0).fit(X, y)
        assert capsys.readouterr() == ("", "")
        detector.set_params(verbose=1).fit(X, y)
        (line,) = capsys.readouterr().err.splitlines()
        n_trainings = np.isfinite(detector.setting_aurocs_).sum()
        assert f"100%, training {n_trainings}/{n_trainings}, AUROC 0." in line
        detector.set_params(verbose=2).fit(X, y)
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert out == "" and len(lines) == n_trainings + 1
        assert lines[0].startswith("round 1 of 2: ") and "AUROC" in lines[0]
        detector.set_params(verbose=3).fit(X, y)
        assert "train_loss" in capsys.readouterr().out


class TestRace:
    """Two settings that stay near each other, five rounds at most."""

    PLAN = {"settings": TWO, "n_runs": 4, "random_state": 0}

    def test_the_chosen_one_goes_on_alone(self, blobs, trainings):
        X, y, _ = blobs
        twins = [TWO[0], {**TWO[0], "optimizer__weight_decay": 1e-9}]
        detector = DynaCorDetector(**{**self.PLAN, "settings": twins}).fit(X, y)
        assert [len(t["X"]) for t in trainings] == [180] * 7
        assert detector.best_setting_ == TWO[0]
        np.testing.assert_array_equal(
            np.isnan(detector.setting_aurocs_), [[False] * 4, [False] * 3 + [True]]
        )
        # All rounds of the chosen one count, those of the race too.
        assert len(detector.corrupted_indices_) == 4 * 18

    @pytest.mark.parametrize("max_rows", [100, 180, None])
    def test_many_rows_are_raced_on_a_part(self, blobs, trainings, max_rows):
        X, y, _ = blobs
        detector = DynaCorDetector(max_rows=max_rows, **self.PLAN).fit(X, y)
        lengths = [len(t["X"]) for t in trainings]
        if max_rows != 100:
            assert set(lengths) == {180}
            return
        n_raced = int(np.isfinite(detector.setting_aurocs_).sum())
        assert 97 < lengths[0] <= 100
        assert lengths == [lengths[0]] * n_raced + [180] * 4
        assert all(len(t["trajectories"]) == len(t["X"]) for t in trainings)
        assert {len(t["trajectories"][0]) for t in trainings[-4:]} == {
            detector.best_setting_["max_epochs"]
        }
        # What is scored and planted is that of the trainings on all rows.
        planted = [np.flatnonzero(t["codes"] != y) for t in trainings[-4:]]
        np.testing.assert_array_equal(
            detector.corrupted_indices_, np.concatenate(planted)
        )
        assert detector.net_ is trainings[-1]["net"]
        # The part has rows of X, with their labels but for a tenth.
        part = trainings[0]
        rows = [int(np.flatnonzero((X == row).all(1))[0]) for row in part["X"]]
        assert len(set(rows)) == len(rows)
        assert (part["codes"] != y[rows]).sum() == len(rows) // 10

    @pytest.mark.parametrize(
        "params",
        [
            {"corruption": "copy", "copy_view": None},
            {"decision": "cluster", "encoder_epochs": 1},
        ],
    )
    def test_copies_and_clusters_are_raced_on_all_rows(self, blobs, trainings, params):
        X, y, _ = blobs
        DynaCorDetector(**self.PLAN, max_rows=100, **params).fit(X, y)
        assert min(len(t["X"]) for t in trainings) >= 180

    def test_images_are_raced_on_all(self, trainings):
        rng = np.random.default_rng(0)
        X, y = rng.random((120, 1, 2, 2), dtype=np.float32), np.arange(120) % 2

        class Flat(nn.Sequential):
            def __init__(self, input_shape, n_classes):
                super().__init__(nn.Flatten(), nn.Linear(4, n_classes))

        settings = [{"lr": lr, "max_epochs": 1} for lr in (0.01, 0.1)]
        detector = DynaCorDetector(module=Flat, settings=settings, n_runs=2)
        detector.set_params(max_rows=100, random_state=0).fit(X, y)
        assert {len(t["X"]) for t in trainings} == {120}
        trainings.clear()
        detector.fit(X.reshape(120, 4), y)
        assert len(trainings[0]["X"]) == 100

    @pytest.mark.parametrize("decision", ["calibrated", "cluster"])
    def test_auto_runs(self, blobs, trainings, decision):
        X, y, _ = blobs
        # So few steps leave the networks near their random weights.
        hasty = {"settings": [{"lr": 1e-4, "max_epochs": 1, "module__hidden": 4}]}
        plan = {"decision": decision, "encoder_epochs": 1, "random_state": 0}
        DynaCorDetector(**hasty, **plan).fit(X, y)
        assert len(trainings) == 5
        trainings.clear()
        linear = [{"lr": 0.1, "max_epochs": 20, "module__hidden": ()}]
        DynaCorDetector(settings=linear, **plan).fit(X, y)
        assert len(trainings) == (2 if decision == "calibrated" else 5)

    def test_a_race_on_a_part_that_is_interrupted(self, blobs, monkeypatch):
        X, y, _ = blobs
        detector = DynaCorDetector(max_rows=100, **self.PLAN)
        TestInterruption.interrupt(monkeypatch, 3, KeyboardInterrupt())
        with pytest.raises(TrainingInterrupted, match="before every row had been"):
            detector.fit(X, y)


PLAIN_COPY = {"corruption": "copy", "copy_view": None, "corruption_rate": 0}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"corruption_rate": 0}, "corruption_rate=0 plants no label to learn from"),
        ({"corruption_rate": 0, "decision": "cluster"}, "plants no label"),
        (PLAIN_COPY, "it needs corruption='copy' and decision='cluster'"),
        ({"corruption_rate": 0.6}, "corruption_rate=0.6 would relabel most rows"),
        ({"copy_view": np.copy}, "copy_view needs corruption='copy'"),
        ({"settings": []}, r"a list of at least one dict .* got \[\]"),
        ({"settings": ()}, "a list of at least one dict"),
        ({"settings": [{}, 3]}, r"a list of at least one dict .* got \[{}, 3\]"),
        ({**PLAIN_COPY, "decision": "cluster"}, "nothing to choose among settings by"),
        (
            {**PLAIN_COPY, "decision": "cluster", "settings": TWO},
            "set settings='paper' or a list of one",
        ),
        (
            {"corruption": "copy", "copy_view": None, "corruption_rate": 0.001},
            "corruption_rate=0.001 of n_samples = 180 rows leaves no row to corrupt",
        ),
        ({"settings": "fast"}, "'settings' parameter"),
        ({"settings": {"lr": 0.1}}, "'settings' parameter"),
        ({"corruption": "flip"}, "'corruption' parameter"),
        ({"corruption_rate": 1.5}, "'corruption_rate' parameter"),
        ({"n_runs": 1}, "'n_runs' parameter"),
        ({"n_runs": "few"}, "'n_runs' parameter"),
        ({"max_rows": 99}, "'max_rows' parameter"),
        ({"decision": "threshold"}, "'decision' parameter"),
        ({"signal": "margin"}, "'signal' parameter"),
    ],
    # Not the text of a function, which is another in each process.
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_makes_no_sense_is_refused_before_any_training(
    blobs, trainings, params, message
):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=message):
        DynaCorDetector(**params).fit(X, y)
    assert trainings == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"settings": [{"module__hiden": 3}]}, r"module__hiden.*hidden"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"colour": "red"}, "takes no colour"),
    ],
)
def test_what_the_network_refuses_is_named(blobs, params, message):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=message):
        DynaCorDetector(**params).fit(X, y)


@pytest.mark.parametrize("plan", [{}, {"settings": TWO[:1]}])
def test_one_setting_can_do_without_copies(blobs, plan):
    X, y, _ = blobs
    net = None if plan else NetClassifier(max_epochs=2, module__hidden=8)
    detector = DynaCorDetector(
        net, **PLAIN_COPY, decision="cluster", encoder_epochs=1, random_state=0, **plan
    ).fit(X, y)
    assert len(detector.corrupted_indices_) == 0


class TestCallbacks:
    @pytest.mark.slow
    def test_early_stopping_is_no_interruption(self, blobs, trainings):
        X, y, _ = blobs
        # No epoch is better than the last one by that much.
        stop = EarlyStopping("train_loss", patience=2, threshold=9, sink=lambda _: None)
        detector = DynaCorDetector(callbacks=[stop], **{**QUICK, "max_epochs": 20}).fit(
            X, y
        )
        assert {len(t["net"].history) for t in trainings} == {3}
        assert detector.trajectories_.shape[1] == trainings[0]["trajectories"].shape[1]
        best = detector.settings_.index(detector.best_setting_)
        assert np.isfinite(detector.setting_aurocs_[best]).all()

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("decision", ["calibrated", "cluster"])
    def test_runs_may_be_of_different_length(self, blobs, trainings, decision):
        X, y, is_noisy = blobs

        class Stop(Callback):
            trainings = 0

            def on_train_begin(self, net, **kwargs):
                Stop.trainings += 1

            def on_epoch_begin(self, net, **kwargs):
                if len(net.history) == 7 + Stop.trainings % 3:
                    raise KeyboardInterrupt

        detector = DynaCorDetector(
            settings=[{"lr": 0.1}],
            callbacks=[Stop()],
            decision=decision,
            encoder_epochs=2,
            **{**QUICK, "max_epochs": 12},
        ).fit(X, y)
        lengths = [t["trajectories"].shape[1] for t in trainings]
        assert sorted(lengths) == [6, 7, 8]
        assert detector.trajectories_.shape == (180, 8)
        assert np.isfinite(detector.trajectories_).all()
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.85

    @pytest.mark.slow
    def test_disabled_ones_change_nothing(self, blobs):
        X, y, _ = blobs
        plain = DynaCorDetector(**QUICK).fit(X, y)
        disabled = DynaCorDetector(callbacks="disable", **QUICK).fit(X, y)
        np.testing.assert_array_equal(plain.noise_scores_, disabled.noise_scores_)


class TestInterruption:
    """Two settings and three runs: the first has judged all rows after 3 trainings."""

    @staticmethod
    def interrupt(monkeypatch, call, error):
        record, calls = _dynacor.record_dynamics, []

        def interrupted(*args, **kwargs):
            calls.append(args)
            if len(calls) == call:
                raise error
            return record(*args, **kwargs)

        monkeypatch.setattr(_dynacor, "record_dynamics", interrupted)

    @pytest.fixture
    def detector(self):
        # As good as equal, so that neither falls behind.
        twins = [{**TWO[0], "optimizer__weight_decay": decay} for decay in (0, 1e-9)]
        return DynaCorDetector(settings=twins, n_runs=3, random_state=0)

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt(), TrainingInterrupted("first epoch")]
    )
    @pytest.mark.parametrize("call", [1, 2, 3])
    def test_early(self, blobs, monkeypatch, detector, call, error):
        X, y, _ = blobs
        self.interrupt(monkeypatch, call, error)
        with pytest.raises(RuntimeError, match="before every row had been scored"):
            detector.fit(X, y)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("call", [4, 5, 6])
    def test_later(self, blobs, monkeypatch, detector, call):
        X, y, _ = blobs
        full = clone(detector).fit(X, y)
        assert np.isfinite(full.setting_aurocs_).all()
        self.interrupt(monkeypatch, call, KeyboardInterrupt())
        with pytest.warns(TrainingInterruptedWarning, match=r"from \d of \d trainings"):
            detector.fit(X, y)
        # Trainings go run by run, one setting after the other.
        done = np.arange(6).reshape(3, 2).T < call - 1
        expected = np.where(done, full.setting_aurocs_, np.nan)
        np.testing.assert_array_equal(detector.setting_aurocs_, expected)
        assert detector.best_setting_ == detector.settings_[0]
        assert ((detector.noise_scores_ >= 0) & (detector.noise_scores_ <= 1)).all()
        assert np.isfinite(detector.trajectories_).all()
        # Those of the trainings that count: a tenth of 180 rows in each.
        planted = full.corrupted_indices_[: 18 * done[0].sum()]
        np.testing.assert_array_equal(detector.corrupted_indices_, planted)

    @pytest.mark.parametrize("n_batches", [3, 9])
    def test_keys_pressed_during_a_training(self, blobs, n_batches):
        X, y, _ = blobs
        # Four batches in each of three runs; skorch swallows the interruption.
        detector = self.with_keys_pressed_after(n_batches)
        if n_batches < 8:
            with pytest.raises(RuntimeError, match="before every row had been scored"):
                detector.fit(X, y)
            return
        with pytest.warns(TrainingInterruptedWarning, match="from 2 of 3 trainings"):
            detector.fit(X, y)
        np.testing.assert_array_equal(
            np.isnan(detector.setting_aurocs_), [[False, False, True]]
        )
        assert detector.trajectories_.shape == (180, 2)

    def test_a_copy_needs_one_epoch(self, blobs):
        X, y, _ = blobs
        detector = self.with_keys_pressed_after(3).set_params(
            corruption="copy", copy_view=None
        )
        with pytest.warns(
            TrainingInterruptedWarning, match="scored from 1 of 2 epochs"
        ):
            detector.fit(X, y)
        assert detector.trajectories_.shape == (180, 1)

    @staticmethod
    def with_keys_pressed_after(n_batches):
        class Keys(MLP):
            n_steps = 0

            def forward(self, X):
                if torch.is_grad_enabled():
                    Keys.n_steps += 1
                    if Keys.n_steps == n_batches + 1:
                        raise KeyboardInterrupt
                return super().forward(X)

        return DynaCorDetector(
            module=Keys,
            module__hidden=8,
            max_epochs=2,
            batch_size=100,
            n_runs=3,
            random_state=0,
        )
