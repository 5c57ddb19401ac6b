"""All that is public, found by itself and sorted by kind; estimators quick to fit.

Tests, the campaign and the fixtures of saved files take their estimators from here, so
a new public name is tried everywhere at once. An estimator needs an entry in `SPECIAL`
only if it is to be tried with other arguments than `USUAL`, or in several variants.
"""

import inspect
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

import sknoisy
from sknoisy import (
    ConfidentLearningDetector,
    DynaCorDetector,
    LossMixtureDetector,
    NeighborVoteDetector,
    NetClassifier,
    NoisyLabelFilter,
    pair_flip_matrix,
)
from sknoisy.base import NoiseDetectorMixin, NoiseInjectorMixin, NoiseScoresMixin
from sknoisy.nets import NetParamsMixin

WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "batches of a stochastic float32 net differ; "
        "test_integer_weights_equal_repeated_rows stands in"
    )
}
VECTOR = {"check_fit1d": "1-D losses are its purpose; test_one_loss_per_row stands in"}

PAPER = {
    "settings": "paper",
    "corruption": "copy",
    "decision": "cluster",
    "copy_view": None,
}
GUIDED = {"targets": "soft_to_hard", "mixup": "guided", "guidance": "binomial"}
STATIC = {"targets": "soft", "weights": "static", "mixup": None, "warmup_epochs": 0}
TWO_PHASES = {"consistency_weight": 0.5, "sieve_epochs": 1, "warmup_epochs": 0}
REMEMBERING = {"loss_memory": 3, "unlabeled_weight": 25.0}
ABLATED = {"epsilon": "uniform", "resample": False, "contrastive_weight": 0}

BY_LOSS = LossMixtureDetector(LogisticRegression(), random_state=0)
CAREFUL = NoisyLabelFilter(BY_LOSS, keep=0.9)
CANDIDATES = [
    ("regression", ConfidentLearningDetector(LogisticRegression())),
    ("votes", NeighborVoteDetector(n_rounds=3)),
]

CLASSIFIERS = [
    ("regression", LogisticRegression()),
    ("less regularised", LogisticRegression(C=10.0)),
]


def numbers_of(batch):
    """Encode images by the mean of each colour, texts by their lengths."""
    if hasattr(batch, "mean"):
        return batch.mean((2, 3))
    return [[len(text), text.count(" ")] for text in batch]


# What a constructor that asks for it is given, by the name of the parameter.
GIVEN = {
    "classifier": LogisticRegression(),
    "detector": BY_LOSS,
    "model": numbers_of,
    "transition_matrix": partial(pair_flip_matrix, noise_rate=0.3),
}

# Few and large steps: scikit-learn asks for 83 % on its blobs, these reach 90 %.
QUICK = {"max_epochs": 4, "lr": 0.2, "random_state": 0}
NARROW = {"module__hidden": 32, "random_state": 0}
# Nothing that is planned by the number of epochs, which two calls plan on their own.
UNPLANNED = {
    **{"lr_schedule": None, "module__hidden": 6, "module__dropout": 0.3, "lr": 0.1},
    **{"batch_size": 60, "random_state": 0, "warmup_epochs": 1, "ramp_epochs": 4},
    **{"average_ramp_steps": 10, "target_start_epoch": 2, "forget_rate": 0.3},
    **{"prune_start_epoch": 2, "prune_every": 2},
}

# What each kind is made with, as far as an estimator has these parameters, by use:
# checks of contracts, which fit it dozens of times, and fits on the fixture `blobs`,
# where scores are looked at; the tests of images add network, epochs and seed, those of
# trainings that go on the number of epochs.
USUAL = {
    "contract": {
        "net": QUICK,
        "robust classifier": QUICK,
        "detector": {"max_epochs": 2, "random_state": 0},
        "holder": {"random_state": 0},
        "competition": {"random_state": 0},
        "injector": {"random_state": 0},
        "mixture": {"random_state": 0},
    },
    "blobs": {
        "robust classifier": {**NARROW, "batch_size": 32},
        "detector": {**NARROW, "max_epochs": 8},
        "injector": {"noise_rate": 0.3, "random_state": 0},
    },
    "images": {"net": {}, "robust classifier": {}, "detector": {}},
    # Their rows are no tables, which the checks of contracts are for.
    "encoding": {"encoder": {}},
    "going on": {"net": UNPLANNED, "robust classifier": UNPLANNED},
}

