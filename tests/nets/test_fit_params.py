"""Further arguments of ``fit``: to the module, to the validation split, or refused."""

import numpy as np
import pytest
import sklearn
import torch
from sklearn import config_context
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from skorch.dataset import ValidSplit
from torch import nn

from sknoisy import CoTeachingClassifier, NetClassifier, RobustLossClassifier
from sknoisy.nets import AdversarialMasking, DynamicsRecorder

PARAMS = {"max_epochs": 1, "batch_size": 16, "random_state": 0}


class Scaled(nn.Module):
    """Needs an argument, and notes those of its training batches."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.head = nn.Linear(4, n_outputs)
        self.seen = []

    def forward(self, X, scale):
        self.seen.append((len(X), scale))
        return self.head(X) * scale


class TakesAny(Scaled):
    def forward(self, X, **kwargs):
        self.seen.append((len(X), kwargs))
        return self.head(X)


class Proba(TakesAny):
    def forward(self, X, scale):
        return self.head(X).sigmoid() * scale


class Pair(TakesAny):
    def forward(self, X, **kwargs):
        return self.head(X), X


def net(module=TakesAny, **params):
    return NetClassifier(module, **{**PARAMS, **params})


def rows_alone(dataset, y=None):
    return dataset, dataset


class TestModule:
    def test_it_is_called_with_them_in_each_step_and_with_nothing_else(self, table):
        X, y = table
        fitted = net(Scaled).fit(X, y, scale=2)
        assert fitted.module_.seen == [(16, 2), (16, 2), (13, 2)]
        fitted.partial_fit(X, y, scale=3)
        assert fitted.module_.seen[3:] == [(16, 3), (16, 3), (13, 3)]
        assert not fitted.fit_params_

    def test_validation_batches_too(self, table):
        fitted = net(Scaled, train_split=rows_alone).fit(*table, scale=2)
        assert (45, 2) in fitted.module_.seen

    def test_it_is_not_given_what_it_does_not_take(self, table):
        X, y = table
        split = ValidSplit(GroupKFold(3))
        fitted = net(Scaled, train_split=split).fit(X, y, scale=2, groups=y)
        assert fitted.history[-1, "valid_loss"] > 0

    def test_scale_counts_as_in_plain_torch(self, table):
        X, y = table
        fitted = net(Scaled, batch_size=-1, lr=0.0).fit(X, y, scale=2)
        logits = fitted.module_(torch.from_numpy(X), scale=2)
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(y))
        assert fitted.history[-1, "train_loss"] == pytest.approx(loss.item())

    def test_robust_loss_and_recorder_hand_them_on(self, table):
        X, y = table
        recorder = DynamicsRecorder(when="epoch_end")
        clf = RobustLossClassifier(module=Scaled, callbacks=[recorder], **PARAMS)
        clf.fit(X, y, scale=2)
        assert clf.noise_scores_.shape == (45,)
        assert {scale for _, scale in clf.module_.seen} == {2}

    @pytest.mark.parametrize(
        "params, error, match",
        [
            ({"module": Pair}, TypeError, "Pair must return logits, one tensor"),
            ({"module__n_outputs": 2}, ValueError, "has 2 outputs for a row, but 3"),
            (
                {"module": Proba, "criterion": nn.NLLLoss},
                ValueError,
                "under NLLLoss the module must return probabilities",
            ),
        ],
    )
    def test_its_first_batch_is_checked(self, table, params, error, match):
        with pytest.raises(error, match=match):
            net(**params).fit(*table, scale=2)


class TestSplit:
    def test_it_is_given_them_whole(self, table):
        given = []

        def split(dataset, y=None, **kwargs):
            given.append(kwargs)
            return dataset, None

        net(train_split=split).fit(*table, foo=1, bar=2)
        assert given == [{"foo": 1, "bar": 2}]

    def test_groups_stay_together_under_any_method(self, table):
        X, y = table
        groups, parts = np.arange(45) % 5, []

        class Kept(ValidSplit):
            def __call__(self, dataset, y=None, groups=None):
                parts.extend(super().__call__(dataset, y, groups))
                return parts

        split = Kept(GroupKFold(5))
        clf = CoTeachingClassifier(module__hidden=4, train_split=split, **PARAMS)
        clf.fit(X, y, groups=groups)
        train, valid = ({*groups[part.indices]} for part in parts)
        assert len(train) == 4 and len(valid) == 1 and not train & valid


class TestRefused:
    @pytest.mark.parametrize(
        "clf, given, match",
        [
            (
                NetClassifier(module__hidden=4, **PARAMS),
                "sample_weights",
                r"NetClassifier.fit got unexpected argument\(s\) sample_weights: "
                r"neither MLP.forward nor train_split takes it. Did you mean "
                r"sample_weight\?",
            ),
            (net(train_split=rows_alone, module=Scaled), "foo", "neither Scaled"),
            (net(), "X0", "checkpoint"),
            (net(), "epochs", "epochs: skorch's .* For more epochs set max_epochs"),
            (net(), "training", "skorch's training loop has an argument of this name"),
            (
                CoTeachingClassifier(module=Scaled, **PARAMS),
                "scale",
                "scale: train_split does not take it, and the training_loss of "
                "CoTeachingClassifier calls the module with rows alone",
            ),
            (
                net(masking=AdversarialMasking),
                "scale",
                "the masked training calls the module with rows alone",
            ),
        ],
    )
    def test_names_that_nobody_takes(self, table, tmp_path, clf, given, match):
        error = TypeError
        if match == "checkpoint":
            clf.set_params(checkpoint=tmp_path / "state.pt")
            error, match = ValueError, "checkpoint does not store X0"
        with pytest.raises(error, match=match):
            clf.fit(*table, **{given: 1})
        assert not hasattr(clf, "history_") or not clf.history_

    def test_partial_fit_names_itself(self, table):
        with pytest.raises(TypeError, match=r"partial_fit got unexpected .* foo"):
            net(Scaled).partial_fit(*table, foo=1)


class TestRouting:
    def test_requested_by_the_net_and_by_the_splitter(self, table):
        X, y = table
        with config_context(enable_metadata_routing=True):
            asks = net(train_split=ValidSplit(GroupKFold(3)))
            if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
                with pytest.raises(TypeError, match="Unexpected args"):
                    asks.set_fit_request(scale=True)
                return
            asks.set_fit_request(scale=True).set_partial_fit_request(scale=True)
            fitted = make_pipeline(asks).fit(X, y, groups=y, scale=2)[-1]
            assert {seen["scale"] for _, seen in fitted.module_.seen[:2]} == {2}
            fitted.partial_fit(X, y, groups=y, scale=3)
            assert fitted.module_.seen[-1][1]["scale"] == 3

    def test_unrequested_is_refused_before_the_data_are_read(self):
        with (
            config_context(enable_metadata_routing=True),
            pytest.raises(TypeError, match="unexpected argument"),
        ):
            net().fit(None, None, foo=1)
