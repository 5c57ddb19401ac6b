"""BMMLossSplitter on dask arrays: the same results, block by block, and lazily."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sknoisy import BMMLossSplitter
from sknoisy.mixture._binning import GrowingSample
from sknoisy.mixture._dask import blocks, is_dask, map_blocks

da = pytest.importorskip("dask.array", reason="needs dask: pip install 'dask[array]'")


@pytest.fixture(autouse=True)
def one_thread():
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def losses():
    rng = np.random.default_rng(0)
    right, wrong = rng.gamma(2, 0.2, 7000), rng.normal(4, 0.8, 3000)
    return rng.permutation(np.abs(np.r_[right, wrong])).astype(np.float32)


def counted(block, seen):
    seen.append(len(block))
    return block


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("chunks", [10_000, 999])
def test_a_fit_is_that_of_the_same_numpy_array(losses, method, chunks):
    whole = BMMLossSplitter().fit(losses)
    splitter = BMMLossSplitter()
    fitted = getattr(splitter, method)(da.from_array(losses, chunks=chunks))
    assert fitted is splitter
    assert (splitter.lo_, splitter.hi_) == (whole.lo_, whole.hi_)
    assert_array_equal(splitter.mixture_.alphas_, whole.mixture_.alphas_)
    assert_array_equal(splitter.predict_proba(losses), whole.predict_proba(losses))


@pytest.mark.usefixtures("default_output")
def test_predictions_are_lazy_and_right(losses):
    splitter = BMMLossSplitter().fit(losses)
    seen = []
    given = da.from_array(losses, chunks=3000)
    given = given.map_blocks(counted, seen, meta=np.empty(0, np.float32))
    found = {
        name: getattr(splitter, name)(given)
        for name in ("predict_proba", "transform", "predict")
    }
    assert not seen
    for name, shape in (
        ("predict_proba", (10_000, 2)),
        ("transform", (10_000, 1)),
        ("predict", (10_000,)),
    ):
        assert is_dask(found[name]) and found[name].shape == shape
        assert found[name].chunks[0] == (3000, 3000, 3000, 1000)
        expected = getattr(splitter, name)(losses)
        assert found[name].dtype == expected.dtype
        assert_array_equal(found[name].compute(), expected)
    assert max(seen) == 3000


def test_a_fit_holds_one_block_at_a_time(losses):
    # Blocks are asked for one by one: the second only when the first is taken in.
    seen = []
    given = da.from_array(losses, chunks=1000)
    given = given.map_blocks(counted, seen, meta=np.empty(0, np.float32))
    iterator = blocks(given)
    assert_array_equal(next(iterator), losses[:1000])
    assert seen == [1000]
    assert_array_equal(next(iterator), losses[1000:2000])
    assert seen == [1000, 1000]


@pytest.mark.usefixtures("default_output")
def test_several_columns_in_blocks_of_rows_and_of_columns(losses):
    epochs = losses.reshape(-1, 4)
    whole = BMMLossSplitter().fit(epochs)
    given = da.from_array(epochs, chunks=(600, 3))
    splitter = BMMLossSplitter().fit(given)
    assert splitter.n_features_in_ == 4
    expected = whole.predict_proba(epochs)
    assert_array_equal(splitter.predict_proba(given).compute(), expected)
    column = da.from_array(losses[:, None], chunks=600)
    assert_array_equal(
        BMMLossSplitter().fit(column).transform(column).compute(),
        BMMLossSplitter().fit(losses).transform(losses),
    )


@pytest.mark.usefixtures("default_output")
def test_blocks_that_a_selection_left_empty(losses):
    given = da.from_array(np.sort(losses), chunks=1000)
    some = given[given > 3]  # of unknown length
    expected = np.sort(losses)[np.sort(losses) > 3]
    splitter = BMMLossSplitter().fit(some)
    whole = BMMLossSplitter().fit(expected)
    for method in ("predict_proba", "transform", "predict"):
        found = getattr(splitter, method)(some).compute()
        assert_array_equal(found, getattr(whole, method)(expected))
    with pytest.raises(ValueError, match="0 sample"):
        BMMLossSplitter().fit(given[given > 1e9])


def test_dask_and_numpy_pieces_add_up(losses):
    pieces = BMMLossSplitter().partial_fit(losses[:3000])
    pieces.partial_fit(da.from_array(losses[3000:], chunks=900))
    whole = BMMLossSplitter().fit(losses)
    assert_array_equal(pieces.predict_proba(losses), whole.predict_proba(losses))
    # fit starts anew, and leaves nothing to go on from.
    pieces.fit(da.from_array(losses**2, chunks=900)).partial_fit(losses)
    assert_array_equal(pieces.predict_proba(losses), whole.predict_proba(losses))


def test_many_losses_are_counted(monkeypatch, losses):
    monkeypatch.setattr(GrowingSample, "max_kept", 2000)
    splitter = BMMLossSplitter().fit(da.from_array(losses, chunks=900))
    whole = BMMLossSplitter().fit(losses)
    off_step = losses > 1.01 * whole.lo_
    a, b = (s.predict_proba(losses[off_step])[:, 1] for s in (splitter, whole))
    # Bins of 10,000 losses say less than those of a million.
    assert 0 < np.abs(a - b).max() < 1e-3


def test_only_dask_arrays_are_dask_arrays(losses):
    assert is_dask(da.zeros(3)) and not is_dask(losses) and not is_dask([1.0])


def test_results_of_a_function_of_rows_have_their_shape():
    given = da.ones((7, 2), chunks=(3, 1))
    found = map_blocks(lambda rows: rows.sum(axis=1, keepdims=True), given, 1)
    assert found.shape == (7, 1) and (found.compute() == 2).all()


def test_warnings_point_at_the_caller(losses):
    for method in (BMMLossSplitter().fit, BMMLossSplitter().partial_fit):
        with pytest.warns(UserWarning, match="30 losses are too few") as record:
            method(da.from_array(losses[:30], chunks=10))
        assert record[0].filename == __file__


def test_bad_losses_and_mixtures(losses):
    given = da.from_array(losses, chunks=900)
    with pytest.raises(ValueError, match=r"Negative values.* cannot be negative"):
        BMMLossSplitter().fit(given - 1)
    with pytest.raises(ValueError, match="NaN"):
        BMMLossSplitter().fit(da.where(given > 5, np.nan, given))
    with pytest.raises(ValueError, match=r"need a BetaMixture.*got mixture='gaussian'"):
        BMMLossSplitter("gaussian").fit(given)
    splitter = BMMLossSplitter().fit(given)
    with pytest.raises(ValueError, match="Negative"):
        splitter.predict_proba(given - 1).compute()
    # A mixture that takes no pieces still predicts for them.
    gaussian = BMMLossSplitter("gaussian", random_state=0).fit(losses)
    assert_array_equal(gaussian.predict(given).compute(), gaussian.predict(losses))
