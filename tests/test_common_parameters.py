"""Every constructor parameter of every public estimator is checked, and named."""

import pytest
from public_estimators import NETS, ONE_EACH, label
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_param_validation
from torch import nn, optim

from sknoisy import (
    AsymmetricNoiseInjector,
    AUMDetector,
    BMMLossSplitter,
    ConfidentLearningDetector,
    CORESClassifier,
    CORESDetector,
    CoTeachingClassifier,
    CoTeachingPlusClassifier,
    DISCClassifier,
    DynaCorDetector,
    DynamicBootstrapClassifier,
    ELRClassifier,
    ELRPlusClassifier,
    FlywheelClassifier,
    InstanceNoiseInjector,
    JoCoRClassifier,
    LossMixtureDetector,
    MarginNoiseInjector,
    NALClassifier,
    NetClassifier,
    NoisyLabelFilter,
    PENCILClassifier,
    PESClassifier,
    RobustLossClassifier,
    SELCClassifier,
    SmallLossDetector,
    SOPClassifier,
    TransitionCorrectionClassifier,
    UNICONClassifier,
    VolMinNetClassifier,
)
from sknoisy._parameters import MakerOf, check_parameters
from sknoisy.base import NoiseDetectorMixin
from sknoisy.nets import MLP

TYPES = {label(estimator): estimator for estimator in ONE_EACH}


@pytest.mark.parametrize("estimator", ONE_EACH, ids=label)
def test_every_parameter_has_a_constraint_that_names_it_first(estimator):
    check_param_validation(type(estimator).__name__, estimator)


