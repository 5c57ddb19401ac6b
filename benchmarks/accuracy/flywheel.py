"""LNL-flywheel beside other robust classifiers, its ablations, and what it finds.

Rows are kinds of noise on 512 features of CIFAR-10 images, columns are test accuracies
after the best and after the last epoch, the AUROC with which ``noise_scores_`` find the
wrong labels, their mean minus the true noise rate, the share of right labels among the
refurbished ones (of the predicted ones, for others), how far the estimated corruption
matrix is from the true one (total variation of the wrong labels of a class, mean over
the classes), and seconds of CPU time. Symmetric noise is drawn with the "include"
convention of the source: 0.8 on ten classes makes 72 % of the labels wrong.

Below follow, for each epoch, the AUROC of clean-sample selection, by flywheel and by a
mixture fitted to the losses of the same network trained with cross-entropy, and the
share of right labels among the refurbished ones (Figure 5 of the source).

The claims that are printed as checks: the last epoch of flywheel is ahead of that of
cross-entropy on every row, and first or within half a point of the first on six of
nine; it falls by at most a point from its best; it selects clean samples better than
the mixture of losses on every row.

Needs ``shared/data/cifar10_features.npz`` beside the repository, or ``--data``.
Default: 10,000 rows, 10,000 test rows, 20 epochs, one seed, two processes. ``--full``:
three seeds.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/flywheel.py
"""

from functools import partial

import numpy as np
from _baselines import show_tuned
from _features import instance, pair_flip, parse, run, symmetric
from _selection import Selection
from sklearn.metrics import roc_auc_score

from sknoisy import (
    DynamicBootstrapClassifier,
    ELRClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
    estimate_transition_matrix,
)

NOISES = {
    "symmetric 0.2": symmetric(0.2),
    "symmetric 0.5": symmetric(0.5),
    "symmetric 0.8": symmetric(0.8),
    "symmetric 0.9": symmetric(0.9),
    "pair flip 0.4": pair_flip(0.4),
    "instance 0.2": instance(0.2),
    "instance 0.4": instance(0.4),
    "instance 0.6": instance(0.6),
    "worse (human)": "y_worse",
}


class Unguarded(FlywheelClassifier):
    """Has λ outweigh the labels also where there is no auxiliary network."""

    def initialize_criterion(self):
        """Have λ stand in each cycle."""
        super().initialize_criterion()
        self.criterion_["cycles"]._weight_of_regulariser = lambda: self.lam_
        return self


METHODS = {
    "CE": NetClassifier,
    "CE plain": partial(
        NetClassifier, module__dropout=0.0, optimizer__weight_decay=0.0
    ),
    "CE, lr 0.02": partial(NetClassifier, lr=0.02),
    "ELR": ELRClassifier,
    "NAL": NALClassifier,
    "M-DYR-H": DynamicBootstrapClassifier,
    "flywheel": FlywheelClassifier,
    "  no regulariser": partial(FlywheelClassifier, lam=0.0),
    "  no resampling": partial(FlywheelClassifier, resample=False),
    "  fixed epsilon": partial(FlywheelClassifier, epsilon="uniform"),
    "  no contrast": partial(FlywheelClassifier, contrastive_weight=0.0),
    "  classes contrast": partial(FlywheelClassifier, contrast="classes"),
    "  no auxiliary": partial(FlywheelClassifier, auxiliary=False),
    "  alone, lam 0": partial(FlywheelClassifier, auxiliary=False, lam=0.0),
    "  alone, lam 3": partial(Unguarded, auxiliary=False),
    "  no prior": partial(FlywheelClassifier, prior_weight=0.0),
}
COLUMNS = ("best", "last", "AUROC", "rate-", "labels", "T_c", "CPU s")
# The network whose losses a mixture splits: trained as flywheel's in its warm-up.
SMALL_LOSS = "CE, lr 0.02"


def watch(make, callbacks, **params):
    """Make a classifier whose cycles are recorded."""
    return make(callbacks=[*callbacks, ("selection", Selection())], **params)