# The one table of estimators by name: variants to try, and what differs from `USUAL`.
LINES = LogisticRegression()
TREES = HistGradientBoostingClassifier(max_iter=5)
SPECIAL = {
    "AUMDetector": {"contract": [{}, {"estimator": TREES}]},
    "AsymmetricNoiseInjector": {
        "contract": [{}, {"mapping": "random_partner"}],
        "blobs": [{}, {"mapping": "random_partner"}],
    },
    "AutoNoiseDetector": {
        "contract": [
            {"detectors": CANDIDATES, "n_rounds": 1},
            {"detectors": CANDIDATES, "strategy": "select", "n_rounds": 2},
        ],
        "blobs": [{"detectors": CANDIDATES, "n_rounds": 2}],
    },
    "BMMLossSplitter": {
        "contract": [{}, {"mixture": "gaussian", "posterior": "lookup"}],
        "expected failures": VECTOR,
    },
    "AutoRobustClassifier": {
        "contract": [
            {"candidates": CLASSIFIERS},
            {"candidates": CLASSIFIERS, "strategy": "select", "n_folds": 2},
        ]
    },
    "CORESClassifier": {
        "contract": [{}, TWO_PHASES],
        "images": [{}, TWO_PHASES],
        "going on": [
            {"sieve_delay": 0},
            {"ramp_epochs": 0, "warmup_epochs": 3},
            TWO_PHASES,
        ],
    },
    "CORESDetector": {
        "contract": [{"max_epochs": 3}],
        "blobs": [{"max_epochs": 30, "batch_size": 32}],
    },
    "CleanedClassifier": {
        "contract": [
            {"detector": CAREFUL},
            {"action": "relabel"},
            {"action": "reweight"},
        ]
    },
    "ConfidentLearningDetector": {
        "contract": [{"cv": 2}, {"estimator": LINES, "filter_by": "both"}]
    },
    "DISCClassifier": {
        "going on": [
            {"warmup_epochs": 1, "threshold_momentum": 0.5},
            {"warmup_epochs": 3, "threshold_momentum": 0.9},
        ]
    },
    "DivideMixClassifier": {
        "blobs": [{"lr": 0.1}],
        "going on": [
            {"warmup_epochs": n_epochs, **memory}
            for n_epochs, memory in [(1, {}), (2, REMEMBERING), (3, {})]
        ],
    },
    "DynaCorDetector": {
        "contract": [{"n_runs": 2}, {**PAPER, "encoder_epochs": 1}],
        "blobs": [
            {"n_runs": 2},
            PAPER,
            {
                "estimator": NetClassifier(max_epochs=8, module__hidden=32),
                "n_runs": 2,
                "when": "epoch_end",
            },
        ],
        "images": [{"n_runs": 2}, {**PAPER, "encoder_epochs": 1}],
    },
    "DynamicBootstrapClassifier": {
        "contract": [{}, {**GUIDED, "warmup_epochs": 2}, STATIC],
        "blobs": [{}, GUIDED],
        "images": [{}, GUIDED],
        "going on": [
            {"warmup_epochs": 2},
            {"warmup_epochs": 2, "mixture": "gaussian"},
            {"warmup_epochs": 4, "targets": "soft", "mixup": None, "prior": "labels"},
            {"warmup_epochs": 2, "mixup": "guided", "guidance": "beta"},
            {"warmup_epochs": 2, "mixup": "guided", "weights": None},
            {"warmup_epochs": 2, "weights": "static"},
        ],
    },
    "DynamicsClassifier": {
        "contract": [
            {"max_epochs": 3, "lr": 1.0},
            {"max_epochs": 6, "lr": 1.0, "summarize": True},
        ],
        # Its rows are trajectories; how it trains is NetClassifier's.
        "images": [],
        "going on": [],
    },
    "FINEDetector": {"contract": [{}, {"estimator": NetClassifier(max_epochs=2)}]},
    "FlywheelClassifier": {
        "contract": [{}, ABLATED, {"auxiliary": False}],
        "blobs": [{"lr": 0.1}],
        "going on": [
            {"warmup_epochs": 1},
            {"warmup_epochs": 2},
            {"warmup_epochs": 4},
            {"warmup_epochs": 2, "auxiliary": False},
        ],
    },
    "InstanceNoiseInjector": {"contract": [{}, {"feature_scaling": "standard"}]},
    "LossMixtureDetector": {
        "contract": [
            {},
            {"estimator": LINES},
            {"estimator": TREES, "stages": "mean", "cv": None},
        ]
    },
    "MarginNoiseInjector": {
        "contract": [{}, {"noise_type": "II", "factor": 1.4, "estimator": LINES}]
    },
    "NALClassifier": {
        "contract": [{}, {"attention": "mlp"}],
        "images": [{}, {"attention": "mlp", "attention_input": "maps"}],
    },
    "NetClassifier": {"contract": [{}, {"settings": "auto"}]},
    "NeighborVoteDetector": {"contract": [{}, {"method": "rank", "n_rounds": 1}]},
    "NoisyLabelFilter": {"contract": [{}, {"keep": 0.9}]},
    "PESClassifier": {
        "contract": [{}, {"semi": True, "refine_lr": 0.1}],
        "images": [{}, {"semi": True}],
        "going on": [
            {"warmup_epochs": 1, "refine_epochs": 1},
            {"warmup_epochs": 1, "refine_epochs": 2, "refit_head": False},
        ],
    },
    "PENCILClassifier": {"going on": [{"label_epochs": 2}]},
    "RobustLossClassifier": {
        "contract": [{}, {"loss": "truncated_gce"}],
        "images": [{}, {"loss": "truncated_gce"}],
        "going on": [{}, {"loss": "truncated_gce"}],
    },
    "SOPClassifier": {
        "contract": [{}, {"consistency_weight": 0.9, "balance_weight": 0.1}],
        "going on": [{"v_lr": 0.1}],
    },
    "SmallLossDetector": {
        "contract": [{}, {"estimator": LINES, "per_class": True}],
        "blobs": [{"noise_rate": 0.2}],
    },
    "TransitionCorrectionClassifier": {
        "contract": [{}, {"correction": "reweight", "revise": True}],
        "going on": [{"transition_matrix": 0.1 + 0.7 * np.eye(3)}],
    },
    "UNICONClassifier": {
        "going on": [{"warmup_epochs": 1}, {"warmup_epochs": 2, "log_base": "e"}],
    },
    "SymmetricNoiseInjector": {
        "blobs": [
            {},
            {"selection": "exact", "convention": "include"},
            {"selection": "exact_per_class"},
        ]
    },
}


