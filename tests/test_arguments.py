"""Arguments that are no numbers are named, wherever a function takes one."""

import numpy as np
import pytest
import torch

from sknoisy import find_label_issues, losses, nets, noise
from sknoisy._arguments import check_counts, check_reals, check_shape
from sknoisy.classification import anchor_transition_matrix

IMAGES = torch.zeros(2, 1, 8, 8)
STATE = {"n_samples": 4, "n_classes": 2}

# A call with a list for the argument that the error must name.
CALLS = [
    ("q", lambda v: losses.GCELoss(v)),
    ("q", lambda v: losses.TruncatedGCELoss(4, v)),
    ("k", lambda v: losses.TruncatedGCELoss(4, k=v)),
    ("n_samples", lambda v: losses.TruncatedGCELoss(v)),
    ("a", lambda v: losses.SCELoss(v)),
    ("b", lambda v: losses.SCELoss(b=v)),
    ("A", lambda v: losses.SCELoss(A=v)),
    ("weight", lambda v: losses.BootstrapLoss(weight=v)),
    ("weight", lambda v: losses.ClusterAlignmentLoss(v)),
    ("temperature", lambda v: losses.ContrastiveLoss(4, temperature=v)),
    ("n_features", lambda v: losses.ContrastiveLoss(v)),
    ("beta", lambda v: losses.CORESLoss(**STATE, beta=v)),
    ("n_classes", lambda v: losses.CORESLoss(4, v)),
    ("lam", lambda v: losses.ELRLoss(**STATE, lam=v)),
    ("beta", lambda v: losses.ELRLoss(**STATE, beta=v)),
    ("n_samples", lambda v: losses.ELRLoss(v, 2)),
    ("lam", lambda v: losses.FlywheelLoss(**STATE, lam=v)),
    ("n_classes", lambda v: losses.FlywheelLoss(4, v)),
    ("alpha", lambda v: losses.NoiseAttentionLoss(**STATE, alpha=v)),
    ("rce_weight", lambda v: losses.NoiseAttentionLoss(**STATE, rce_weight=v)),
    ("n_samples", lambda v: losses.NoiseAttentionLoss(v, 2)),
    ("speed", lambda v: losses.VolMinLoss(2, speed=v)),
    ("speed", lambda v: losses.ReweightingLoss(np.eye(2), speed=v)),
    ("alpha", lambda v: losses.SELCLoss(**STATE, alpha=v)),
    ("n_classes", lambda v: noise.pair_flip_matrix(v, 0.2)),
    ("noise_rate", lambda v: noise.symmetric_matrix(2, v)),
    ("n_classes", lambda v: noise.empirical_transition_matrix([0, 1], [0, 1], v)),
    ("percentile", lambda v: anchor_transition_matrix(np.eye(2), v)),
    ("frac_noise", lambda v: find_label_issues([0, 1], np.eye(2), frac_noise=v)),
    ("n_classes", lambda v: nets.MLP((4,), v)),
    ("dropout", lambda v: nets.MLP((4,), 2, dropout=v)),
    ("n_classes", lambda v: nets.PreActResNet((1, 8, 8), v)),
    ("width", lambda v: nets.ResNet((1, 8, 8), 2, width=v)),
    ("blocks", lambda v: nets.ResNet((1, 8, 8), 2, blocks=(v, 1))),
    ("width", lambda v: nets.CNN9((1, 28, 28), 2, width=v)),
    ("dropout", lambda v: nets.CNN9((1, 28, 28), 2, dropout=v)),
    ("p", lambda v: nets.random_flip(IMAGES, v)),
    ("padding", lambda v: nets.random_crop(IMAGES, v)),
    ("padding", lambda v: nets.crop_and_flip(IMAGES, v)),
    ("size", lambda v: nets.cutout(IMAGES, v)),
    ("n_ops", lambda v: nets.rand_augment(IMAGES, v)),
    ("magnitude", lambda v: nets.rand_augment(IMAGES, magnitude=v)),
    ("batch_size", lambda v: list(nets.TensorBatches(nets.ArrayDataset([1.0]), v))),
]


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
@pytest.mark.parametrize("value", [[0.5], "0.5", {"a": 1}], ids=repr)
def test_what_is_no_number_is_named(name, call, value):
    with pytest.raises(TypeError, match=rf"^{name} must be an? (integer|number); got "):
        call(value)


