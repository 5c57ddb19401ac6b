"""Files of trainings: whose they are, what is in them, and what spoils them."""

import os
import pickle
import stat
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import Callback, LRScheduler
from skorch.dataset import ValidSplit
from stopped_trainings import (
    CLASSIFIERS,
    DATA,
    N_EPOCHS,
    Count,
    Kill,
    Killed,
    assert_same_training,
    content_of,
    kill,
    make,
    reference,
)
from torch import nn
from torch.optim import lr_scheduler

from sknoisy import (
    DynaCorDetector,
    LossMixtureDetector,
    NetClassifier,
)
from sknoisy.base import TrainingInterruptedWarning
from sknoisy.nets import DynamicsRecorder, crop_and_flip
from sknoisy.nets import _checkpoint as checkpoint_module

pytestmark = pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
EVERY_CLASSIFIER = pytest.mark.parametrize("name", CLASSIFIERS)


class OtherMLP(nn.Sequential):
    def __init__(self, hidden=6):
        super().__init__(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def darken(X):
    return X / 2


def with_one_changed(X):
    X = X.copy()
    X[-1, -1] += 1
    return X


@pytest.fixture
def stored(tmp_path):
    """A path with the file of a training that was killed in its third epoch."""
    path = tmp_path / "run.pt"
    kill(make(checkpoint=path), *DATA["table"], ("on_epoch_begin", 3))
    return path


class TestOtherTraining:
    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize(
        ("params", "what"),
        [
            ({"lr": 0.1}, "lr was 0.05, is 0.1"),
            ({"max_epochs": 5}, "max_epochs was 4, is 5"),
            ({"batch_size": 8}, "batch_size was 16, is 8"),
            ({"module__hidden": (6, 5)}, r"module__hidden was 6, is \(6, 5\)"),
            ({"module__dropout": 0.1}, "module__dropout was None, is 0.1"),
            ({"module": OtherMLP}, "module was None, is '.*OtherMLP'"),
            ({"random_state": 1}, "random_state was 0, is 1"),
            ({"lr_schedule": None}, "lr_schedule was 'cosine', is None"),
            ({"augment": darken}, "augment was 'auto', is '.*darken'"),
            ({"optimizer": torch.optim.Adam}, "optimizer was '.*SGD', is '.*Adam'"),
            ({"optimizer__momentum": 0.5}, "optimizer__momentum was None, is 0.5"),
            ({"criterion": nn.MultiMarginLoss}, "criterion was .*MultiMarginLoss"),
            ({"train_split": ValidSplit(3)}, "train_split was None, is .*ValidSplit"),
            ({"amp": True}, "amp was 'auto', is True"),
            ({"iterator_train__drop_last": True}, "iterator_train__drop_last was None"),
        ],
    )
    def test_other_parameters(self, stored, params, what):
        before = stored.read_bytes()
        message = rf"run\.pt' is of another training: {what}.*\. Delete the file"
        with pytest.raises(ValueError, match=message):
            make(checkpoint=stored, **params).fit(*DATA["table"])
        assert stored.read_bytes() == before

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (lambda X, y: (with_one_changed(X), y), r"checksum of X was \d+, is \d+"),
            (lambda X, y: (X, np.roll(y, 1)), r"checksum of y was \d+, is \d+"),
            (lambda X, y: (X[1:], y[1:]), "number of rows was 60, is 59"),
            (lambda X, y: (X[:, 1:], y), r"shape of a row was \(4,\), is \(3,\)"),
            (lambda X, y: (X, y + 1), r"classes was \[0, 1, 2\], is \[1, 2, 3\]"),
            (lambda X, y: (X, np.array(list("abc"))[y]), r"classes .* is \['a', 'b'"),
        ],
    )
    def test_other_data(self, stored, change, what):
        before = stored.read_bytes()
        with pytest.raises(ValueError, match=f"is of another training: {what}"):
            make(checkpoint=stored).fit(*change(*DATA["table"]))
        assert stored.read_bytes() == before

    def test_other_weights_and_declared_classes(self, stored):
        X, y = DATA["table"]
        with pytest.raises(ValueError, match="checksum of sample_weight was None, is"):
            make(checkpoint=stored).fit(X, y, sample_weight=np.ones(60))
        with pytest.raises(ValueError, match=r"classes was .*, is \[0, 1, 2, 9\]"):
            make(checkpoint=stored, classes=[0, 1, 2, 9]).fit(X, y)

    def test_another_class(self, stored):
        message = "class was 'NetClassifier', is 'ELRClassifier'"
        with pytest.raises(ValueError, match=message):
            make("ELR", checkpoint=stored).fit(*DATA["table"])

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("name", "first", "second", "what"),
        [
            ("pruned", {"loss__q": 0.7}, {"loss__q": 0.5}, "loss__q was 0.7, is 0.5"),
            (
                "anchor",
                {"transition_matrix": np.eye(3) * 0.7 + 0.1},
                {"transition_matrix": np.eye(3) * 0.4 + 0.2},
                r"transition_matrix was \(\(3, 3\), \d+\), is \(\(3, 3\), \d+\)",
            ),
            (
                "anchor",
                {"transition_matrix": LogisticRegression(C=1.0)},
                {"transition_matrix": LogisticRegression(C=2.0)},
                "transition_matrix was .*LogisticRegression",
            ),
            (
                "NetClassifier",
                {"module": OtherMLP(), "module__hidden": 6},
                {"module": OtherMLP(), "module__hidden": 7},
                "module was",
            ),
            (
                "NetClassifier",
                {"augment": partial(crop_and_flip, padding=1)},
                {"augment": partial(crop_and_flip, padding=2)},
                "augment was",
            ),
            (
                "NetClassifier",
                {"criterion__weight": torch.tensor([1.0, 1.0, 2.0])},
                {"criterion__weight": torch.tensor([1.0, 1.0, 3.0])},
                "criterion__weight was",
            ),
            (
                "NetClassifier",
                {"callbacks": [LRScheduler(lr_scheduler.StepLR, step_size=1)]},
                {"callbacks": [LRScheduler(lr_scheduler.StepLR, step_size=2)]},
                "learning-rate schedulers was",
            ),
            (
                "NetClassifier",
                {"callbacks": [LRScheduler(lr_scheduler.StepLR, step_size=1)]},
                {"callbacks": []},
                "learning-rate schedulers was",
            ),
            (
                "NetClassifier",
                {"train_split": ValidSplit(3)},
                {"train_split": ValidSplit(4)},
                "train_split was",
            ),
        ],
    )
    def test_parts_with_parameters_of_their_own(
        self, name, first, second, what, tmp_path
    ):
        path, data = tmp_path / "run.pt", "table"
        if "augment" in first:
            data = "images"
        net = make(name, data, checkpoint=path, **first)
        kill(net, *DATA[data], ("on_epoch_begin", 4))
        with pytest.raises(ValueError, match=f"is of another training: {what}"):
            make(name, data, checkpoint=path, **second).fit(*DATA[data])
        # And the same ones, made anew, are the same.
        again = make(name, data, checkpoint=path, **clone_values(first))
        again.fit(*DATA[data])
        assert len(again.history) == N_EPOCHS

    def test_an_instance_is_known_by_its_weights(self, tmp_path):
        path = tmp_path / "run.pt"
        with torch.random.fork_rng():
            a, b = OtherMLP(), OtherMLP()
        make_one = partial(NetClassifier, max_epochs=2, checkpoint=path, random_state=0)
        make_one(a).fit(*DATA["table"])
        make_one(a).fit(*DATA["table"])
        with pytest.raises(ValueError, match="module was"):
            make_one(b).fit(*DATA["table"])

    def test_no_fit_of_a_search_takes_over_another_ones(self, tmp_path):
        net = make(checkpoint=tmp_path / "run.pt", callbacks=[])
        search = GridSearchCV(net, {"lr": [0.1, 0.2]}, cv=3, error_score="raise")
        with pytest.raises(ValueError, match="is of another training"):
            search.fit(*DATA["table"])

    def test_folds_with_the_same_labels_are_told_apart(self, tmp_path):
        # Sorted labels: both training halves have the same ones in the same order.
        X, _ = DATA["table"]
        y = np.repeat([0, 1, 2], 14)
        net = make(checkpoint=tmp_path / "run.pt")
        with pytest.raises(ValueError, match=r"checksum of X was \d+, is \d+"):
            cross_val_score(net, X[:42], y, cv=2, error_score="raise")
        os.remove(tmp_path / "run.pt")
        with pytest.warns(FitFailedWarning, match="is of another training"):
            scores = cross_val_score(net, X[:42], y, cv=2)
        assert np.isfinite(scores[0]) and np.isnan(scores[1])

    def test_a_detector_of_one_training_goes_on(self, tmp_path):
        X, y = DATA["table"]

        def make_one(**params):
            return LossMixtureDetector(make(**params), random_state=0)

        path = tmp_path / "run.pt"
        expected = make_one().fit(X, y)
        with pytest.raises(Killed):
            make_one(checkpoint=path, callbacks=[Kill("on_epoch_end", 3)]).fit(X, y)
        resumed = make_one(checkpoint=path).fit(X, y)
        np.testing.assert_array_equal(resumed.trajectories_, expected.trajectories_)
        np.testing.assert_array_equal(resumed.noise_scores_, expected.noise_scores_)

    def test_a_detector_of_several_trainings_is_refused(self, tmp_path):
        net = make(checkpoint=tmp_path / "run.pt")
        detector = DynaCorDetector(net, n_runs=2, random_state=0)
        with pytest.raises(ValueError, match="is of another training"):
            detector.fit(*DATA["table"])


