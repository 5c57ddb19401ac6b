"""Document 000, the supplement of DynaCor (CVPR 2024).

Table 7 is classifiers on Clothing1M before and after cleaning. Figures 5 and 6 are the
F1 of supervised classifiers of training dynamics, by signal, of pictures without
readable figures. Tables 5 and 6 are settings and definitions; the F1 of DynaCor itself
stand in the main paper, which is not among the documents: "detection" prints ours.
Table "D" is Appendix D on other data and with two more methods, and "sensitivity"
changes one parameter of the detector at a time; the document has neither.

    OMP_NUM_THREADS=1 python benchmarks/papers/dynacor.py --table 7
"""

from functools import partial

import numpy as np
from _data import asymmetric, instance, pair_flip, symmetric
from _pictures import bars
from _presets import DYNACOR_CLIP, DYNACOR_CLOTHING
from _tables import Column, Row, Table, main
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import train_test_split

from sknoisy import (
    AUMDetector,
    CORESDetector,
    DivideMixClassifier,
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
# In no paper: stronger features with human labels, two tables, and a crowd's labels.
OTHERS = [
    Column("strong, human", "y_worse", "cifar10n_efficientnet"),
    Column("letters, sym. 30 %", symmetric(0.3, "exclude"), "uci_letter"),
    Column("beans, pairs 30 %", pair_flip(0.3), "uci_drybean"),
    Column("music, one worker", "y_one", "crowd_music"),
]
SIGNALS = {
    "Loss": "loss",
    "Probability": "probability",
    "Probability difference": "prob_diff",
    "Logit difference": "logit_diff",
    "Alignment of pre-logits": "alignment",
}


def paper_detector(cell, **params):
    """Return the detector of the paper, at "full" with the network of the table."""
    if cell.args.scale != "full":
        # Features have no second view.
        return PAPER(copy_view=None, random_state=cell.seed, **params)
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


_FOUND = {}


def once(cell, what, compute):
    """Return what several rows of a table need of the same data, computed once."""
    key = what, cell.column, cell.seed, cell.epochs
    if key not in _FOUND:
        _FOUND[key] = compute(cell)
    return _FOUND[key]


def kept_by_paper(cell):
    """Return the rows that the detector of the paper does not flag."""
    return kept_by(paper_detector(cell), cell)


def kept_by_default(cell):
    """Return the rows that the detector does not flag with its defaults."""
    return kept_by(DynaCorDetector(random_state=cell.seed), cell)


def kept_by(detector, cell):
    X, _, y, _, _ = cell.data
    return np.flatnonzero(~detector.fit(X, y).noise_mask_)


def cleansed(cell):
    """Measure the test accuracy, with the rows that the detector flags or without."""
    rows, values = slice(None), {}
    clean = cell.row.options.get("clean")
    if clean is not None:
        rows = once(cell, clean.__name__, clean)
        values["kept"] = 100 * len(rows) / len(cell.data[0])
        values["wrong"] = 100 * cell.is_wrong[rows].mean()
    _, found = cell.fit(cell.row.make, rows=rows)
    return {"best": found.max(), "last": found[-1], **values}, {}


def trajectories(cell):
    """Return the trajectories of all signals, of one training."""
    recorders = [(name, DynamicsRecorder(name)) for name in SIGNALS.values()]
    clf, _ = cell.fit(NetClassifier, callbacks=recorders)
    made = dict(clf.callbacks_)
    return {name: made[name].trajectories_ for name in SIGNALS.values()}


def supervised(cell):
    """Measure the F1 of a classifier that was taught on dynamics with known labels."""
    options = cell.row.options
    rows = once(cell, "trajectories", trajectories)[options["signal"]]
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
    judge.fit(rows[train], is_wrong[train])
    found = judge.predict(rows[test])
    return {"F1": 100 * f1_score(is_wrong[test], found)}, {}


def detection(cell):
    """Measure the AUROC of the scores and the F1 of the decision."""
    X, _, y, _, _ = cell.data
    detector = cell.row.make(random_state=cell.seed)
    if "copy_view" in detector.get_params():
        # Features have no second view.
        detector.set_params(copy_view=None)
    return found_by(detector.fit(X, y), cell)


def sensitivity(cell):
    """Do so with the detector of the paper, and one parameter that differs."""
    X, _, y, _, _ = cell.data
    return found_by(paper_detector(cell, **cell.row.options).fit(X, y), cell)


def found_by(detector, cell):
    return {
        "F1": 100 * f1_score(cell.is_wrong, detector.noise_mask_),
        "AUROC": roc_auc_score(cell.is_wrong, detector.noise_scores_),
    }, {}


def signal(name, kind, **options):
    return Row(name, {}, NetClassifier, options={"signal": kind, **options})


def changed(name, **params):
    return Row(name, {}, PAPER, options=params)


LOSSES = {
    "CE": (NetClassifier, "-", "-"),
    "GCE": (partial(RobustLossClassifier, loss="gce"), "71.82", "72.23"),
    "SCE": (partial(RobustLossClassifier, loss="sce"), "71.75", "72.37"),
    "ELR": (ELRClassifier, "72.57", "73.06"),
    "DivideMix": (DivideMixClassifier, "-", "-"),
}


def cleaning(is_published):
    """Return the rows of the losses, each before and after cleaning."""
    rows = []
    for name, (make, original, clean) in LOSSES.items():
        published = [
            {"best": text} if is_published else {} for text in (original, clean)
        ]
        by_paper, by_default = (
            {"clean": how} for how in (kept_by_paper, kept_by_default)
        )
        rows += [
            Row(f"{name}, original", published[0], make),
            Row(f"{name}, cleansed", published[1], make, options=by_paper),
        ]
        if not is_published:
            rows.append(Row(f"{name}, default", {}, make, options=by_default))
    return rows


TABLES = {
    "7": Table(
        "Table 7: Clothing1M before and after cleaning",
        [Column("Clothing1M", data="clothing1m")],
        cleaning(True),
        DYNACOR_CLOTHING,
        measure=cleansed,
    ),
    "D": Table(
        "Appendix D on other data (no figures in the document)",
        [NOISES[0], *OTHERS[:3]],
        cleaning(False),
        DYNACOR_CLIP,
        measures=("last", "kept", "wrong"),
        measure=cleansed,
        note="cleansed by the detector of the paper, or by ours at its defaults; "
        "% of the rows that are kept, and % of wrong labels among them",
    ),
    "sensitivity": Table(
        "The detector of the supplement, one parameter changed (not in the document)",
        NOISES,
        [
            changed("as the paper"),
            *(changed(f"alpha {a:g}", alignment_weight=a) for a in (0.0, 0.05, 2.0)),
            *(changed(f"gamma {g:g}", corruption_rate=g) for g in (0.05, 0.2, 0.5)),
            *(
                changed(name, signal=kind)
                for name, kind in SIGNALS.items()
                if kind != "logit_diff"
            ),
        ],
        DYNACOR_CLIP,
        measures=("F1", "AUROC"),
        measure=sensitivity,
        chart=bars,
        note="the paper: alpha 0.5, gamma 0.1, logit difference",
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
        [*NOISES, *OTHERS],
        [
            signal("Prob., dynamics", "probability"),
            signal("Prob., summarized", "probability", summarize=True),
            signal("Logit diff., dynamics", "logit_diff"),
            signal("Logit diff., summarized", "logit_diff", summarize=True),
        ],
        DYNACOR_CLIP,
        measures=("F1",),
        measure=supervised,
        chart=bars,
        note="the paper has CIFAR-100",
    ),
    "6": Table(
        "Figure 6: F1 of classifiers of dynamics by signal",
        [*NOISES, *OTHERS],
        [signal(name, kind) for name, kind in SIGNALS.items()],
        DYNACOR_CLIP,
        measures=("F1",),
        measure=supervised,
        chart=bars,
        note="the paper has CIFAR-100",
    ),
}

if __name__ == "__main__":
    main(__file__, TABLES, FIGURES)
