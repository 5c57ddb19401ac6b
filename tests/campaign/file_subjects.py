"""What the campaign saves and changes: the fixtures, fresh estimators, a checkpoint."""

import os
import pickle
import tempfile
import warnings
from pathlib import Path

import numpy as np
import save_fixtures
import torch
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import EarlyStopping, EpochScoring, LRScheduler
from torch import nn

import sknoisy

__all__ = ["make_all"]

FOLDER = Path(save_fixtures.__file__).parent / "saved_0_1_0"
N_EPOCHS = 3


class MakeFolder:
    """Unpickled, it makes a folder: it could do anything."""

    def __reduce__(self):
        """Say what unpickling does."""
        return exec, ("import os; os.mkdir(os.environ['CAMPAIGN_FOLDER'] + '/done')",)


class Saved:
    """A file of an estimator, and what the estimator says of rows."""

    is_checkpoint = False

    def __init__(self, name, content, inputs):
        self.name, self.content, self.inputs = name, content, inputs
        self.expected = None

    def use(self, estimator):
        """Return what it says; then fit it once more for at most an epoch or two."""
        found = {}
        for method in save_fixtures.OUTPUTS:
            call = getattr(estimator, method, None)
            if call is not None:
                rows = () if method in save_fixtures.OUTPUTS[-2:] else self.inputs[:1]
                found[method] = np.asarray(call(*rows))
        if self.expected is not None:
            names = {"max_epochs": 1, "n_runs": 2, "n_rounds": 1, "encoder_epochs": 1}
            has = estimator.get_params()
            short = {
                key: names[key.rpartition("__")[2]]
                for key in has
                if key.rpartition("__")[2] in names
            }
            estimator.set_params(**short)
            getattr(estimator, "fit_resample", estimator.fit)(*self.inputs)
            if hasattr(estimator, "partial_fit"):
                estimator.partial_fit(*self.inputs)
        return found

    def says_the_same(self, found):
        """Whether the outputs are those of the file as it was."""
        return set(found) == set(self.expected) and all(
            value.tobytes() == self.expected[key].tobytes()
            or (value.dtype == object and (value == self.expected[key]).all())
            for key, value in found.items()
        )


class Checkpoint:
    """A training that was stopped, to go on with."""

    is_checkpoint = True

    def __init__(self, name, net, X, y):
        self.name, self.net, self.X, self.y = name, net, X, y
        self.expected = None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run"
            net.set_params(checkpoint=path, callbacks=[save_fixtures.StopAfterTwo()])
            net.fit(X, y)
            self.content = path.read_bytes()
            net.set_params(callbacks=None)
            self.expected = self.use(self.resume(path))

    def resume(self, path):
        """Return the net at the end of the training."""
        return self.net.set_params(checkpoint=path).fit(self.X, self.y)

    def use(self, net):
        """Return the weights, and how many epochs there were."""
        weights = [weight.numpy() for weight in net.module_.state_dict().values()]
        return [np.array(len(net.history)), *weights]

    def says_the_same(self, found):
        """Whether all weights have the same bits."""
        pairs = zip(found, self.expected, strict=True)
        return all(a.tobytes() == b.tobytes() for a, b in pairs)


def fresh():
    """Return a name, an estimator and its inputs for what no fixture has."""
    X, y = save_fixtures.rows()
    texts = np.array(["a good day", "bad day", "so good", "so bad"] * 15, dtype=object)
    layers = nn.Sequential(
        *(nn.Unflatten(1, (2, 2)), nn.Conv1d(2, 4, 2, padding=1), nn.GroupNorm(2, 4)),
        *(nn.PReLU(4), nn.MaxPool1d(2), nn.Flatten(), nn.LayerNorm(4)),
        *(nn.Dropout(0.1), nn.Linear(4, 3)),
    )
    callbacks = [
        EpochScoring("accuracy", on_train=True, name="seen"),
        EarlyStopping(monitor="train_loss", patience=5),
        LRScheduler("StepLR", step_size=1),
    ]
    net = sknoisy.NetClassifier(layers, callbacks=callbacks, max_epochs=2)
    adam = sknoisy.NetClassifier(optimizer=torch.optim.Adam, max_epochs=2)
    forest = RandomForestClassifier(3, max_depth=3, random_state=0)
    table = ColumnTransformer(
        [("a", OneHotEncoder(), [0]), ("b", StandardScaler(), [1])]
    )
    rounded = np.round(X[:, :2])
    return [
        ("layers", net, (X, y)),
        ("adam", adam.set_params(module__hidden=4, optimizer__fused=True), (X, y)),
        ("forest", make_pipeline(StandardScaler(), forest), (X, y)),
        ("texts", make_pipeline(TfidfVectorizer(), LogisticRegression()), (texts, y)),
        ("columns", make_pipeline(table, LogisticRegression()), (rounded, y)),
        ("bagging", BaggingClassifier(LogisticRegression(), 3, random_state=0), (X, y)),
    ]


def make_all():
    """Return all subjects, each with what it says unchanged."""
    evil = Path(tempfile.mkdtemp()) / "evil"
    evil.write_bytes(pickle.dumps(MakeFolder()))
    os.environ["CAMPAIGN_EVIL"] = str(evil)
    found = []
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder) / "file"
        for file in sorted(FOLDER.glob("*.sknoisy")):
            inputs = save_fixtures.inputs_of(file.stem)
            found.append(Saved(file.stem, file.read_bytes(), inputs))
        for name, estimator, inputs in fresh():
            sknoisy.save(estimator.fit(*inputs), path)
            found.append(Saved(name, path.read_bytes(), inputs))
        for subject in found:
            if subject.name != "unfitted":
                path.write_bytes(subject.content)
                subject.expected = subject.use(sknoisy.load(path))
        kinds = {"NetClassifier": {}, "ELRClassifier": {}, "NALClassifier": {}}
        for name in kinds:
            params = {**save_fixtures.NET, "max_epochs": 4}
            net = getattr(sknoisy, name)(**params)
            found.append(Checkpoint(name, net, *save_fixtures.rows()))
    return found
