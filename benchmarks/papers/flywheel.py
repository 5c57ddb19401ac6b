"""Document 004, "LNL-flywheel".

Tables 1 (CIFAR, symmetric and asymmetric noise), 2 (instance-dependent), 3
(Tiny-ImageNet), 4 (Clothing1M), 5 (WebVision), 6 (ablations) and 7 (seconds); figure 3
is the corruption matrices, figure 4 maps of the features of the test rows, figure 5
selection and refurbishment over the epochs.
Symmetric noise keeps a label by chance.

    OMP_NUM_THREADS=1 python benchmarks/papers/flywheel.py --table 6
"""

import time
from functools import partial

import numpy as np
from _data import asymmetric, instance, symmetric
from _pictures import points
from _presets import (
    FLYWHEEL_CIFAR,
    FLYWHEEL_CLOTHING,
    FLYWHEEL_TINY_IMAGENET,
    FLYWHEEL_WEBVISION,
)
from _selection import Selection
from _tables import Column, Row, Table, lines, main
from sklearn.manifold import TSNE
from sklearn.metrics import roc_auc_score, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from sknoisy import (
    CORESClassifier,
    CoTeachingPlusClassifier,
    DivideMixClassifier,
    DynamicBootstrapClassifier,
    ELRPlusClassifier,
    FlywheelClassifier,
    JoCoRClassifier,
    NetClassifier,
    PENCILClassifier,
    RobustLossClassifier,
    TransitionCorrectionClassifier,
    TransitionMatrixDisplay,
    UNICONClassifier,
    estimate_transition_matrix,
)

FLYWHEEL = FlywheelClassifier
MIXUP = partial(DynamicBootstrapClassifier, weights=None, mixup="static")
# The warm-up of the preset is that of this paper; these have their own.
OWN = {"warmup_epochs": "auto"}
M_CORRECTION = partial(DynamicBootstrapClassifier, **OWN)
PEER = partial(RobustLossClassifier, loss="peer", **OWN)
# Its loss needs a few rows of each class in a batch.
LDMI = partial(RobustLossClassifier, loss="dmi", batch_size=128, **OWN)
CORES = partial(CORESClassifier, **OWN)
# Importance reweighting with a revised matrix.
REWEIGHT_R = partial(TransitionCorrectionClassifier, correction="reweight", revise=True)
PENCIL = partial(PENCILClassifier, **OWN)
CO_TEACHING_PLUS = partial(CoTeachingPlusClassifier, **OWN)
UNICON = partial(UNICONClassifier, unlabeled_weight=30.0, **OWN)
KINDS = [f"sym {n}" for n in (20, 50, 80, 90)] + [f"asym {n}" for n in (10, 30, 40)]


def noisy(kind, data):
    """Return a column of "sym 20", "asym 30" or "inst 40" and a data set."""
    name, percent = kind.split()
    confused = partial(asymmetric, mapping=data)
    make = {"sym": symmetric, "inst": instance, "asym": confused}[name]
    return Column(f"C{data[5:]} {kind}", make(int(percent) / 100), data)


def both(kinds):
    """Return the columns of CIFAR-10, then those of CIFAR-100."""
    return [noisy(kind, data) for data in ("cifar10", "cifar100") for kind in kinds]


def last(name, text, make=None, **more):
    """Return a row of a table with one figure a column."""
    return Row(name, {"best": text} if text else {}, make, **more)


def ablation(name, text, **params):
    return last(name, text, partial(FLYWHEEL, **params))


def seconds(cell):
    """Measure an epoch, and the prediction of the test rows."""
    start = time.perf_counter()
    clf, _ = cell.fit(cell.row.make)
    training = time.perf_counter() - start
    start = time.perf_counter()
    clf.predict(cell.data[3])
    test = time.perf_counter() - start
    # Each epoch ended with a prediction of the test rows.
    return {"train": training / cell.epochs - test, "test": test}, {}


