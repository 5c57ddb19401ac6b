"""Document 002, a report on "Unsupervised label noise modeling and loss correction".

Tables 1 and 2 are CIFAR-10, table 3 is Tiny-ImageNet with a frozen network, figures 1
and 2 the losses of clean and wrong labels. "variants" are methods that the document
describes without a figure, "tuned" plain models whose settings were chosen. Figures in
brackets are those of the paper that was reproduced, Arazo et al. 2019. Symmetric noise
keeps a label by chance.

    OMP_NUM_THREADS=1 python benchmarks/papers/loss_correction.py --table 1
    python benchmarks/papers/loss_correction.py --scale full --results found.jsonl
"""

from dataclasses import replace
from functools import partial

import numpy as np
from _data import symmetric
from _epochs import TrainingLosses, quartiles
from _presets import ARAZO_METHODS, ARAZO_MIXUP, ARAZO_PLAIN, ARAZO_TINY_IMAGENET
from _tables import Column, Row, Table, by_epoch, main
from _tuned import TUNED, tuned_accuracy
from sklearn.metrics import f1_score, roc_auc_score

from sknoisy import BMMLossSplitter

VARIANTS = ["ST-H", "ST-S", "DY-H", "DY-S", "DYR-H", "DYR-S"]
VARIANTS += ["M-DYR-S", "M-DYR-S (GMM)", "MD-DYR-H"]
METHODS = {name: make for name, (make, _) in ARAZO_METHODS.items()}
# At every scale.
TEN_EPOCHS = partial(METHODS["CE"], max_epochs=10)
# Bins of the losses in figure 2, and points of the densities.
N_BINS = 30


def columns(*rates, data="cifar10"):
    return [Column(f"{rate} %", symmetric(rate / 100), data) for rate in rates]


def loss_curves(cell):
    """Follow the losses of clean and of wrong labels over the epochs."""
    recorder = TrainingLosses()
    clf, _ = cell.fit(cell.row.make, callbacks=[("losses", recorder)])
    losses = dict(clf.callbacks_)["losses"].losses_
    clean = quartiles(losses, ~cell.is_wrong)
    wrong = quartiles(losses, cell.is_wrong)
    values = {"clean": clean[1][-1], "wrong": wrong[1][-1]}
    return values, {"clean": clean, "wrong": wrong}


def draw_quartiles(ax, record):
    for name, (low, median, high) in record["drawn"].items():
        epochs = range(1, len(median) + 1)
        ax.plot(epochs, median, label=name)
        ax.fill_between(epochs, low, high, alpha=0.3)
    ax.set(xlabel="epoch", ylabel="loss, median and quartiles")


def loss_mixture(cell):
    """Fit a mixture to the losses of a network trained with cross-entropy."""
    clf, _ = cell.fit(cell.row.make)
    losses = clf.losses_
    splitter = BMMLossSplitter(mixture=cell.row.options["mixture"]).fit(losses)
    scores = splitter.transform(losses)[:, 0]
    values = {
        "AUROC": roc_auc_score(cell.is_wrong, scores),
        "F1": f1_score(cell.is_wrong, scores > 0.5),
        "rate": scores.mean(),
    }
    return values, densities(splitter, losses, cell.is_wrong)


def densities(splitter, losses, is_wrong):
    """Return those of the scaled losses, and of the components of their mixture."""
    scaled = (losses - splitter.lo_) / (splitter.hi_ - splitter.lo_)
    # The mixture is that of these.
    is_inside = (scaled >= 0) & (scaled <= 1)
    found = {}
    for name, rows in (("clean", ~is_wrong), ("wrong", is_wrong)):
        counts = np.histogram(scaled[rows & is_inside], N_BINS, (0, 1))[0]
        found[name] = (counts * N_BINS / is_inside.sum()).round(4).tolist()
    grid = (np.arange(10 * N_BINS) + 0.5)[:, None] / (10 * N_BINS)
    mixture, noisy = splitter.mixture_, splitter.noisy_component_
    joint = np.exp(mixture.score_samples(grid))[:, None] * mixture.predict_proba(grid)
    found["clean component"] = joint[:, 1 - noisy].round(4).tolist()
    found["wrong component"] = joint[:, noisy].round(4).tolist()
    return found


def draw_densities(ax, record):
    drawn = record["drawn"]
    for name, color in (("clean", "C0"), ("wrong", "C1")):
        heights, edges = drawn[name], np.linspace(0, 1, N_BINS + 1)
        ax.stairs(heights, edges, fill=True, alpha=0.4, color=color, label=name)
        values = drawn[f"{name} component"]
        x = (np.arange(len(values)) + 0.5) / len(values)
        ax.plot(x, values, color=color, label=f"{name} component")
    # A beta density may have no upper bound.
    top, peak = max(drawn["clean"] + drawn["wrong"]), max(drawn["clean component"])
    ylim = 0, 1.05 * min(max(top, peak), 2 * top)
    ax.set(xlabel="scaled loss", ylabel="density", xlim=(0, 1), ylim=ylim)


