"""Hosts of masking: two-network methods, JoCoR, CDR, SSR and others, and its gain.

The first table has 512 features of CIFAR-10 images, the second the images themselves,
at half of their size, on a small residual network: each host with and without masking,
SANM(host), and masking with other options of two hosts: ELR+ that mixes masked copies
with the others, DivideMix with two strong views beside them. They are neither moved
nor mirrored, so that 20 epochs are enough to learn wrong labels by heart, as the 300 of
the source are; ``--augment`` does both.

Columns are test accuracies after the best and after the last epoch, the AUROC with
which ``noise_scores_`` (of cross-entropy: 1 - the probability of the given label) find
the wrong labels, the forget rate in use minus the true noise rate, and seconds of CPU
time. Symmetric noise is drawn with the "include" convention.

The claims of the source that are printed as checks: masking lifts every host at every
noise level, most at high noise, and closes the gap from best to last epoch.

Needs ``cifar10_features.npz`` and ``cifar10_jpeg.npz`` in ``shared/data`` beside the
repository, or ``--data``, and Pillow. Default: features, 10,000 rows, 10,000 test rows;
images, 5,000 rows, 2,000 test images of 16 x 16 pixels, 8 channels; 20 epochs, one
seed, two processes. ``--full``: three seeds, 60 epochs, whole images.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/hosts.py
"""

from functools import partial

import numpy as np
import torch
from _baselines import show_tuned
from _features import pair_flip, parse, run, symmetric
from cifar10 import load_images
from sklearn.metrics import roc_auc_score

from sknoisy import (
    CDRClassifier,
    CoTeachingClassifier,
    CoTeachingPlusClassifier,
    DivideMixClassifier,
    ELRPlusClassifier,
    JoCoRClassifier,
    NetClassifier,
    PESClassifier,
    SSRClassifier,
    UNICONClassifier,
)
from sknoisy.nets import AdversarialMasking, PreActResNet

NOISES = {
    "symmetric 0.2": symmetric(0.2),
    "symmetric 0.5": symmetric(0.5),
    "symmetric 0.8": symmetric(0.8),
    "pair flip 0.4": pair_flip(0.4),
    "worse (human)": "y_worse",
}
IMAGE_NOISES = {"symmetric 0.5": symmetric(0.5), "symmetric 0.8": symmetric(0.8)}
HOSTS = {
    "CE": NetClassifier,
    "co-teaching": CoTeachingClassifier,
    "co-teaching+": CoTeachingPlusClassifier,
    "JoCoR": JoCoRClassifier,
    "CDR": CDRClassifier,
    "ELR+": ELRPlusClassifier,
    # Its published learning rate.
    "DivideMix": partial(DivideMixClassifier, lr=0.02),
    "SSR": SSRClassifier,
    "PES": PESClassifier,
    "UNICON": UNICONClassifier,
}
# On features: JoCoR's learning rate, which is better than the default for both.
TUNED = {
    "CE, lr=0.02": partial(NetClassifier, lr=0.02),
    "co-teaching 0.02": partial(CoTeachingClassifier, lr=0.02),
    "co-teaching+ 0.02": partial(CoTeachingPlusClassifier, lr=0.02),
}
# Masked with the options that are not the defaults.
MIXED = {
    "SANM(ELR+) mixed": ("ELR+", {"mix_masked": True}),
    "SANM(DivideMix) 4+2": ("DivideMix", {"strong_view": "auto"}),
}
SMALL = {
    "module": PreActResNet,
    "module__blocks": (1, 1, 1),
    "module__width": 8,
    "batch_size": 32,
    "augment": None,
}


def load_small_images(folder, noise, n_rows, n_test, seed, halves=True):
    """As `load` of features; the first images, at half of their size."""
    data = []
    for split, n_images in (("train", n_rows), ("test", n_test)):
        X, y = load_images(folder, split, n_images)
        if halves:
            means = torch.nn.functional.avg_pool2d(torch.from_numpy(X).float(), 2)
            X = means.round().byte().numpy()
        data.append((X, y))
    (X, y), test = data
    _, y_noisy = noise(seed).fit_resample(np.zeros((len(y), 1)), y)
    return X, y, y_noisy, *test


def judge(clf, accuracies, seconds, data):
    X, y, y_noisy, _, _ = data
    is_wrong = y != y_noisy
    scores = getattr(clf, "noise_scores_", None)
    if scores is None:
        scores = 1 - clf.predict_proba(X)[np.arange(len(y)), y_noisy]
    rate = getattr(clf, "forget_rate_", np.nan) - is_wrong.mean()
    auroc = roc_auc_score(is_wrong, scores)
    return [max(accuracies), accuracies[-1], auroc, rate, seconds]


def table(noises, methods, args, **options):
    """Print a table; return the mean cells by noise and method."""
    found = {}
    print(" " * 37 + "    best    last   AUROC   rate-   CPU s")
    for noise, method, cells in run(noises, methods, judge, args, **options):
        found[noise, method] = mean = cells.mean(0)
        spread = f" +-{cells[:, 1].std():.3f}" if args.seeds > 1 else ""
        values = "".join(f"{value:8.3f}" for value in mean[:4])
        print(f"{noise:16s} {method:20s}{values}{mean[4]:8.1f}{spread}", flush=True)
    return found


def check(found):
    print("\nmasking, in points of test accuracy")
    for noise in IMAGE_NOISES:
        for host in HOSTS:
            plain, masked = found[noise, host], found[noise, f"SANM({host})"]
            best, last = 100 * (masked[:2] - plain[:2])
            gaps = 100 * (plain[0] - plain[1]), 100 * (masked[0] - masked[1])
            print(
                f"{noise:16s} {host:12s} best {best:+5.1f}, last {last:+5.1f}; gap "
                f"from best to last {gaps[0]:.1f} -> {gaps[1]:.1f}"
            )


def main():
    args = parse(
        __doc__.split("\n")[0],
        rows=10_000,
        test=10_000,
        images=5_000,
        epochs=20,
        seeds=1,
        jobs=2,
        part="features images",
        augment=False,
    )
    if args.full:
        args.epochs = 60
    if "features" in args.part:
        print("\nfeatures")
        table(NOISES, {**HOSTS, **TUNED}, args)
        show_tuned(NOISES, args)
    if "images" not in args.part:
        return
    args.rows, args.test = args.images, 2_000
    print(f"\nimages: {args.rows}, {args.test} test images")
    masks = {"masking": AdversarialMasking}
    if args.augment:
        SMALL["augment"] = "auto"
    methods = {}
    for name, host in HOSTS.items():
        methods[name] = partial(host, **SMALL)
        methods[f"SANM({name})"] = partial(host, **SMALL, **masks)
    for name, (host, option) in MIXED.items():
        methods[name] = partial(HOSTS[host], **option, **SMALL, **masks)
    load = partial(load_small_images, halves=not args.full)
    found = table(IMAGE_NOISES, methods, args, load=load)
    if not args.only and not args.method:
        check(found)


if __name__ == "__main__":
    main()