def corruption(cell):
    """Compare the estimated corruption matrix with the true one, off the diagonal."""
    clf, _ = cell.fit(cell.row.make)
    true, found = (
        _off_diagonal(T)
        for T in (estimate_transition_matrix(*cell.data[1:3]), clf.corruption_matrix_)
    )
    error = np.abs(found - true).sum(1).mean() / 2
    uniform = np.abs(_off_diagonal(np.ones_like(true)) - true).sum(1).mean() / 2
    drawn = {"matrix": found.round(4).tolist()}
    return {"error": error, "uniform": uniform}, drawn


def _off_diagonal(T):
    """Return the distribution of the wrong labels of each class."""
    T = T * (1 - np.eye(len(T)))
    return T / np.maximum(T.sum(1, keepdims=True), 1e-12)


def draw_matrix(ax, record):
    matrix = np.array(record["drawn"]["matrix"])
    TransitionMatrixDisplay(matrix).plot(ax=ax, include_values=False, colorbar=False)


def draw_shares(ax, record):
    """Draw them on one scale."""
    lines(ax, record)
    ax.set(ylim=(0, 1), ylabel="AUROC, share of rows")


def selection(cell):
    """Follow the AUROC of clean samples, and the share of right labels."""
    clf, _ = cell.fit(cell.row.make, callbacks=[("selection", Selection())])
    kept = dict(clf.callbacks_)["selection"]
    y = cell.data[1]
    aurocs = [roc_auc_score(cell.is_wrong, scores) for scores in kept.scores_]
    right = [float((clf.classes_[labels] == y).mean()) for labels in kept.labels_]
    values = {"AUROC": aurocs[-1], "right": 100 * right[-1]}
    drawn = {"AUROC of selection": aurocs, "right labels": right}
    return values, {name: np.round(v, 4).tolist() for name, v in drawn.items()}


def top_5(cell):
    """Measure the test accuracies, and that of the five most probable classes."""
    clf, found = cell.fit(cell.row.make)
    X_test, y_test = cell.data[3:]
    proba = clf.predict_proba(X_test)
    top = 100 * top_k_accuracy_score(y_test, proba, k=5, labels=clf.classes_)
    return {"best": found.max(), "last": found[-1], "top-5": top}, {}


# A map of more points takes minutes and is too full to read.
N_MAPPED = 2_000


def tsne(cell):
    """Map the features of test rows to the plane, and ask each row's nearest five."""
    clf, found = cell.fit(cell.row.make)
    X_test, y_test = (part[:N_MAPPED] for part in cell.data[3:])
    features = np.asarray(clf.transform(X_test))
    mapped = TSNE(random_state=cell.seed).fit_transform(features)
    # Without X a row is not its own neighbour.
    near = KNeighborsClassifier().fit(mapped, y_test).kneighbors(return_distance=False)
    same = 100 * (y_test[near] == y_test[:, None]).mean()
    x, y = mapped.T.round(2).tolist()
    drawn = {"x": x, "y": y, "class": np.asarray(y_test).tolist()}
    return {"same": same, "last": found[-1]}, drawn


def webvision(name, top_1, top_5, make=None):
    return Row(name, {"best": top_1, "top-5": top_5}, make)