# What lies just outside: scikit-learn's check takes the bounds from the constraints.
OUTSIDE = [
    (NetClassifier, "lr", [-1e-9, "0.1", None]),
    (NetClassifier, "max_epochs", [-1, 2.0]),
    (NetClassifier, "batch_size", [0, -2]),
    (NetClassifier, "lr_schedule", [0, 1.1, "linear"]),
    (NetClassifier, "module", [5, dict, "MLP"]),
    (NetClassifier, "criterion", [None, 5, optim.SGD]),
    (NetClassifier, "optimizer", [dict, None, nn.Module]),
    (NetClassifier, "train_split", [0.2, 5]),
    (NetClassifier, "predict_nonlinearity", [5, "softmax"]),
    (NetClassifier, "device", [0, True]),
    (AUMDetector, "percentile", [-1, 101, "99"]),
    (AUMDetector, "estimator", ["boosting", SVC()]),
    (AUMDetector, "cv", ["five"]),
    (AUMDetector, "n_jobs", [0]),
    (AUMDetector, "n_runs", [1]),
    (AUMDetector, "module", [5]),
    (AUMDetector, "max_epochs", [0]),
    (CORESDetector, "beta", [-1e-9]),
    (CORESDetector, "warmup_epochs", [-1, "late", 1.5]),
    (CORESDetector, "ramp_epochs", [-1, 1.5]),
    (CORESDetector, "sieve_delay", [-1]),
    (DynaCorDetector, "corruption_rate", [-0.1, 1.5]),
    (DynaCorDetector, "encoder_epochs", [0]),
    (DynaCorDetector, "encoder_lr", [0]),
    (LossMixtureDetector, "estimator", ["svm", SVC()]),
    (LossMixtureDetector, "splitter", [3]),
    (LossMixtureDetector, "stages", ["first", None]),
    (LossMixtureDetector, "n_jobs", [0, 0.5]),
    (SmallLossDetector, "noise_rate", [1.0, -0.1, None]),
    (SmallLossDetector, "per_class", ["yes"]),
    (ConfidentLearningDetector, "estimator", ["svm", SVC()]),
    (ConfidentLearningDetector, "cv", [1]),
    (NoisyLabelFilter, "keep", [0, 1.5, 0.0]),
    (NoisyLabelFilter, "threshold", [-0.1, 1.1]),
    (InstanceNoiseInjector, "noise_rate", [-0.1, 1.1]),
    (InstanceNoiseInjector, "noise_rate_std", [-1]),
    (AsymmetricNoiseInjector, "noise_rate", [-0.1, 1.2]),
    (MarginNoiseInjector, "factor", [0]),
    (MarginNoiseInjector, "estimator", [StandardScaler()]),
    (RobustLossClassifier, "prune_start_epoch", [0, "late"]),
    (RobustLossClassifier, "prune_every", [0, 1.5]),
    (CORESClassifier, "beta", [-0.1, "2"]),
    (CORESClassifier, "warmup_epochs", [-1, 1.5, "late"]),
    (CORESClassifier, "sieve_delay", [-1, 0.5]),
    (CORESClassifier, "consistency_weight", [-0.1, "some"]),
    (CORESClassifier, "sieve_epochs", [0, 1.5, "late"]),
    (RobustLossClassifier, "warmup_epochs", [-1, 1.5, "late"]),
    (RobustLossClassifier, "ramp_epochs", [-1, 1.5]),
    (CoTeachingClassifier, "ramp_epochs", [0, 2.5, "half"]),
    (CoTeachingClassifier, "exponent", [0, "1"]),
    (CoTeachingPlusClassifier, "warmup_epochs", [-1, 0.5, "late"]),
    (CoTeachingPlusClassifier, "loss_on", ["losses"]),
    (DISCClassifier, "warmup_epochs", [0, 1.5, "late"]),
    (DISCClassifier, "threshold_momentum", [-0.1, 1.1, "slow"]),
    (DISCClassifier, "hard_weight", [-1]),
    (DISCClassifier, "q", [0, 1.5]),
    (DISCClassifier, "purify_margin", [-0.1]),
    (DISCClassifier, "purify_limit", [0, 1.1]),
    (DISCClassifier, "mixup_alpha", [0]),
    (JoCoRClassifier, "lam", [-0.1, 1, "0.5"]),
    (JoCoRClassifier, "forget_rate", [1, -0.1, "some"]),
    (JoCoRClassifier, "ramp_epochs", [0, 2.5, "half"]),
    (JoCoRClassifier, "exponent", [0, "1"]),
    (ELRClassifier, "lam", [-1]),
    (ELRClassifier, "beta", [1, -0.1]),
    (ELRPlusClassifier, "mixup_alpha", [0]),
    (ELRPlusClassifier, "average_momentum", [1]),
    (ELRPlusClassifier, "average_ramp_steps", [-1, "half"]),
    (ELRPlusClassifier, "lam_ramp_steps", [-1, "auto"]),
    (TransitionCorrectionClassifier, "anchor_percentile", [0, 101]),
    (TransitionCorrectionClassifier, "revise", ["late", 3]),
    (TransitionCorrectionClassifier, "revision_lr", [0, -1]),
    (UNICONClassifier, "log_base", [10, "2", 1]),
    (UNICONClassifier, "adjustment_threshold", [-0.1]),
    (UNICONClassifier, "filter_coefficient", [0.9, "5"]),
    (UNICONClassifier, "contrastive_weight", [-0.1]),
    (UNICONClassifier, "contrastive_temperature", [0]),
    (UNICONClassifier, "unlabeled_weight", [-1]),
    (UNICONClassifier, "strong_view", [1.1]),
    (VolMinNetClassifier, "lam", [-1]),
    (VolMinNetClassifier, "transition_lr", [0, -1]),
    (NALClassifier, "lam", [-1, "large"]),
    (NALClassifier, "alpha", [1.0, -0.1]),
    (NALClassifier, "target_start_epoch", [0, 2.5]),
    (NALClassifier, "attention_threshold", [1]),
    (NALClassifier, "label_floor", [1.5]),
    (SELCClassifier, "alpha", [1.0, -0.1]),
    (SELCClassifier, "warmup_epochs", [-1, 1.5, "late"]),
    (PENCILClassifier, "warmup_epochs", [-1, 1.5, "late"]),
    (PESClassifier, "warmup_epochs", [0, 1.5, "late"]),
    (PESClassifier, "refine_epochs", [0, 1.5, "late"]),
    (PESClassifier, "refine_lr", [0, -1]),
    (PESClassifier, "semi", ["yes"]),
    (PESClassifier, "refit_head", ["no"]),
    (PESClassifier, "unlabeled_weight", [-1]),
    (PESClassifier, "temperature", [0]),
    (PESClassifier, "mixup_alpha", [0]),
    (PENCILClassifier, "label_epochs", [0, 1.5, "all"]),
    (SOPClassifier, "u_lr", [-1, "half"]),
    (SOPClassifier, "v_lr", [-1, "half"]),
    (SOPClassifier, "initial", [0, 1]),
    (SOPClassifier, "strong_view", [1.1]),
    (PENCILClassifier, "label_lr", [-0.1]),
    (PENCILClassifier, "initial_logit", [0]),
    (PENCILClassifier, "compatibility", ["log", None]),
    (FlywheelClassifier, "lam", [-0.1, "large"]),
    (FlywheelClassifier, "temperature", [0]),
    (FlywheelClassifier, "warmup_epochs", [0, 1.5, "never"]),
    (FlywheelClassifier, "mixup_alpha", [0]),
    (FlywheelClassifier, "weak_view", [-0.1, "strong"]),
    (FlywheelClassifier, "strong_view", [1.1]),
    (FlywheelClassifier, "judge", [5, dict]),
    (DynamicBootstrapClassifier, "mixture", ["bmm", StandardScaler(), BMMLossSplitter]),
    (DynamicBootstrapClassifier, "warmup_epochs", [-1, 1.5, "never"]),
    (DynamicBootstrapClassifier, "static_weight", [1.1]),
    (DynamicBootstrapClassifier, "mixup_alpha", [0]),
]


