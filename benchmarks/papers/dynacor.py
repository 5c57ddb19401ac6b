"""Document 000, the supplement of DynaCor (CVPR 2024).

Table 7 is classifiers on Clothing1M before and after cleaning. Figures 5 and 6 are the
F1 of supervised classifiers of training dynamics, by signal, of pictures without
readable figures. Tables 5 and 6 are settings and definitions; the F1 of DynaCor itself
stand in the main paper, which is not among the documents: "detection" prints ours.

    OMP_NUM_THREADS=1 python benchmarks/papers/dynacor.py --table 7
"""

from functools import partial

import numpy as np
from _data import asymmetric, instance, symmetric
from _presets import DYNACOR_CLIP, DYNACOR_CLOTHING
from _tables import Column, Row, Table, binned, histograms, main
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import train_test_split

from sknoisy import (
    AUMDetector,
    CORESDetector,
    DynaCorDetector,
    DynamicsClassifier,
    ELRClassifier,
    NetClassifier,
    RobustLossClassifier,
)
from sknoisy.nets import DynamicsRecorder

# As in the paper: the detector of the supplement, and its decision.
PAPER = partial(
    DynaCorDetector, settings="paper", corruption="copy", decision="cluster"
)
NOISES = [
    Column("symmetric 60 %", symmetric(0.6, "exclude")),
    Column("asymmetric 40 %", asymmetric(0.4)),
    Column("instance 30 %", instance(0.3)),
    Column("human 40 %", data="clothing1m"),
]


def paper_detector(cell):
    """Return the detector of the paper, at "full" with the network of the table."""
    if cell.args.scale != "full":
        # Features have no second view.
        return PAPER(copy_view=None, random_state=cell.seed)
    return DynaCorDetector(
        corruption="copy",
        decision="cluster",
        alignment_weight=0.5,
        lr=cell.preset.lr,
        max_epochs=cell.epochs,
        batch_size=cell.batch_size,
        random_state=cell.seed,
        **cell.network(),
    )


def cleansed(cell):
    """Measure the test accuracy, with the rows that the detector flags or without."""
    rows = slice(None)
    if cell.row.options:
        X, _, y, _, _ = cell.data
        detector = paper_detector(cell).fit(X, y)
        rows = np.flatnonzero(~detector.noise_mask_)
    _, found = cell.fit(cell.row.make, rows=rows)
    return {"best": found.max(), "last": found[-1]}, {}


def supervised(cell):
    """Measure the F1 of a classifier that was taught on dynamics with known labels."""
    options = cell.row.options
    recorder = DynamicsRecorder(options["signal"])
    clf, _ = cell.fit(NetClassifier, callbacks=[("dynamics", recorder)])
    trajectories = dict(clf.callbacks_)["dynamics"].trajectories_
    is_wrong = cell.is_wrong
    # A fifth tests, a fifth says when to stop: the source does not print its shares.
    train, test = train_test_split(
        np.arange(len(is_wrong)),
        test_size=0.2,
        stratify=is_wrong,
        random_state=cell.seed,
    )
    judge = DynamicsClassifier(
        summarize=options.get("summarize", False), random_state=cell.seed
    )
    judge.fit(trajectories[train], is_wrong[train])
    found = judge.predict(trajectories[test])
    drawn = binned(trajectories.mean(1), is_wrong)
    return {"F1": 100 * f1_score(is_wrong[test], found)}, drawn


def detection(cell):
    """Measure the AUROC of the scores and the F1 of the decision."""
    X, _, y, _, _ = cell.data
    detector = cell.row.make(random_state=cell.seed)
    if "copy_view" in detector.get_params():
        # Features have no second view.
        detector.set_params(copy_view=None)
    detector.fit(X, y)
    return {
        "F1": 100 * f1_score(cell.is_wrong, detector.noise_mask_),
        "AUROC": roc_auc_score(cell.is_wrong, detector.noise_scores_),
    }, binned(detector.noise_scores_, cell.is_wrong)


def signal(name, kind, **options):
    return Row(name, {}, NetClassifier, options={"signal": kind, **options})


LOSSES = {
    "GCE": (partial(RobustLossClassifier, loss="gce"), "71.82", "72.23"),
    "SCE": (partial(RobustLossClassifier, loss="sce"), "71.75", "72.37"),
    "ELR": (ELRClassifier, "72.57", "73.06"),
}
TABLES = {
    "7": Table(
        "Table 7: Clothing1M before and after cleaning",
        [Column("Clothing1M", data="clothing1m")],
        [
            row
            for name, (make, original, clean) in LOSSES.items()
            for row in (
                Row(f"{name}, original", {"best": original}, make),
                Row(f"{name}, cleansed", {"best": clean}, make, options={"clean": 1}),
            )
        ],
        DYNACOR_CLOTHING,
        measure=cleansed,
    ),
    "detection": Table(
        "Detection with the settings of the supplement (no figures in the document)",
        NOISES,
        [
            Row("DynaCor, as the paper", {}, PAPER),
            Row("DynaCor, default", {}, DynaCorDetector),
            Row("AUM", {}, AUMDetector),
            Row("CORES2", {}, CORESDetector),
        ],
        DYNACOR_CLIP,
        measures=("F1", "AUROC"),
        measure=detection,
    ),
}
FIGURES = {
    "5": Table(
        "Figure 5: F1 of classifiers of dynamics, and of their mean",
        NOISES,
        [
            signal("Prob., dynamics", "probability"),
            signal("Prob., summarized", "probability", summarize=True),
            signal("Logit diff., dynamics", "logit_diff"),
            signal("Logit diff., summarized", "logit_diff", summarize=True),
        ],
        DYNACOR_CLIP,
        measures=("F1",),
        measure=supervised,
        plot=histograms,
        note="the paper has CIFAR-100; the picture is of the means",
    ),
    "6": Table(
        "Figure 6: F1 of classifiers of dynamics by signal",
        NOISES,
        [
            signal("Loss", "loss"),
            signal("Probability", "probability"),
            signal("Probability difference", "prob_diff"),
            signal("Logit difference", "logit_diff"),
            signal("Alignment of pre-logits", "alignment"),
        ],
        DYNACOR_CLIP,
        measures=("F1",),
        measure=supervised,
        note="the paper has CIFAR-100",
    ),
}

if __name__ == "__main__":
    main(__file__, TABLES, FIGURES)