def test_numbers_of_numpy_are_numbers():
    check_reals(a=np.float32(0.5), b=np.int64(2), c=True, d=float("nan"))
    check_counts(n=np.int8(3))
    check_counts(0, n=0)
    check_shape(input_shape=(np.int64(3), 4))


def test_counts_have_a_least_value():
    with pytest.raises(ValueError, match=r"width must be at least 1; got 0\."):
        check_counts(width=0)
    with pytest.raises(TypeError, match=r"width must be an integer; got 2\.5\."):
        check_counts(width=2.5)


@pytest.mark.parametrize("shape", [4, None, (2.5, 3), "ab"])
def test_what_is_no_shape_is_named(shape):
    with pytest.raises(TypeError, match="input_shape must be a tuple of integers"):
        nets.MLP(shape, 2)
    with pytest.raises(TypeError, match="input_shape must be a tuple of integers"):
        nets.CNN9(shape, 2)


def test_a_shape_holds_no_zero():
    with pytest.raises(ValueError, match="must hold numbers of at least 1; got"):
        nets.MLP((0,), 2)


@pytest.mark.parametrize("blocks", [3, None, ()])
def test_blocks_are_a_tuple(blocks):
    with pytest.raises(TypeError, match="blocks must be a tuple, the number of blocks"):
        nets.PreActResNet((1, 8, 8), 2, blocks)


@pytest.mark.parametrize("hidden", ["many", 2.5, (4, "x"), None])
def test_hidden_is_a_width_or_widths(hidden):
    with pytest.raises(TypeError, match="hidden must be a width, or a tuple of widths"):
        nets.MLP((4,), 2, hidden)


def test_limits_hold_for_what_is_not_finite():
    with pytest.raises(ValueError, match="a and b must be at least 0"):
        losses.SCELoss(a=float("nan"))
    with pytest.raises(ValueError, match="A must be below 0; got -inf"):
        losses.SCELoss(A=-float("inf"))
    with pytest.raises(ValueError, match="rce_weight must be at least 0; got nan"):
        losses.NoiseAttentionLoss(**STATE, rce_weight=float("nan"))
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\); got 2"):
        nets.CNN9((1, 28, 28), 2, dropout=2)
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\]; got -1"):
        nets.random_flip(IMAGES, -1)


def test_a_dataset_has_rows_and_probabilities_have_columns():
    with pytest.raises(TypeError, match="features must have a length; got None"):
        nets.ArrayDataset(None)
    with pytest.raises(TypeError, match="codes must have a length; got 5"):
        nets.ArrayDataset([1.0], 5)
    with pytest.raises(
        ValueError, match=r"a row for each sample .* got shape \(0, 2\)"
    ):
        anchor_transition_matrix(np.zeros((0, 2)))


@pytest.mark.parametrize("word", [np.array([1, 2]), ["mean"], {1}, None, "max"])
def test_what_is_no_word_is_named(word):
    for call in (
        lambda: losses.GCELoss(reduction=word),
        lambda: losses.BootstrapLoss(word),
        lambda: losses.BootstrapLoss(reduction=word),
        lambda: losses.FlywheelLoss(**STATE, epsilon=word),
        lambda: noise.symmetric_matrix(2, 0.1, word),
        lambda: find_label_issues([0, 1], np.eye(2), filter_by=word),
    ):
        with pytest.raises(ValueError, match=r"must be .*; got "):
            call()


def test_a_confident_joint_holds_numbers():
    with pytest.raises(TypeError, match="confident_joint must be numbers; got 'many'"):
        find_label_issues([0, 1], np.eye(2), confident_joint="many")


@pytest.mark.parametrize("T", ["", [["a", "b"]], {"a": 1}, [[1, 0], [1]]])
def test_a_transition_matrix_holds_numbers(T):
    with pytest.raises(TypeError, match="transition_matrix must be a square array of"):
        losses.BackwardCorrectionLoss(T)


def test_integers_that_torch_cannot_hold():
    with pytest.raises(ValueError, match=r"lam must be a float, or an integer below 2"):
        losses.ELRLoss(**STATE, lam=2**70)


def test_the_sieve_is_on_or_off_and_its_penalty_finite():
    with pytest.raises(TypeError, match="sieving must be True or False; got"):
        losses.CORESLoss(**STATE, sieving=np.array([1, 2]))
    with pytest.raises(ValueError, match="beta must be at least 0; got inf"):
        losses.CORESLoss(**STATE, beta=float("inf"))