@pytest.mark.parametrize(
    ("cls", "name", "values"), OUTSIDE, ids=[f"{c.__name__}-{n}" for c, n, _ in OUTSIDE]
)
def test_values_just_outside_are_refused(cls, name, values):
    estimator = clone(TYPES[cls.__name__])
    message = f"'{name}' parameter of {cls.__name__} must be .* Got .* instead"
    for value in values:
        estimator.set_params(**{name: value})
        with pytest.raises(ValueError, match=message):
            check_parameters(estimator)


class TestMakers:
    ANY = MakerOf(nn.Module, "torch.nn.Module")
    NO_INSTANCE = MakerOf(optim.Optimizer, "Optimizer", instances=False)

    def test_classes_instances_and_functions(self):
        for made_by in (
            MLP,
            nn.Linear(2, 2),
            lambda n_classes: nn.Linear(2, n_classes),
        ):
            assert self.ANY.is_satisfied_by(made_by)
        for odd in (dict, 5, None, "MLP", StandardScaler(), optim.SGD):
            assert not self.ANY.is_satisfied_by(odd)

    def test_an_instance_may_be_too_late(self):
        instance = optim.SGD(nn.Linear(2, 2).parameters())
        assert self.NO_INSTANCE.is_satisfied_by(optim.SGD)
        assert not self.NO_INSTANCE.is_satisfied_by(instance)

    def test_words(self):
        assert str(self.ANY) == (
            "a torch.nn.Module (class, instance or function that makes one)"
        )
        assert str(self.NO_INSTANCE) == "a Optimizer (class or function that makes one)"


@pytest.mark.parametrize(
    "detector", [e for e in NETS if isinstance(e, NoiseDetectorMixin)], ids=label
)
def test_detectors_name_the_parameters_of_their_network(detector, blobs):
    X, y, _ = blobs
    detector = clone(detector).set_params(estimator=None, module=5)
    with pytest.raises(ValueError, match=f"'module' .* of {label(detector)} must be"):
        detector.fit(X, y)
    detector = type(detector)(NetClassifier(module=5))
    with pytest.raises(ValueError, match=r"'module' parameter of \w+ must be"):
        detector.fit(X, y)