def judge(clf, accuracies, seconds, data):
    X, y, y_noisy, _, _ = data
    is_wrong = y != y_noisy
    cells = [max(accuracies), accuracies[-1]]
    if hasattr(clf, "noise_scores_"):
        auroc = roc_auc_score(is_wrong, clf.noise_scores_)
        cells += [auroc, clf.noise_rate_ - is_wrong.mean()]
    else:
        proba = clf.predict_proba(X)[np.arange(len(y)), y_noisy]
        cells += [roc_auc_score(is_wrong, 1 - proba), np.nan]
    labels = getattr(clf, "refurbished_labels_", None)
    labels = clf.predict(X) if labels is None else labels
    cells += [(labels == y).mean(), corruption_error(clf, y, y_noisy), seconds]
    selection = dict(clf.callbacks_)["selection"]
    aurocs = [roc_auc_score(is_wrong, scores) for scores in selection.scores_]
    right = [(labels == y).mean() for labels in selection.labels_]
    return [*cells, *aurocs, *right]


def corruption_error(clf, y, y_noisy):
    if not hasattr(clf, "corruption_matrix_"):
        return np.nan
    found = spread_of_wrong(clf.corruption_matrix_)
    true = spread_of_wrong(estimate_transition_matrix(y, y_noisy))
    return np.abs(found - true).sum(1).mean() / 2


def spread_of_wrong(T):
    """Return the distribution of the wrong labels of each class.

    Corrupt labels that are right by chance cannot be told from clean ones, so the
    diagonal says nothing.
    """
    T = T * (1 - np.eye(len(T)))
    return T / T.sum(1, keepdims=True)


def main():
    args = parse(
        __doc__.split("\n")[0], rows=10_000, test=10_000, epochs=20, seeds=1, jobs=2
    )
    print(" " * 34 + "".join(f"{name:>8s}" for name in COLUMNS))
    methods = {name: partial(watch, make) for name, make in METHODS.items()}
    found = {}
    for noise, method, cells in run(NOISES, methods, judge, args):
        found[noise, method] = mean = cells.mean(0)
        values = "".join(f"{value:8.3f}" for value in mean[:6])
        spread = f" +-{cells[:, 1].std():.3f}" if args.seeds > 1 else ""
        print(f"{noise:16s} {method:17s}{values}{mean[6]:8.1f}{spread}", flush=True)
    if not args.method:
        show_tuned(NOISES, args)
    if not args.only and not args.method:
        print_epochs(found, args.epochs)
        check(found, args.epochs)


def print_epochs(found, n_epochs):
    epochs = np.unique(np.linspace(0, n_epochs - 1, 10).astype(int))
    print("\nby epoch" + " " * 46 + "".join(f"{epoch + 1:6d}" for epoch in epochs))
    for noise in NOISES:
        for method, what, start in (
            ("flywheel", "AUROC of selection", 7),
            (SMALL_LOSS, "AUROC of the mixture of losses", 7),
            ("flywheel", "right refurbished labels", 7 + n_epochs),
        ):
            row = found[noise, method][start:][epochs]
            values = "".join(f"{value:6.3f}" for value in row)
            print(f"{noise:16s} {method:12s}{what:>31s} {values}")


def check(found, n_epochs):
    print("\nclaims, in points of test accuracy; AUROC of selection")
    n_first = 0
    for noise in NOISES:
        ours = found[noise, "flywheel"]
        rivals = {name: found[noise, name][1] for name in METHODS if name[0] != " "}
        first = max(rivals, key=rivals.get)
        n_first += rivals["flywheel"] >= rivals[first] - 0.005
        losses = found[noise, SMALL_LOSS][7 : 7 + n_epochs]
        print(
            f"{noise:16s} last - CE last {100 * (ours[1] - rivals['CE']):+5.1f}, - the "
            f"first ({first}) {100 * (ours[1] - rivals[first]):+5.1f}, - its best "
            f"{100 * (ours[1] - ours[0]):+5.1f}; AUROC {ours[2]:.3f}, mixture of "
            f"losses {losses[-1]:.3f} last, {losses.max():.3f} best"
        )
    print(f"first or within 0.5 points of it: {n_first} of {len(NOISES)}")


if __name__ == "__main__":
    main()