TABLES = {
    "1": Table(
        "Table 1: symmetric and asymmetric noise",
        both(KINDS),
        [
            last(
                "LDMI",
                "88.3 81.2 43.7 36.9 91.1 91.2 84.0 58.8 51.8 27.9 13.7 68.1 54.1 46.2",
                LDMI,
            ),
            last(
                "MixUp",
                "95.6 87.1 71.6 52.2 93.3 83.3 77.7 67.8 57.3 30.8 14.6 72.4 57.6 48.1",
                MIXUP,
            ),
            last(
                "JPL",
                "93.5 90.2 35.7 23.4 94.2 92.5 90.7 70.9 67.7 17.8 12.8 72.0 68.1 59.5",
            ),
            last(
                "PENCIL",
                "92.4 89.1 77.5 58.9 93.1 92.9 91.6 69.4 57.5 31.1 15.3 76.0 59.3 48.3",
                PENCIL,
            ),
            last(
                "MOIT",
                "94.1 91.1 75.8 70.1 94.2 94.1 93.2 75.9 70.1 51.4 24.5 77.4 75.1 74.0",
            ),
            last(
                "DivideMix",
                "96.1 94.6 93.2 76.0 93.8 92.5 91.7 77.3 74.6 60.2 31.5 71.6 69.5 55.1",
                DivideMixClassifier,
            ),
            last(
                "Sel-CL+",
                "95.5 93.9 89.2 81.9 95.6 94.5 93.4 76.5 72.4 59.6 48.8 78.7 76.4 74.2",
            ),
            # The figures of this row are those of ELR+ in its own paper.
            last(
                "ELR",
                "95.8 94.8 93.3 78.7 95.4 94.7 93.0 77.6 73.5 60.8 33.4 77.3 74.6 73.2",
                ELRPlusClassifier,
            ),
            last("SFT", "- 94.9 - - - - 93.7 - 75.2 - - - - 74.9"),
            last(
                "UNICON",
                "96.0 95.6 93.9 90.8 95.3 94.8 94.1 78.9 77.6 63.9 44.8 78.2 75.6 74.8",
                UNICON,
            ),
            last(
                "LNL-flywheel",
                "97.0 96.7 95.9 94.4 97.3 96.6 96.2 79.7 77.7 71.9 58.8 80.9 79.1 78.6",
                FLYWHEEL,
            ),
        ],
        FLYWHEEL_CIFAR,
    ),
    "2": Table(
        "Table 2: instance-dependent noise",
        both(["inst 20", "inst 40", "inst 60"]),
        [
            last(
                "Co-teaching+",
                "89.8 73.8 59.2 41.7 24.5 12.6",
                CO_TEACHING_PLUS,
            ),
            last("JoCoR", "88.8 71.6 63.5 43.7 24.0 13.1", JoCoRClassifier),
            last("Reweight-R", "90.0 84.1 72.2 58.0 43.8 36.1", REWEIGHT_R),
            last("Peer loss", "89.1 83.3 74.5 61.2 47.2 31.7", PEER),
            last("CORES2", "91.1 83.7 77.7 66.5 59.0 38.6", CORES),
            last("CAL", "92.0 85.0 79.8 69.1 63.2 43.6"),
            last("kMEIDTM", "92.3 85.9 - 69.2 66.8 -"),
            last("SFT", "91.4 90.0 - 71.8 69.9 -"),
            last("InstanceGM", "96.7 96.4 - 79.7 78.5 -"),
            last("LNL-flywheel", "96.7 96.8 96.1 79.8 77.9 76.2", FLYWHEEL),
        ],
        FLYWHEEL_CIFAR,
    ),
    "3": Table(
        "Table 3: Tiny-ImageNet, symmetric noise, best and mean of the last 10 epochs",
        [
            Column(f"{rate} %", symmetric(rate / 100), "tiny-imagenet")
            for rate in (0, 20, 50)
        ],
        [
            Row(name, {"best": best, "last 10": mean}, make)
            for name, best, mean, make in (
                (
                    "F-correction",
                    "- 44.5 33.1",
                    "- 44.4 32.8",
                    TransitionCorrectionClassifier,
                ),
                ("MentorNet", "- 45.7 35.8", "- 45.5 35.5", None),
                (
                    "Co-teaching+",
                    "52.4 48.2 41.8",
                    "52.1 47.7 41.2",
                    CO_TEACHING_PLUS,
                ),
                ("M-correction", "57.7 57.2 51.6", "57.2 56.6 51.3", M_CORRECTION),
                ("NCT", "62.4 58.0 47.8", "61.5 57.2 47.4", None),
                ("UNICON", "63.1 59.2 52.7", "62.7 58.4 52.4", UNICON),
                ("LNL-flywheel", "63.1 60.3 53.4", "62.7 60.0 53.0", FLYWHEEL),
            )
        ],
        FLYWHEEL_TINY_IMAGENET,
        measures=("best", "last 10"),
    ),
    "4": Table(
        "Table 4: Clothing1M",
        [Column("Clothing1M", data="clothing1m")],
        [
            last("PENCIL", "73.49", PENCIL),
            last("JPL", "74.15"),
            last("InstanceGM", "74.40"),
            last("DivideMix", "74.76", DivideMixClassifier),
            last("ELR", "74.81", ELRPlusClassifier),
            last("UNICON", "74.98", UNICON),
            last("SFT", "75.08"),
            last("LNL-flywheel", "75.04", FLYWHEEL),
        ],
        FLYWHEEL_CLOTHING,
    ),
    "5": Table(
        "Table 5: WebVision, top-1 of the best epoch and top-5 of the last",
        [Column("WebVision", data="webvision")],
        [
            webvision("Iterative-CV", "65.24", "85.34"),
            webvision("DivideMix", "77.32", "91.64", DivideMixClassifier),
            webvision("ELR", "77.78", "91.68", ELRPlusClassifier),
            webvision("MOIT", "78.76", "-"),
            webvision("UNICON", "77.60", "93.44", UNICON),
            webvision("NGC", "79.16", "91.84"),
            webvision("Sel-CL+", "79.96", "92.64"),
            webvision("LNL-flywheel", "80.96", "93.56", FLYWHEEL),
        ],
        FLYWHEEL_WEBVISION,
        measures=("best", "top-5"),
        measure=top_5,
    ),
    "6": Table(
        "Table 6: without parts of the method",
        both(["sym 80", "sym 90", "asym 40"]),
        [
            ablation("w/o CR", "92.3 87.5 88.8 65.9 46.2 64.0", lam=0.0),
            ablation("w/o Aux", "95.6 91.5 90.3 40.6 35.7 56.6", auxiliary=False),
            ablation("not resampled", "", resample=False),
            ablation(
                "epsilon fixed", "95.8 92.0 94.4 72.3 55.5 72.6", epsilon="uniform"
            ),
            ablation("w/o CL", "95.7 94.6 96.3 71.4 57.4 78.6", contrastive_weight=0.0),
            ablation("CL by classes", "", contrast="classes"),
            ablation("full", "95.9 94.4 96.2 71.9 58.8 78.6"),
        ],
        FLYWHEEL_CIFAR,
    ),
    "7": Table(
        "Table 7: CIFAR-10, seconds of an epoch, and of the test rows",
        [noisy("sym 50", "cifar10")],
        [
            Row("DivideMix", {"train": "59.93", "test": "1.7423"}, DivideMixClassifier),
            Row("UNICON", {"train": "74.39", "test": "1.6947"}, UNICON),
            Row("LNL-flywheel", {"train": "57.11", "test": "0.9720"}, FLYWHEEL),
        ],
        FLYWHEEL_CIFAR,
        measures=("train", "test"),
        measure=seconds,
    ),
}
FIGURES = {
    "3": Table(
        "Figure 3: corruption matrices",
        [noisy(kind, "cifar10") for kind in ("sym 50", "asym 40")],
        [Row("LNL-flywheel", {}, FLYWHEEL)],
        FLYWHEEL_CIFAR,
        measures=("error", "uniform"),
        measure=corruption,
        plot=draw_matrix,
        note="distance of the wrong labels of a class from the truth, of a uniform one",
    ),
    "4": Table(
        "Figure 4: CIFAR-10, t-SNE of the features of test rows",
        [noisy("sym 90", "cifar10")],
        [
            Row("CE", {}, NetClassifier),
            Row("DivideMix", {}, DivideMixClassifier),
            Row("UNICON", {}, UNICON),
            Row("LNL-flywheel", {}, FLYWHEEL),
        ],
        FLYWHEEL_CIFAR,
        measures=("same", "last"),
        measure=tsne,
        plot=points,
        note="same: % of the five nearest rows of the map that have the same class",
    ),
    "5": Table(
        "Figure 5: CIFAR-10, selection and refurbishment after the last epoch",
        [noisy("sym 90", "cifar10")],
        [
            Row("CE and a loss mixture", {}, NetClassifier),
            Row("LNL-flywheel", {}, FLYWHEEL),
        ],
        FLYWHEEL_CIFAR,
        measures=("AUROC", "right"),
        measure=selection,
        plot=draw_shares,
        note="AUROC of the wrong labels; right: % of the refurbished labels",
    ),
}

if __name__ == "__main__":
    main(__file__, TABLES, FIGURES)
