"""Document 001, the appendix of "Noise attention learning" (NAL, NeurIPS 2022).

Table 2 is Clothing1M, "animal" a data set whose settings alone are there. Figures 1 to
6 show the corrected labels, 7 to 10 the accuracies over the epochs, 11 to 13 the
weights; they have no figures but those that are quoted. (Table 1 of the document
describes the data.)

    OMP_NUM_THREADS=1 python benchmarks/papers/noise_attention.py --figure 9-10
"""

from functools import partial

import numpy as np
from _data import asymmetric, symmetric
from _epochs import Attention, TrainingLosses
from _presets import NAL_ANIMAL, NAL_CIFAR, NAL_CLOTHING, PRETRAINED50
from _tables import Column, Row, Table, binned, by_epoch, histograms, lines, main
from sklearn.metrics import roc_auc_score

from sknoisy import (
    DivideMixClassifier,
    ELRClassifier,
    ELRPlusClassifier,
    NALClassifier,
    NetClassifier,
    RobustLossClassifier,
    SELCClassifier,
    TransitionMatrixDisplay,
    estimate_transition_matrix,
)

# lambda by data set and alpha: Appendix B.4.
NAL_10 = partial(NALClassifier, lam=0.5, alpha=0.9)
NAL_100 = partial(NALClassifier, lam=10.0, alpha=0.9)
NAL_1M = partial(NALClassifier, lam=50.0, alpha=0.9)
NAL_ON_MAPS = partial(NAL_10, attention="mlp", attention_input="maps")
SCE = partial(RobustLossClassifier, loss="sce")
DIVIDEMIX = partial(DivideMixClassifier, batch_size=32)
# Of the training, in figures 11 to 13.
STAGES = "first epoch", "half-way", "last epoch"


def pretrained(name, figure, make):
    """Return a row of a network that was trained on ImageNet before."""
    return Row(name, {"best": figure}, make, network=PRETRAINED50, full_only=True)


def corrected_labels(cell):
    """Compare given labels and the largest targets with the truth."""
    clf, _ = cell.fit(cell.row.make)
    y, given = cell.data[1:3]
    corrected = clf.classes_[clf.estimated_targets_.argmax(1)]
    values = {
        "given": 100 * (given == y).mean(),
        "corrected": 100 * (corrected == y).mean(),
    }
    labels = {"given": given, "corrected": corrected}
    drawn = {k: estimate_transition_matrix(y, v).tolist() for k, v in labels.items()}
    return values, drawn


def draw_matrix(ax, record, of):
    matrix = np.array(record["drawn"][of])
    TransitionMatrixDisplay(matrix).plot(ax=ax, include_values=False, colorbar=False)
    ax.set(xlabel=f"{of} label", ylabel="true label")


def accuracy_curves(cell):
    """Follow the accuracies on given training labels and on the test set."""
    recorder = TrainingLosses()
    clf, found = cell.fit(cell.row.make, callbacks=[("losses", recorder)])
    fitted = dict(clf.callbacks_)["losses"].fitted_
    values = {"fitted": fitted[-1], "best": found.max(), "last": found[-1]}
    drawn = {"train": np.round(fitted, 2).tolist(), "test": found.round(2).tolist()}
    return values, drawn


def weights(cell):
    """Follow the weights of clean and of wrong labels."""
    clf, _ = cell.fit(cell.row.make, callbacks=[("attention", Attention())])
    epochs = dict(clf.callbacks_)["attention"].tau_
    tau, is_wrong = clf.sample_weights_, cell.is_wrong
    values = {
        "clean": np.median(tau[~is_wrong]),
        "wrong": np.median(tau[is_wrong]),
        "AUROC": roc_auc_score(is_wrong, -tau),
    }
    stages = dict(zip(STAGES, (epochs[0], epochs[len(epochs) // 2], tau), strict=True))
    return values, {k: binned(v, is_wrong, 0.0, 1.0) for k, v in stages.items()}


def draw_weights(ax, record, stage):
    histograms(ax, {"drawn": record["drawn"][stage]})
    ax.set(xlabel="weight τ", xlim=(0, 1))


def curves(title, data, nal, **published):
    """Return the table of a pair of figures, train and test accuracy by epoch."""
    return Table(
        f"{title}, 40 % symmetric noise: accuracies over the epochs",
        [Column("40 %", symmetric(0.4), data)],
        [
            Row("CE", {"fitted": "100"} if published else {}, NetClassifier),
            Row("NAL", published, nal),
        ],
        NAL_CIFAR,
        measures=("fitted", "best", "last"),
        measure=accuracy_curves,
        plot=lines,
        note="fitted: share of the given training labels that is predicted at the end",
    )


TABLES = {
    "2": Table(
        "Table 2: Clothing1M, + pretrained on ImageNet, ++ from scratch",
        [Column("Clothing1M", data="clothing1m")],
        [
            pretrained("SCE+", "71.02", SCE),
            Row("SCE++", {"best": "69.40"}, SCE),
            pretrained("SELC+", "74.01", SELCClassifier),
            Row("SELC++", {"best": "72.02"}, SELCClassifier),
            pretrained("ELR+", "72.87", ELRClassifier),
            pretrained("ELR-plus+", "74.81", ELRPlusClassifier),
            Row("ELR-plus++", {"best": "72.80"}, ELRPlusClassifier),
            pretrained("DivideMix+", "74.76", DIVIDEMIX),
            Row("DivideMix++", {"best": "70.29"}, DIVIDEMIX),
            Row("NAL++", {"best": "73.58"}, NAL_1M),
        ],
        NAL_CLOTHING,
        plot=by_epoch,
        panel="column",
        note="published: the epoch that is best on clean validation rows",
    ),
    "animal": Table(
        "ANIMAL-10N, whose settings are in the document, and its figures elsewhere",
        [Column("ANIMAL-10N", data="animal10n")],
        [Row("NAL, branch on maps", {}, NAL_ON_MAPS), Row("NAL", {}, NAL_10)],
        NAL_ANIMAL,
        kind="images",
        plot=by_epoch,
        panel="column",
    ),
}
FIGURES = {
    "1-6": Table(
        "Figures 1 to 6: CIFAR-10, right labels before and after",
        [
            Column("symmetric 40 %", symmetric(0.4)),
            Column("symmetric 80 %", symmetric(0.8)),
            Column("asymmetric 40 %", asymmetric(0.4)),
        ],
        [Row("NAL", {}, NAL_10)],
        NAL_CIFAR,
        measures=("given", "corrected"),
        measure=corrected_labels,
        plot={k: partial(draw_matrix, of=k) for k in ("given", "corrected")},
    ),
    "7-8": curves("Figures 7 and 8: CIFAR-100", "cifar100", NAL_100, fitted="60"),
    "9-10": curves("Figures 9 and 10: CIFAR-10", "cifar10", NAL_10),
    "11-13": Table(
        "Figures 11 to 13: CIFAR-10, median weight after the last epoch",
        [Column("symmetric 40 %", symmetric(0.4))],
        [Row("NAL", {}, NAL_10)],
        NAL_CIFAR,
        measures=("clean", "wrong", "AUROC"),
        measure=weights,
        plot={k: partial(draw_weights, stage=k) for k in STAGES},
    ),
}

if __name__ == "__main__":
    main(__file__, TABLES, FIGURES)
