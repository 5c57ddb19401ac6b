"""What NetClassifier takes, and what it refuses."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.utils.data import Dataset, Subset

from sknoisy import NetClassifier
from sknoisy.nets import ArrayDataset, LoaderBatches

LOADERS = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}


class Conv(nn.Module):
    def __init__(self, input_shape, n_classes, width=4):
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], width, 3)
        self.head = nn.Linear(width, n_classes)

    def embed(self, X):
        return self.conv(X).relu().mean((2, 3))

    def forward(self, X):
        return self.head(self.embed(X))


class Rows(Dataset):
    """A torch Dataset of rows, or of pairs if it has labels."""

    def __init__(self, X, y=None):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return self.X[row] if self.y is None else (self.X[row], self.y[row])


class TestLabels:
    @pytest.mark.parametrize(
        "values",
        [["bee", "ant", "cat"], [7, -3, 100], [2.0, 1.0, 3.0]],
        ids=["strings", "integers", "floats"],
    )
    def test_labels_of_any_kind_come_back(self, make_net, table, values):
        X, y = table
        values = np.array(values)
        net = make_net(max_epochs=20).fit(X, values[y])
        assert net.classes_.tolist() == sorted(values.tolist())
        predicted = net.predict(X)
        assert predicted.dtype == values.dtype
        proba = net.predict_proba(X)
        np.testing.assert_array_equal(predicted, net.classes_[proba.argmax(1)])
        assert net.score(X, values[y]) > 0.6
        # The order of the classes is the order of the columns.
        column = net.classes_.tolist().index(values[2])
        assert proba[y == 2, column].mean() > proba[y != 2, column].mean() + 0.2

    def test_renamed_labels_train_the_same_net(self, make_net, table):
        X, y = table
        names = np.array(["ant", "bee", "cat"])
        a, b = make_net().fit(X, y), make_net().fit(X, names[y])
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))

    def test_booleans(self, make_net, table):
        X, y = table
        net = make_net(max_epochs=20).fit(X, y == 1)
        assert net.predict(X).dtype == bool and net.score(X, y == 1) > 0.7

    @pytest.mark.parametrize("container", [pd.Series, pl.Series, np.ndarray.tolist])
    def test_containers_of_labels(self, make_net, table, container):
        X, y = table
        names = np.array(["ant", "bee", "cat"])[y]
        net = make_net().fit(X, container(names))
        plain = make_net().fit(X, names)
        np.testing.assert_array_equal(net.predict_proba(X), plain.predict_proba(X))

    def test_many_classes(self, make_net):
        X = np.eye(25, dtype=np.float32).repeat(2, 0) * 3
        y = np.arange(25).repeat(2)
        net = make_net(module__hidden=(), max_epochs=40, lr=0.5).fit(X, y)
        assert net.predict_proba(X).shape == (50, 25)
        assert net.score(X, y) == 1

    def test_declared_classes_get_a_column(self, make_net, table):
        X, y = table
        X, y = X[y != 1], y[y != 1]
        net = make_net(max_epochs=10).partial_fit(X, y, classes=[0, 1, 2, 3])
        assert net.classes_.tolist() == [0, 1, 2, 3]
        proba = net.predict_proba(X)
        assert proba.shape == (len(X), 4)
        assert set(net.predict(X)) <= {0, 2}

    def test_later_calls_may_bring_declared_classes(self, make_net, table):
        X, y = table
        net = make_net(max_epochs=20).partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
        net.partial_fit(X, y)
        assert net.score(X, y) > 0.6

    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_classes_may_be_a_parameter(self, make_net, table, method):
        X, y = table
        net = getattr(make_net(classes=[2, 1, 0]), method)(X[y < 2], y[y < 2])
        assert net.classes_.tolist() == [0, 1, 2]
        assert net.predict_proba(X).shape == (45, 3)

    def test_new_labels_are_refused_after_the_first_call(self, make_net, table):
        X, y = table
        net = make_net().fit(X, y)
        with pytest.raises(ValueError, match=r"unknown labels: \[7\]; known .*0, 1"):
            net.partial_fit(X, np.where(y == 2, 7, y))


class TestRows:
    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_frames_give_names_and_the_same_bits(self, make_net, table, frame):
        X, y = table
        named = frame(dict(zip("abcd", X.T, strict=True)))
        net = make_net().fit(named, y)
        assert net.feature_names_in_.tolist() == list("abcd")
        assert net.n_features_in_ == 4
        plain = make_net().fit(X, y)
        np.testing.assert_array_equal(net.predict_proba(named), plain.predict_proba(X))
        renamed = frame(dict(zip("abxd", X.T, strict=True)))
        for method in (net.predict, net.predict_proba, net.transform):
            with pytest.raises(ValueError, match="feature names should match"):
                method(renamed)
        with pytest.raises(ValueError, match="feature names should match"):
            net.partial_fit(renamed, y)

    def test_names_are_forgotten_by_a_fit_without_them(self, make_net, table):
        X, y = table
        net = make_net().fit(pd.DataFrame(X, columns=list("abcd")), y).fit(X, y)
        assert not hasattr(net, "feature_names_in_")

    def test_float64_is_trained_as_float32(self, make_net, table):
        X, y = table
        a, b = make_net().fit(X, y), make_net().fit(X.astype(np.float64), y)
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
        assert a.predict_proba(X).dtype == np.float32

    @pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8])
    def test_integers_are_numbers(self, make_net, table, dtype):
        X, y = table
        X = np.abs(10 * X).astype(dtype)
        a, b = make_net().fit(X, y), make_net().fit(X.astype(np.float32), y)
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))

    @pytest.mark.parametrize("change", ["fortran", "reversed", "read-only", "strided"])
    def test_memory_layout_does_not_matter(self, make_net, table, change):
        X, y = table
        if change == "fortran":
            given = np.asfortranarray(X)
        elif change == "reversed":
            given = np.ascontiguousarray(X[::-1])[::-1]
        elif change == "strided":
            given = np.repeat(X, 2, axis=0)[::2]
        else:
            given = X.copy()
            given.flags.writeable = False
        a, b = make_net().fit(X, y), make_net().fit(given, y)
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(given))

    def test_the_users_data_stay_as_they_are(self, make_net, table):
        class InPlace(nn.Module):
            def __init__(self, n_classes):
                super().__init__()
                self.fc = nn.Linear(4, n_classes)

            def forward(self, X):
                return self.fc(X.mul_(2))

        X, y = table
        given, labels = X.copy(), y.copy()
        net = make_net(InPlace, batch_size=-1).fit(given, labels)
        net.predict(given)
        net.transform(given)
        np.testing.assert_array_equal(given, X)
        np.testing.assert_array_equal(labels, y)

    def test_predictions_do_not_depend_on_the_other_rows(self, make_net, table):
        X, y = table
        net = make_net(iterator_valid__batch_size=7).fit(X, y)
        proba = net.predict_proba(X)
        np.testing.assert_allclose(net.predict_proba(X[3:4]), proba[3:4], rtol=1e-5)
        order = np.random.default_rng(0).permutation(45)
        np.testing.assert_allclose(net.predict_proba(X[order]), proba[order], rtol=1e-5)


class TestImages:
    def test_uint8_images_are_scaled_to_one(self, make_net, images):
        X, y = images
        a = make_net(Conv, module__width=3).fit(X, y)
        b = make_net(Conv, module__width=3).fit(X.astype(np.float32) / 255, y)
        scaled = X.astype(np.float32) / 255
        np.testing.assert_allclose(
            a.predict_proba(X), b.predict_proba(scaled), rtol=1e-5
        )
        np.testing.assert_allclose(
            a.predict_proba(X), a.predict_proba(scaled), rtol=1e-6
        )
        assert a.n_features_in_ == 3 and a.input_shape_ == (3, 5, 5)

    def test_uint8_tensors_are_scaled_as_arrays_are(self, make_net, images):
        X, y = images
        net = make_net(Conv).fit(X, y)
        given = net.predict_proba(torch.from_numpy(X))
        np.testing.assert_array_equal(given, net.predict_proba(X))

    def test_a_conv_net_learns(self, make_net, images):
        X, y = images
        net = make_net(Conv, max_epochs=30, lr=0.2, batch_size=8).fit(X, y)
        assert net.score(X, y) > 0.9
        assert net.transform(X).shape == (24, 4)

    def test_no_default_network(self, images):
        X, y = images
        with pytest.raises(ValueError, match="X with 3 dimensions; set module="):
            NetClassifier().fit(X[:, 0], y)

    def test_channels_last(self, make_net, images):
        X, y = images
        message = r"shape \(24, 5, 5, 3\); pass X.transpose\(0, 3, 1, 2\)"
        with pytest.raises(ValueError, match=message):
            make_net(Conv).fit(X.transpose(0, 2, 3, 1), y)

    def test_sequences_are_taken_by_a_module_for_them(self, make_net, table):
        class Recurrent(nn.Module):
            def __init__(self, input_shape, n_classes):
                super().__init__()
                self.rnn = nn.GRU(input_shape[1], 3, batch_first=True)
                self.head = nn.Linear(3, n_classes)

            def forward(self, X):
                return self.head(self.rnn(X)[0][:, -1])

        X, y = table
        net = make_net(Recurrent).fit(X.reshape(45, 2, 2), y)
        assert net.predict_proba(X.reshape(45, 2, 2)).shape == (45, 3)
        assert net.input_shape_ == (2, 2)


class TestDatasets:
    @pytest.mark.parametrize("kind", ["rows", "pairs", "memmap", "subset", "codes"])
    def test_data_outside_memory_train_the_same_net(
        self, make_net, table, tmp_path, kind
    ):
        X, y = table
        names = np.array(["ant", "bee", "cat"])[y]
        given, labels = Rows(X), names
        if kind == "pairs":
            given = Rows(X, y)
        elif kind == "memmap":
            np.save(tmp_path / "X.npy", X)
            given = np.load(tmp_path / "X.npy", mmap_mode="r")
        elif kind == "subset":
            given = Subset(Rows(np.concatenate([X[:5], X])), range(5, 50))
        elif kind == "codes":
            given, labels = ArrayDataset(X, y), None
        plain = make_net(**LOADERS).fit(X, names)
        net = make_net(**LOADERS).fit(given, labels)
        np.testing.assert_array_equal(net.predict_proba(given), plain.predict_proba(X))
        expected = [0, 1, 2] if kind == "codes" else ["ant", "bee", "cat"]
        assert net.classes_.tolist() == expected

    def test_both_iterators_train_the_same_net(self, make_net, table):
        X, y = table
        a, b = make_net().fit(X, y), make_net(**LOADERS).fit(X, y)
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))

    def test_predict_gives_codes_for_a_dataset(self, make_net, table):
        X, y = table
        names = np.array(["ant", "bee", "cat"])
        net = make_net(**LOADERS).fit(X, names[y])
        np.testing.assert_array_equal(names[net.predict(Rows(X))], net.predict(X))

    def test_partial_fit_goes_on_with_a_dataset(self, make_net, table):
        X, y = table
        a = make_net(**LOADERS).fit(X, y).partial_fit(X, y)
        b = make_net(**LOADERS).fit(Rows(X), y).partial_fit(Rows(X), y)
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))

    def test_declared_classes_hold_for_datasets(self, make_net, table):
        X, y = table
        net = make_net(**LOADERS).partial_fit(Rows(X), y, classes=[0, 1, 2, 9])
        assert net.classes_.tolist() == [0, 1, 2, 9]

    def test_a_dataset_needs_labels(self, make_net, table):
        X, y = table
        net = make_net(**LOADERS)
        with pytest.raises(ValueError, match="y is missing: pass the labels"):
            net.fit(Rows(X))
        with pytest.raises(ValueError, match="only one class"):
            net.fit(Rows(X), np.zeros(45))
        with pytest.raises(ValueError, match="45 rows but 44 labels"):
            net.fit(Rows(X), y[:-1])
        net.fit(Rows(X), y)
        with pytest.raises(ValueError, match=r"unknown labels: \[5\]"):
            net.partial_fit(Rows(X), np.where(y == 0, 5, y))

    def test_a_dataset_takes_the_loader_by_itself(self, make_net, table):
        X, y = table
        a, b = make_net().fit(Rows(X), y), make_net(**LOADERS).fit(Rows(X), y)
        np.testing.assert_array_equal(a.predict_proba(Rows(X)), b.predict_proba(X))


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, y: (np.where(X == X[3, 0], np.nan, X), y), "contains NaN"),
            (lambda X, y: (np.where(X == X[3, 0], np.inf, X), y), "infinity"),
            (lambda X, y: (X, np.zeros(45, int)), "only one class.*0.*at least two"),
            (lambda X, y: (X[1:], y), "inconsistent numbers of samples"),
            (lambda X, y: (X, y + 0.5), "Unknown label type: continuous"),
            (lambda X, y: (X, None), "NetClassifier requires y"),
            (lambda X, y: (X[:, 0], y), "Expected 2D array, got 1D array"),
            (lambda X, y: (X[:1], y[:1]), "minimum of 2 is required"),
            (lambda X, y: (X, np.where(y == 0, np.nan, y)), "missing label"),
            (lambda X, y: (X, np.where(y == 0, None, "a")), "missing label"),
            (lambda X, y: (X[:, :0], y), r"0 feature\(s\)"),
        ],
    )
    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_bad_data(self, make_net, table, method, change, message):
        with pytest.raises(ValueError, match=message):
            getattr(make_net(), method)(*change(*table))

    def test_sparse_rows(self, make_net, table):
        X, y = table
        with pytest.raises(TypeError, match=r"X\.toarray.*TruncatedSVD"):
            make_net().fit(csr_array(X), y)
        with pytest.raises(TypeError, match=r"X\.toarray.*TruncatedSVD"):
            make_net().fit(X, y).predict(csr_array(X))

    def test_a_column_vector_warns(self, make_net, table):
        from sklearn.exceptions import DataConversionWarning

        X, y = table
        with pytest.warns(DataConversionWarning, match="column-vector"):
            make_net().fit(X, y[:, None])

    @pytest.mark.parametrize("method", ["predict", "predict_proba", "transform"])
    def test_later_data_are_checked_as_well(self, make_net, table, method):
        X, y = table
        call = getattr(make_net().fit(X, y), method)
        with pytest.raises(ValueError, match=r"3 features.* expecting 4"):
            call(X[:, :3])
        with pytest.raises(ValueError, match="contains NaN"):
            call(np.where(X == X[3, 0], np.nan, X))
        with pytest.raises(ValueError, match="minimum of 1"):
            call(X[:0])

    def test_partial_fit_on_another_number_of_features(self, make_net, table):
        X, y = table
        with pytest.raises(ValueError, match=r"3 features.* expecting 4"):
            make_net().fit(X, y).partial_fit(X[:, :3], y)

    @pytest.mark.parametrize("method", ["predict", "predict_proba", "transform"])
    def test_nothing_before_fit(self, make_net, table, method):
        with pytest.raises(NotFittedError, match=r"not initialized|not fitted"):
            getattr(make_net(), method)(table[0])

    def test_classes_and_feature_names_before_fit(self, make_net):
        with pytest.raises(AttributeError, match="NetClassifier has no classes_ bef"):
            make_net().classes_  # noqa: B018
        with pytest.raises(NotFittedError, match=r"not initialized|not fitted"):
            make_net().get_feature_names_out()

    def test_initialize_needs_data(self, make_net):
        with pytest.raises(ValueError, match="call fit or partial_fit instead of init"):
            make_net().initialize()


class TestOutput:
    @pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, nn.MultiMarginLoss])
    def test_probabilities_are_the_softmax_of_the_logits(
        self, make_net, table, criterion
    ):
        X, y = table
        net = make_net(criterion=criterion).fit(X, y)
        proba, logits = net.predict_proba(X), net.forward(X).numpy()
        assert proba.dtype == np.float32
        np.testing.assert_allclose(proba, softmax(logits, axis=1), rtol=1e-5)
        np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
        with torch.no_grad():
            expected = net.module_.eval()(torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-7)

    @pytest.mark.usefixtures("default_output")
    def test_transform_gives_what_enters_the_head(self, make_net, table):
        X, y = table
        net = make_net().fit(X, y)
        features = net.transform(X)
        assert features.shape == (45, 6) and features.dtype == np.float32
        weights = net.module_.state_dict()
        W, b = weights["body.0.weight"].numpy(), weights["body.0.bias"].numpy()
        expected = np.maximum(X.astype(np.float64) @ W.T + b, 0)
        np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
        again = make_net().fit_transform(X, y)
        np.testing.assert_array_equal(again, features)

    def test_names_of_the_features(self, make_net, table):
        X, y = table
        net = make_net().fit(X, y)
        names = [f"netclassifier{i}" for i in range(6)]
        assert net.get_feature_names_out().tolist() == names

    @pytest.mark.parametrize(("library", "frame"), [("pandas", pd), ("polars", pl)])
    def test_frames_on_demand(self, make_net, table, library, frame):
        X, y = table
        net = make_net().set_output(transform=library).fit(X, y)
        features = net.transform(X)
        assert isinstance(features, frame.DataFrame)
        assert list(features.columns) == [f"netclassifier{i}" for i in range(6)]
        np.testing.assert_array_equal(
            features.to_numpy(), make_net().fit(X, y).transform(X)
        )

    def test_a_module_without_embed_gives_the_input_of_its_last_layer(
        self, make_net, table
    ):
        X, y = table
        module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        net = make_net(module).fit(X, y)
        with torch.no_grad():
            expected = net.module_[:2](torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(net.transform(X), expected, rtol=1e-5, atol=1e-6)
        assert net.get_feature_names_out().shape == (5,)

    def test_a_module_without_either_cannot_transform(self, make_net, images):
        X, y = images
        module = nn.Sequential(nn.Conv2d(3, 2, 5), nn.Flatten())
        net = make_net(module).fit(X, y)
        assert net.predict_proba(X).shape == (24, 2)
        with pytest.raises(TypeError, match="no method `embed` and no Linear layer"):
            net.transform(X)

    def test_forward_in_training_mode_keeps_the_rows_in_order(self, make_net, table):
        X, y = table
        net = make_net(module__dropout=0.0).fit(X, y)
        given = net.forward(X, training=True).detach()
        torch.testing.assert_close(given, net.forward(X), rtol=1e-6, atol=1e-7)
        net = make_net(module__dropout=0.5).fit(X, y)
        with torch.random.fork_rng():
            given = net.forward(X, training=True)
        assert not given.detach().equal(net.forward(X))


class Multiplied(Rows):
    """Yields rows times a factor, and notes what it was given."""

    given = []

    def __init__(self, X, y=None, factor=1):
        self.given.append((X.dtype, None if y is None else y.tolist()))
        super().__init__(factor * X, y)


class TestOwnDataset:
    def test_it_yields_the_rows_of_fit_and_predict(self, make_net, table):
        X, y = table
        Multiplied.given.clear()
        own = make_net(dataset=Multiplied, dataset__factor=2, **LOADERS)
        own.fit(X.astype(np.float64), np.array(["ant", "bee", "cat"])[y])
        proba = own.predict_proba(X)
        assert Multiplied.given == [(np.float32, y.tolist()), (np.float32, None)]
        plain = make_net(**LOADERS).fit(2 * X, y)
        np.testing.assert_array_equal(proba, plain.predict_proba(2 * X))
        by_itself = make_net(dataset=Multiplied, dataset__factor=2).fit(X, y)
        np.testing.assert_array_equal(by_itself.predict_proba(X), proba)

    @pytest.mark.parametrize(
        "params, error, match",
        [
            (
                {"dataset": Multiplied, "dataset__facto": 2, **LOADERS},
                ValueError,
                r"Multiplied takes no dataset__facto; it takes factor. Did you mean",
            ),
            (
                {"dataset": Rows(np.zeros((2, 4)))},
                ValueError,
                "'dataset' parameter of NetClassifier must be a callable",
            ),
        ],
    )
    def test_what_it_cannot_be(self, make_net, table, params, error, match):
        with pytest.raises(error, match=match):
            make_net(**params).fit(*table)