TABLES = {
    "1": Table(
        "Table 1: CIFAR-10, symmetric noise, validation accuracy",
        columns(0, 20, 50, 80),
        [
            Row(
                "CE",
                {
                    "best": "94.5(94.7) 85.89(86.8) 80.64(79.8) 63.4(63.3)",
                    "last": "94.43(94.6) 83.26(82.9) 59.88(58.4) 27.46(26.3)",
                },
                *ARAZO_METHODS["CE"],
            ),
            Row(
                "M",
                {
                    "best": "95.48(95.3) 92.74(95.6) 86.98(87.1) 71.58(71.6)",
                    "last": "95.32(95.2) 91.96(92.3) 77.12(77.6) 43.81(46.7)",
                },
                METHODS["M"],
            ),
            Row(
                "M-DYR-H (BMM)",
                {
                    "best": "93.84(93.6) 93.95(94.0) 91.84(92.0) 88.15(86.8)",
                    "last": "90.12(93.4) 93.78(93.8) 91.63(91.9) 87.81(86.6)",
                },
                METHODS["M-DYR-H"],
            ),
            Row(
                "M-DYR-H (GMM)",
                {
                    "best": "93.49 93.26 91.0 85.99",
                    "last": "90.34 92.84 90.8 82.3",
                },
                METHODS["M-DYR-H (GMM)"],
            ),
        ],
        ARAZO_MIXUP,
        plot=by_epoch,
        panel="column",
    ),
    "2": Table(
        "Table 2: CIFAR-10, guided mixup with a sampled share",
        columns(80, 85, 90),
        [
            Row(
                "MD-DYR-SH (Beta)",
                {
                    "best": "85.65(82.4) 83.1(79.1) 57.45(69.1)",
                    "last": "84.1(77.8) 80.37(73.9) 49.73(68.7)",
                },
                METHODS["MD-DYR-SH (Beta)"],
            ),
            Row(
                "MD-DYR-SH (Binomial)",
                {
                    "best": "82.0(82.4) 79.57(79.1) 73.09(69.1)",
                    "last": "74.57(77.8) 72.21(73.9) 71.74(68.7)",
                },
                METHODS["MD-DYR-SH (Binomial)"],
            ),
            # The figures in brackets above are those of this one.
            Row("MD-DYR-SH (share as is)", {}, METHODS["MD-DYR-SH"]),
            Row(
                "M-DYR-H (BMM)",
                {"best": "88.15(86.8) - (40.8)", "last": "87.81(86.6) - (9.9)"},
                METHODS["M-DYR-H"],
            ),
        ],
        ARAZO_MIXUP,
        plot=by_epoch,
        panel="column",
        note="M-DYR-H at 90 % is from the README of the code of Arazo et al.",
    ),
    "3": Table(
        "Table 3: Tiny-ImageNet, frozen ResNet-50",
        columns(0, 20, 50, 80, data="tiny-imagenet"),
        [
            Row(
                "M",
                {
                    "best": "46.28 45.87(53.2) 44.13(41.7) 37.53(18.9)",
                    "last": "46.27 45.58(49.4) 44.13(31.1) 37.34(8.7)",
                },
                METHODS["M"],
            ),
            Row(
                "M-DYR-H (BMM)",
                {
                    "best": "46.73 45.10(51.8) 42.72(44.4) 35.17(18.3)",
                    "last": "45.29 44.44(51.6) 32.99(43.6) 15.67(17.7)",
                },
                METHODS["M-DYR-H"],
            ),
        ],
        ARAZO_TINY_IMAGENET,
        plot=by_epoch,
        panel="column",
        note="Arazo et al. trained the whole network: their figures are in brackets.",
    ),
    "tuned": Table(
        "Baselines of tables 1 and 2, tuned on given labels",
        columns(0, 20, 50, 80, 85, 90),
        [Row(name, {}, fit) for name, fit in TUNED.items()],
        ARAZO_PLAIN,
        measures=("last",),
        measure=tuned_accuracy,
    ),
    "variants": Table(
        "Not in the tables: without mixup, with soft targets, guided with hard ones",
        columns(20, 50, 80),
        [Row(name, {}, *ARAZO_METHODS[name]) for name in VARIANTS],
        ARAZO_MIXUP,
        plot=by_epoch,
        panel="column",
    ),
}
FIGURES = {
    "1": Table(
        "Figure 1: median loss of clean and of wrong labels after the last epoch",
        columns(80),
        [
            Row("CE", {}, *ARAZO_METHODS["CE"]),
            Row("M-DYR-H", {}, METHODS["M-DYR-H"]),
        ],
        ARAZO_MIXUP,
        measures=("clean", "wrong"),
        measure=loss_curves,
        plot=draw_quartiles,
    ),
    "2": Table(
        "Figure 2: mixtures of the losses after 10 epochs of cross-entropy",
        columns(50),
        [
            Row("BMM", {}, TEN_EPOCHS, options={"mixture": "beta"}),
            Row("GMM", {}, TEN_EPOCHS, options={"mixture": "gaussian"}),
        ],
        replace(ARAZO_PLAIN, epochs=10, lr_schedule=None, lengths={}),
        measures=("AUROC", "F1", "rate"),
        measure=loss_mixture,
        plot=draw_densities,
        note="of the wrong labels; rate is the mean posterior, 0.45 is the truth",
    ),
}

if __name__ == "__main__":
    main(__file__, TABLES, FIGURES)
