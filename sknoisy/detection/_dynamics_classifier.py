"""A supervised classifier of trajectories into clean and noisy."""

from __future__ import annotations

import copy
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import torch
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedShuffleSplit
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Subset

from sknoisy._arguments import check_counts, check_reals
from sknoisy._validation import Interval
from sknoisy.detection._dynamics._encoder import TrajectoryCNN
from sknoisy.nets import NetClassifier

if TYPE_CHECKING:
    from sknoisy._types import ClassOf, Device, LrSchedule, MakerOfModules, RandomState

__all__ = ["DynamicsClassifier"]


class TrajectoryClassifier(nn.Module):
    """Convolutional trunk of the DynaCor encoder with a classification head."""

    def __init__(self, input_shape, n_classes, n_out=512, dropout=0.5):
        super().__init__()
        check_counts(n_out=n_out)
        check_reals(dropout=dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {dropout!r}.")
        self.cnn = TrajectoryCNN(input_shape[0], n_out)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(n_out, n_classes)

    def embed(self, X):
        """Return the features before the head."""
        return self.dropout(F.relu(self.cnn(X)))

    def forward(self, X):
        """Return the logits, shape (batch, n_classes)."""
        return self.head(self.embed(X))


class MeanClassifier(nn.Module):
    """Perceptron on the mean of a trajectory, with two hidden layers."""

    def __init__(self, input_shape, n_classes, hidden=128):
        super().__init__()
        check_counts(hidden=hidden)
        self.body = nn.Sequential(
            nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.head = nn.Linear(hidden, n_classes)

    def embed(self, X):
        """Return the features before the head."""
        return self.body(X.mean(1, keepdim=True))

    def forward(self, X):
        """Return the logits, shape (batch, n_classes)."""
        return self.head(self.embed(X))


class DynamicsClassifier(NetClassifier):
    """Supervised classifier of training dynamics into clean and noisy.

    It learns from rows whose labels were checked, and flags wrong labels among the
    others; Appendix B of [1]_ uses it to measure the information in a training signal.
    X holds trajectories, one column per epoch; y says which labels are wrong.

    Parameters
    ----------
    module : torch module class, default=None
        None takes the encoder of DynaCor with a head (``module__n_out=512``,
        ``module__dropout=0.5``).
    summarize : bool, default=False
        True takes a perceptron on the mean over the epochs instead
        (``module__hidden=128``): the difference shows what the order of epochs adds.
    optimizer : torch optimizer class, default=torch.optim.Adadelta
        Optimizer of the training.
    lr : float >= 0, default=1.0
        Learning rate at the first epoch.
    max_epochs : int >= 1, default=20
        Epochs that one call of ``fit`` runs.
    batch_size : int >= 1, default=128
        Rows in a batch. Larger batches train faster and take fewer steps.
    lr_schedule : "cosine", float, callable or None, default=0.99
        Default: one per cent less at each epoch.
    validation_fraction : float in [0, 1), default=0.25
        Share of the rows on which the F1 of each epoch is measured; the epoch with the
        highest is kept. 0 trains on every row and keeps the last. Rows are split by
        class; without two rows of each class on both sides the last epoch is kept.
    random_state : int, RandomState instance or None, default=None
        Initial weights, order of rows, dropout. The same int gives the same bits on
        the CPU.
    verbose : int, default=0
        1 shows a bar, on stderr; 2 prints a row for each epoch.
    device : str, torch.device or None, default=None
        None takes CUDA if there is one.
    **kwargs : dict
        Further parameters of `NetClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The second one is what F1 is measured for: True, or 1, for noisy.
    best_epoch_ : int
        Number of the kept epoch, from 1.
    validation_scores_ : list of float
        F1 of each epoch; empty without validation rows.

    See Also
    --------
    DynaCorDetector : Needs no truth; its ``trajectories_`` are what to give as X.

    References
    ----------
    .. [1] S. Kim et al., "Learning Discriminative Dynamics with Label Corruption for
       Noisy Label Detection", CVPR 2024, Appendix B.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy import DynamicsClassifier
    >>> rng = np.random.default_rng(0)
    >>> is_noisy = rng.random(200) < 0.3
    >>> trajectories = rng.normal(np.where(is_noisy, -1, 1)[:, None], 1.0, (200, 10))
    >>> clf = DynamicsClassifier(random_state=0).fit(trajectories, is_noisy)
    >>> bool(clf.score(trajectories, is_noisy) > 0.95)
    True
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "summarize": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        module: MakerOfModules | None = None,
        *,
        summarize: bool = False,
        optimizer: ClassOf = torch.optim.Adadelta,
        lr: float = 1.0,
        max_epochs: int = 20,
        batch_size: int = 128,
        lr_schedule: LrSchedule = 0.99,
        validation_fraction: float = 0.25,
        random_state: RandomState = None,
        verbose: int = 0,
        device: Device = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            module,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr_schedule=lr_schedule,
            random_state=random_state,
            verbose=verbose,
            device=device,
            **kwargs,
        )
        self.summarize = summarize
        self.validation_fraction = validation_fraction

    def get_split_datasets(
        self, X: Any, y: Any = None, **fit_params: Any
    ) -> tuple[Any, Any]:
        """Split off the rows on which each epoch's F1 is measured."""
        if self.train_split or not self.validation_fraction:
            return super().get_split_datasets(X, y, **fit_params)
        splitter = StratifiedShuffleSplit(
            1, test_size=self.validation_fraction, random_state=self.seed_ % 2**32
        )
        try:
            train, valid = next(splitter.split(X.codes, X.codes))
        except ValueError:  # too few rows of a class to be on both sides
            return X, None
        return Subset(X, train), Subset(X, valid)

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Forget the epochs of an earlier training."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        if len(self.history) == self.epochs_before_ + 1:
            self.validation_scores_: list[float] = []

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        """Keep the epoch if its F1 is the highest so far."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        if dataset_valid is not None:
            _, codes, logits = self.eval_pass(dataset_valid, ["module"])
            predicted = logits["module"].argmax(1)
            score = f1_score(codes.cpu(), predicted.cpu(), zero_division=0.0)
            is_best = score > max(self.validation_scores_, default=-1.0)
            self.validation_scores_.append(float(score))
            if not is_best:
                return
            self.best_state_ = copy.deepcopy(self.module_.state_dict())
        self.best_epoch_ = len(self.history)

    def finish_fit(self, dataset: Any) -> None:
        """Go back to the kept epoch."""
        if self.validation_scores_:
            self.module_.load_state_dict(self.best_state_)
        super().finish_fit(dataset)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def start_fit(self, dataset: Any) -> None:
        """Refuse more than two classes, before the network is built."""
        super().start_fit(dataset)
        if len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                "multiclass: say of each row whether its label is wrong."
            )

    def initialize_module(self) -> Self:
        """Build the network, by default one for trajectories."""
        kind = self.module
        if kind is None:
            kind = MeanClassifier if self.summarize else TrajectoryClassifier
            if len(self.input_shape_) != 1:
                raise ValueError(
                    f"X has {len(self.input_shape_) + 1} dimensions: "
                    "DynamicsClassifier takes trajectories, one row for each label and "
                    "one column an epoch, such as DynaCorDetector().fit(images, y)"
                    ".trajectories_."
                )
        self.module_ = self.build("module", kind)
        return self