def clone_values(params):
    """Make what was given anew, as another process would."""
    return {name: pickle.loads(pickle.dumps(value)) for name, value in params.items()}


class TestCalls:
    def test_the_first_call_of_partial_fit_goes_on(self, stored):
        X, y = DATA["table"]
        counter = Count()
        net = make(checkpoint=stored, callbacks=[counter]).partial_fit(X, y)
        assert counter.n_begun == 2
        assert_same_training(net, reference("NetClassifier"))

    @pytest.mark.parametrize("call", ["partial_fit", "warm start"])
    def test_later_calls_are_not_stored(self, call, tmp_path):
        X, y = DATA["table"]
        path = tmp_path / "run.pt"
        net = make(checkpoint=path, warm_start=True).fit(X, y)
        before = path.read_bytes()
        net.partial_fit(X, y) if call == "partial_fit" else net.fit(X, y)
        assert len(net.history) == 2 * N_EPOCHS
        assert path.read_bytes() == before
        again = make(checkpoint=path).fit(X, y)
        assert_same_training(again, reference("NetClassifier"))

    def test_a_fitted_net_keeps_nothing_of_it(self, tmp_path):
        net = make(checkpoint=tmp_path / "run.pt").fit(*DATA["table"])
        assert net.training_key_ is None
        again = pickle.loads(pickle.dumps(net))
        assert again.training_key_ is None
        assert clone(net).checkpoint == tmp_path / "run.pt"
        np.testing.assert_array_equal(
            again.predict_proba(DATA["table"][0]), net.predict_proba(DATA["table"][0])
        )

    def test_a_refused_net_can_be_fitted_without_it(self, stored):
        X, y = DATA["table"]
        net = make(checkpoint=stored, lr=0.1)
        with pytest.raises(ValueError, match="another training"):
            net.fit(X, y, sample_weight=np.ones(60))
        net.set_params(checkpoint=None, lr=0.05).fit(X, y)
        assert_same_training(net, reference("NetClassifier"))

    def test_without_one_nothing_is_written(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        make().fit(*DATA["table"])
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("value", [3, 1.5, ["run.pt"]])
    def test_a_path_is_a_path(self, value):
        with pytest.raises(ValueError, match="'checkpoint' parameter of NetClassifier"):
            make(checkpoint=value).fit(*DATA["table"])


class TestFile:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"garbage",
            b"\x00" * 100,
            b"PK\x03\x04" + b"\x01" * 50,
            pickle.dumps(3),
            pickle.dumps([1, 2]),
            pickle.dumps({}),
            pickle.dumps({"key": {}}),
            pickle.dumps({"key": 3, "state": {}, "callbacks": {}}),
            b"csknoisy\nNothingOfThisName\n.",
            b"cnosuchmodule\nName\n.",
        ],
    )
    def test_what_is_no_checkpoint_stays_untouched(self, content, tmp_path):
        path = tmp_path / "run.pt"
        path.write_bytes(content)
        message = r"(?s)checkpoint '.*run\.pt' cannot be read \(.*\); delete it"
        with pytest.raises(ValueError, match=message):
            make(checkpoint=path).fit(*DATA["table"])
        assert path.read_bytes() == content

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
    def test_a_file_that_was_cut_off(self, stored, share):
        content = stored.read_bytes()
        cut = content[: int(share * len(content))]
        stored.write_bytes(cut)
        with pytest.raises(ValueError, match="cannot be read"):
            make(checkpoint=stored).fit(*DATA["table"])
        assert stored.read_bytes() == cut

    def test_a_changed_bit_is_noticed_wherever_it_is(self, stored, monkeypatch):
        content = stored.read_bytes()
        # Many in the first lines, and places in all of the rest.
        places = {
            *range(0, 1600, 13),
            *np.linspace(0, 8 * len(content) - 1, 80, dtype=int),
        }
        net, never = make(checkpoint=stored), SimpleNamespace(load=pytest.fail)
        monkeypatch.setattr(checkpoint_module, "pickle", never)
        for place in places:
            damaged = bytearray(content)
            damaged[place // 8] ^= 1 << place % 8
            stored.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"cannot be read \(.*delete it"):
                checkpoint_module.load_training(net, stored)
        for size in np.linspace(0, len(content) - 1, 12, dtype=int):
            stored.write_bytes(content[:size])
            with pytest.raises(ValueError, match="cannot be read"):
                checkpoint_module.load_training(net, stored)

    def test_a_device_and_a_fifo_are_not_touched(self, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        for path, kind in {"/dev/null": "device", tmp_path / "fifo": "FIFO"}.items():
            with pytest.raises(ValueError, match=f"^checkpoint '.*' is a {kind}; give"):
                make(checkpoint=path).fit(*DATA["table"])
            with pytest.raises(ValueError, match=f"it is a {kind}; give a file"):
                checkpoint_module.load_training(make(), path)
        assert Path("/dev/null").is_char_device() and (tmp_path / "fifo").is_fifo()

    def test_a_file_that_may_not_be_read_says_so(self, stored, monkeypatch):
        def fail(path):
            raise PermissionError("not yours")

        monkeypatch.setattr(checkpoint_module, "open_regular", fail)
        with pytest.raises(PermissionError, match="not yours"):
            make(checkpoint=stored).fit(*DATA["table"])

    def test_other_versions_are_named(self, stored, monkeypatch):
        older = {"torch": "1.0", "numpy": np.__version__, "sknoisy": "\x1b[2J"}
        monkeypatch.setattr(checkpoint_module, "installed_versions", lambda: older)
        stored.unlink()
        kill(make(checkpoint=stored), *DATA["table"], ("on_epoch_begin", 3))
        message = r"written with torch 1.0 \(here .*\), sknoisy \?\[2J \(here .*weights"
        with pytest.warns(UserWarning, match=message):
            net = make(checkpoint=stored).fit(*DATA["table"])
        assert_same_training(net, reference("NetClassifier"))

    def test_its_rights_stay(self, stored):
        usual = stored.with_name("usual")
        usual.touch()
        assert stored.stat().st_mode == usual.stat().st_mode
        stored.chmod(0o600)
        make(checkpoint=stored).fit(*DATA["table"])
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600

    @pytest.mark.parametrize("error", [Killed, KeyboardInterrupt, OSError])
    def test_a_kill_while_it_is_written_leaves_the_one_before(
        self, error, tmp_path, monkeypatch
    ):
        path = tmp_path / "run.pt"
        before = []

        def dump(content, file):
            if len(content["state"]["history_"]) < 3:
                file.write(pickle.dumps(content))
                return
            before.append(path.read_bytes())
            file.write(pickle.dumps(content)[:100])
            raise error

        with monkeypatch.context() as patch:
            # Only there: torch pickles weights by the same function.
            writer = SimpleNamespace(**{**vars(pickle), "dump": dump})
            patch.setattr(checkpoint_module, "pickle", writer)
            # skorch takes a Ctrl-C for the end of the training.
            ends = pytest.raises(error)
            if error is KeyboardInterrupt:
                ends = pytest.warns(TrainingInterruptedWarning, match="2 of 4 epochs")
            with ends:
                make(checkpoint=path).fit(*DATA["table"])
        assert path.read_bytes() == before[0] and len(before) == 1
        assert os.listdir(tmp_path) == ["run.pt"]
        counter = Count()
        resumed = make(checkpoint=path, callbacks=[counter]).fit(*DATA["table"])
        assert counter.n_begun == 2
        assert_same_training(resumed, reference("NetClassifier"))

    def test_it_is_replaced_in_one_step(self, tmp_path, monkeypatch):
        path = tmp_path / "run.pt"
        seen = []

        def replace(source, target, replace=os.replace):
            # All is there already, in the same folder.
            seen.append(len(content_of(source)["state"]["history_"]))
            assert Path(source).parent == path.parent and Path(target) == path
            replace(source, target)

        monkeypatch.setattr(os, "replace", replace)
        make(checkpoint=path).fit(*DATA["table"])
        assert seen == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("name", ["NetClassifier", "anchor"])
    def test_a_folder_that_is_missing_is_named_before_any_epoch(self, name, tmp_path):
        X, y = DATA["table"]
        counter = Count()
        path = tmp_path / "none" / "run.pt"
        net = make(name, checkpoint=path, callbacks=[counter])
        message = r"checkpoint '.*run\.pt' cannot be written: .* folder '.*none'\."
        with pytest.raises(ValueError, match=message):
            net.fit(X, y, sample_weight=np.ones(60))
        assert counter.n_begun == 0 and os.listdir(tmp_path) == []
        assert net.sample_weight_ is None
        with pytest.raises(ValueError, match=r"' is a folder; give a file in it\."):
            make(name, checkpoint=tmp_path).fit(X, y)

    def test_parts_that_cannot_be_stored_are_named_before_any_epoch(self, tmp_path):
        class Local(nn.Linear):
            def __init__(self):
                super().__init__(4, 3)

        class Learnt(Callback):
            def on_train_begin(self, net, **kwargs):
                self.found_ = lambda: 3

        for part in ({"module": Local}, {"callbacks": [Learnt()]}):
            counter = Count()
            params = {"module__hidden": 6, "callbacks": [], **part}
            if "module" in part:
                params.pop("module__hidden")
            params["callbacks"] = [*params["callbacks"], counter]
            net = NetClassifier(checkpoint=tmp_path / "run.pt", **params)
            message = r"run\.pt' cannot be written \(.*\): modules, .* be picklable"
            with pytest.raises(ValueError, match=message):
                net.fit(*DATA["table"])
            assert counter.n_begun == 0 and os.listdir(tmp_path) == []

    @pytest.mark.fast_cases(2)
    @EVERY_CLASSIFIER
    def test_it_does_not_hold_the_rows(self, name, tmp_path):
        path = tmp_path / "run.pt"
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(300, 400)).astype(np.float32), np.arange(300) % 3
        params = {"max_epochs": 3, "train_split": ValidSplit(3)}
        if name in ("guided", "PES", "PES (semi)"):
            params["max_epochs"] = 4
        recorder = DynamicsRecorder()
        net = make(name, checkpoint=path, callbacks=[recorder], **params)
        kill(net, X, y, ("on_epoch_end", 3))
        content = path.read_bytes()
        assert X[7].tobytes() not in content
        # Weights, momenta and averages of two small networks, and some for each row.
        assert len(content) < 0.4 * X.nbytes

    def test_a_scheduler_takes_no_weights_along(self, tmp_path):
        sizes = []
        for callbacks in ([], [LRScheduler(lr_scheduler.StepLR, step_size=2)]):
            path = tmp_path / f"{len(sizes)}.pt"
            make(checkpoint=path, callbacks=callbacks, module__hidden=2000).fit(
                *DATA["table"]
            )
            sizes.append(path.stat().st_size)
        assert sizes[1] < sizes[0] + 5000