def public_names():
    """Return what the package exports, as it is now."""
    return {name: getattr(sknoisy, name) for name in sknoisy.__all__}


def required_parameters(cls):
    """Return the names of the parameters that a constructor asks for."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.default is inspect.Parameter.empty and parameter.kind in kinds
    ]


def kind_of(value):
    """Return the kind of what is public."""
    if not inspect.isclass(value):
        return "function"
    if not issubclass(value, BaseEstimator):
        return "display" if hasattr(value, "from_estimator") else "other class"
    if issubclass(value, NoiseInjectorMixin):
        return "injector"
    if "detector" in required_parameters(value):
        return "holder"  # it repeats what its detector says
    if issubclass(value, NoiseDetectorMixin):
        return "detector"
    if issubclass(value, NetClassifier):
        is_robust = issubclass(value, NoiseScoresMixin)
        return "robust classifier" if is_robust else "net"
    if issubclass(value, NoiseScoresMixin):
        return "competition"  # of classifiers, which judges labels, and trains no net
    if value.__module__.startswith("sknoisy.encoders."):
        return "encoder"
    return "mixture"


def public_estimators(*kinds):
    """Return the public estimators of these kinds, or of all."""
    return [
        value
        for value in public_names().values()
        if inspect.isclass(value)
        and issubclass(value, BaseEstimator)
        and (not kinds or kind_of(value) in kinds)
    ]


def trains_a_net(cls):
    """Whether an estimator has the parameters of a net, and takes images."""
    return issubclass(cls, NetClassifier | NetParamsMixin)


def at_defaults(cls, **given):
    """Return an instance that is given only this, and what its constructor asks for."""
    required = required_parameters(cls)
    missing = [name for name in required if name not in GIVEN | given]
    if missing:
        raise LookupError(
            f"{cls.__name__} cannot be made: its constructor asks for {missing}. Give "
            "them in GIVEN or SPECIAL of tests/public_estimators.py."
        )
    return cls(**{**{name: GIVEN[name] for name in required if name in GIVEN}, **given})


def taken(cls, usual, **params):
    """Return these parameters, and the usual ones that an estimator has beside them."""
    names = {*at_defaults(cls, **params).get_params(deep=False)}
    if params.get("estimator") is not None:
        names -= NetClassifier().get_params(deep=False).keys() - {"random_state"}
    usual = {k: v for k, v in usual.items() if k.partition("__")[0] in names}
    return {**usual, **params}


def make(cls, usual, **params):
    """Return an instance with these parameters, and the usual ones that it has."""
    return at_defaults(cls, **taken(cls, usual, **params))


def variants(cls, use):
    """Return what differs from `USUAL` in each variant of an estimator, for a use."""
    if kind_of(cls) not in USUAL[use]:
        return []
    return SPECIAL.get(cls.__name__, {}).get(use, [{}])


def instances(use, *kinds):
    """Return the variants of all public estimators of these kinds.

    What cannot be made is left out, so that the tests of the others run;
    ``tests/test_public_names.py`` names it.
    """
    found = []
    for cls in public_estimators(*kinds):
        for params in variants(cls, use):
            try:
                found.append(make(cls, USUAL[use][kind_of(cls)], **params))
            except LookupError:
                continue
    return found


def expected_failures(estimator):
    """Return the checks of scikit-learn that an estimator fails, with the reason."""
    usual = WEIGHTS if isinstance(estimator, NetClassifier) else {}
    return SPECIAL.get(label(estimator), {}).get("expected failures", usual)


def dynacor_of_a_net(n_runs=2, random_state=0, **net_params):
    """Return a detector that holds a net with these parameters."""
    return DynaCorDetector(
        NetClassifier(**net_params), n_runs=n_runs, random_state=random_state
    )


def label(estimator):
    """Return the id of a test."""
    return type(estimator).__name__


CONTRACT = instances("contract")
# One entry for each variant: instance, and the expected failures of scikit-learn's
# checks with their reason.
ESTIMATORS = [(e, expected_failures(e)) for e in CONTRACT]
# One of each class: the first variant, which is the usual one.
ONE_EACH = list({type(e): e for e in reversed(CONTRACT)}.values())[::-1]
ENCODERS = instances("encoding")
DETECTORS = instances("blobs", "detector")
# Classifiers that train robustly and judge the labels they were given.
ROBUST = instances("blobs", "robust classifier")
SCORERS = DETECTORS + ROBUST
NETS = [estimator for estimator in SCORERS if trains_a_net(type(estimator))]
INJECTORS = instances("blobs", "injector")
# Whatever trains a network on the rows given to fit, to be called with its parameters.
ON_IMAGES = [
    *(
        partial(cls, **params) if params else cls
        for cls in filter(trains_a_net, public_estimators())
        for params in variants(cls, "images")
    ),
    dynacor_of_a_net,
]
