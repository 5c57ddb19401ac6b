"""Building blocks for new methods, losses and detectors.

A method is one file: a class with constructor, constraints and a training step. It
needs no other names of sknoisy than those here; `JoCoRClassifier` is an example.

The net and its step
    `NetClassifier` trains, `Step` is the return value of a training step, `Learnt`
    states which network learnt which rows in it. `Batch` and `ArrayDataset` hold rows
    with their numbers.
The contract of noise scores
    `NoiseScoresMixin` defines it; `RobustNetMixin` implements it for a method,
    `NoiseDetectorMixin` for a detector. `NoiseInjectorMixin` is the contract of an
    injector; `suggest_labels` returns the suggested labels.
Several networks
    `Peers` holds networks of the same kind, `refuse_instance` refuses copies of one.
Selection of rows
    `resolve_forget_rate` resolves a rate, "auto" by `estimate_noise_rate`;
    `forget_rate_at` and `current_forget_rate` compute its ramp over the epochs;
    `select_small_losses` selects the rows, `number_kept` is their number.
Views
    `weak_view_of` and `strong_view_of` transform a batch, after `check_views` has
    checked them; `weak_pair_of` makes two whose predictions are averaged; `WEAK_VIEW`
    and `STRONG_VIEW` are the constraints of their parameters.
    `mixup` mixes rows in pairs that `draw_mixing` draws with the generator of
    `epoch_generator`.
Features
    `embed_and_classify` returns features and logits of a network from one pass,
    `learning_features` those of a net's module in a step, from compiled code if it is.
Epochs
    `resolve_epochs` and `share_of_epochs` turn "auto" into a share of all epochs.
Losses
    `soft_cross_entropy` takes distributions as targets; every loss checks and applies
    its reduction with `check_reduction` and `reduced`.
Constraints of parameters
    `Interval`, `Options`, `StrOptions`, `HasMethods`, `InstanceOf` and `MakerOf` are
    constraints, `check_parameters` applies them.
Rows and labels
    `check_rows_and_labels`, `check_rows`, `check_weights` and `encode_labels`.
Randomness
    `random_generator` and `set_random_states`.
Annotations, for type checkers only
    ``Array``, ``Device``, ``IntArray``, ``Labels``, ``MakerOfModules``,
    ``RandomState``, ``Rows`` and ``View``.
Trainings inside an estimator
    `NetParamsMixin` gives a detector the parameters of a net, `DynamicsRecorder` stores
    the predictions of a net in each epoch, `interruptions` sets how Ctrl-C is handled,
    `warn_user` warns at the caller's line.
"""

from typing import TYPE_CHECKING

from sknoisy._codes import encode_labels
from sknoisy._interruption import interruptions
from sknoisy._parameters import InstanceOf, MakerOf, check_parameters
from sknoisy._random_states import random_generator, set_random_states
from sknoisy._validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
    check_rows,
    check_rows_and_labels,
)
from sknoisy._warning import warn_user
from sknoisy._weights import check_weights
from sknoisy.base import (
    NoiseDetectorMixin,
    NoiseInjectorMixin,
    NoiseScoresMixin,
    suggest_labels,
)
from sknoisy.losses import soft_cross_entropy
from sknoisy.losses._reduction import check_reduction, reduced
from sknoisy.nets import (
    ArrayDataset,
    Batch,
    DynamicsRecorder,
    Learnt,
    NetClassifier,
    NetParamsMixin,
    Step,
    mixup,
)
from sknoisy.nets._epoch_shares import resolve_epochs, share_of_epochs
from sknoisy.nets._forget_rate import (
    current_forget_rate,
    estimate_noise_rate,
    forget_rate_at,
    number_kept,
    resolve_forget_rate,
    select_small_losses,
)
from sknoisy.nets._mixing import draw_mixing, epoch_generator
from sknoisy.nets._modules import embed_and_classify, learning_features
from sknoisy.nets._peers import Peers, refuse_instance
from sknoisy.nets._robust_net import RobustNetMixin
from sknoisy.nets._views import (
    STRONG_VIEW,
    WEAK_VIEW,
    check_views,
    strong_view_of,
    weak_pair_of,
    weak_view_of,
)

if TYPE_CHECKING:
    # For annotations only.
    from sknoisy._types import Array as Array
    from sknoisy._types import Device as Device
    from sknoisy._types import IntArray as IntArray
    from sknoisy._types import Labels as Labels
    from sknoisy._types import MakerOfModules as MakerOfModules
    from sknoisy._types import RandomState as RandomState
    from sknoisy._types import Rows as Rows
    from sknoisy._types import View as View

__all__ = [
    "DECLARATIONS",
    "SCORE_SEAMS",
    "SEAMS",
    "STRONG_VIEW",
    "WEAK_VIEW",
    "ArrayDataset",
    "Batch",
    "DynamicsRecorder",
    "HasMethods",
    "InstanceOf",
    "Interval",
    "Learnt",
    "MakerOf",
    "NetClassifier",
    "NetParamsMixin",
    "NoiseDetectorMixin",
    "NoiseInjectorMixin",
    "NoiseScoresMixin",
    "Options",
    "Peers",
    "RobustNetMixin",
    "Step",
    "StrOptions",
    "check_parameters",
    "check_reduction",
    "check_rows",
    "check_rows_and_labels",
    "check_views",
    "check_weights",
    "current_forget_rate",
    "draw_mixing",
    "embed_and_classify",
    "encode_labels",
    "epoch_generator",
    "estimate_noise_rate",
    "forget_rate_at",
    "interruptions",
    "learning_features",
    "mixup",
    "number_kept",
    "random_generator",
    "reduced",
    "refuse_instance",
    "resolve_epochs",
    "resolve_forget_rate",
    "select_small_losses",
    "set_random_states",
    "share_of_epochs",
    "soft_cross_entropy",
    "strong_view_of",
    "suggest_labels",
    "warn_user",
    "weak_pair_of",
    "weak_view_of",
]

# The members of `NetClassifier` that a method may override, and their purpose. A method
# that needs others shows that the list is incomplete.
SEAMS = {
    "start_fit": "computes from the rows what the parts need, before they are built",
    "build": "builds a part from its slot, such as module or criterion",
    "initialize_module": "sets module_ to the result of build",
    "initialize_criterion": "sets criterion_, which stores the state of each row",
    "passes": "yields the passes of an epoch, each a name and its batches",
    "augmented": "returns the rows of a batch as passed to training_loss",
    "training_loss": "computes the training step of the paper",
    "on_epoch_begin": "runs before an epoch",
    "on_grad_computed": "changes gradients before a step of the optimizer",
    "on_epoch_end": "runs after an epoch",
    "eval_pass": "scores rows with networks in evaluation mode",
    "finish_fit": "computes the results for the rows from the trained networks",
}

# What it may override of `RobustNetMixin` beside these.
SCORE_SEAMS = {
    "score_rows": "returns codes and logits of all rows, once after training",
    "label_evidence": "returns how probable each label is for each row",
}

# The class attributes that a method may set, and their meaning.
DECLARATIONS = {
    "_parameter_constraints": "constraints of the parameters",
    "prefixes_": "names of the slots, whose parameters are prefix__name",
    "_modules": "slots of networks that predict: NAME for the attribute NAME_",
    "_stored_slots": "slots whose parameters take effect at the next fit only",
    "cuda_dependent_attributes_": "attributes that hold tensors, to be moved on load",
    "fit_only_attributes_": "attributes that are dropped when a fit ends or fails",
    "_race_settings": "what settings='auto' tries beside the defaults",
}
