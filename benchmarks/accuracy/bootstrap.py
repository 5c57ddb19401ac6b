"""Dynamic bootstrapping beside cross-entropy and mixup, under growing noise.

Rows are kinds of noise on 512 features of CIFAR-10 images, columns are test accuracies
after the best and after the last epoch, the AUROC with which ``noise_scores_`` find the
wrong labels, their mean minus the true noise rate, the share of training time that
fitting the mixtures took, and seconds of CPU time. Symmetric noise is drawn with the
"include" convention of the sources: 0.8 on ten classes makes 72 % of the labels wrong.

The claims of the sources that are printed as checks: from 50 % on, the last epoch of
M-DYR-H is far above that of CE and at most 2 points below its own best; a beta mixture
is at least as good as a Gaussian one at 80 %; guided mixup holds at 90 %, where static
mixup fails.

Needs ``shared/data/cifar10_features.npz`` beside the repository, or ``--data``.
Default: 10,000 rows, 10,000 test rows, 20 epochs, one seed, two processes. ``--full``:
three seeds. ``--rows 50000 --epochs 60`` is nearer to the sources.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/bootstrap.py
"""

import time
from functools import partial

import numpy as np
from _baselines import show_tuned
from _features import pair_flip, parse, run, symmetric
from sklearn.metrics import roc_auc_score

from sknoisy import BMMLossSplitter, DynamicBootstrapClassifier

GUIDED = {"targets": "soft_to_hard", "mixup": "guided"}
NOISES = {
    "symmetric 0.2": symmetric(0.2),
    "symmetric 0.5": symmetric(0.5),
    "symmetric 0.8": symmetric(0.8),
    "symmetric 0.9": symmetric(0.9),
    "pair flip 0.4": pair_flip(0.4),
    "worse (human)": "y_worse",
}
METHODS = {
    name: partial(DynamicBootstrapClassifier, **params)
    for name, params in {
        "CE": {"weights": None, "mixup": None},
        "mixup": {"weights": None},
        "M-DYR-H beta": {},
        "M-DYR-H gaussian": {"mixture": "gaussian"},
        "M-DYR-S": {"targets": "soft"},
        "MD-DYR-SH": GUIDED,
        "MD-DYR-SH beta": {**GUIDED, "guidance": "beta"},
        "MD-DYR-SH binom.": {**GUIDED, "guidance": "binomial"},
    }.items()
}


def judge(clf, accuracies, seconds, data):
    _, y, y_noisy, _, _ = data
    is_wrong = y != y_noisy
    start = time.process_time()
    for _ in range(5):
        BMMLossSplitter().fit(clf.losses_)
    share = (time.process_time() - start) / 5 * len(clf.mixtures_) / seconds
    return [
        max(accuracies),
        accuracies[-1],
        roc_auc_score(is_wrong, clf.noise_scores_),
        clf.noise_rate_ - is_wrong.mean(),
        share,
        seconds,
    ]


def main():
    args = parse(
        __doc__.split("\n")[0], rows=10_000, test=10_000, epochs=20, seeds=1, jobs=2
    )
    print(f"{'':34s} best   last  AUROC  rate-  mixture  CPU s")
    last, best = {}, {}
    for noise, method, cells in run(NOISES, METHODS, judge, args):
        mean = cells.mean(0)
        best[noise, method], last[noise, method] = mean[:2]
        spread = f" +-{cells[:, 1].std():.3f}" if args.seeds > 1 else ""
        print(
            f"{noise:16s} {method:16s} {mean[0]:.3f}  {mean[1]:.3f}{spread}  "
            f"{mean[2]:.3f}  {mean[3]:+.3f}   {mean[4]:5.2%} {mean[5]:6.1f}",
            flush=True,
        )
    if not args.method:
        show_tuned(NOISES, args)
    if not args.only and not args.method:
        check(best, last)


def check(best, last):
    print("\nclaims, in points of test accuracy")
    for noise in ("symmetric 0.5", "symmetric 0.8", "symmetric 0.9"):
        ours = last[noise, "M-DYR-H beta"]
        print(
            f"{noise}: M-DYR-H last - CE last {100 * (ours - last[noise, 'CE']):+.1f}, "
            f"- mixup last {100 * (ours - last[noise, 'mixup']):+.1f}, "
            f"- its best {100 * (ours - best[noise, 'M-DYR-H beta']):+.1f}"
        )
    noise = "symmetric 0.8"
    gap = last[noise, "M-DYR-H beta"] - last[noise, "M-DYR-H gaussian"]
    print(f"{noise}: M-DYR-H beta - gaussian, last {100 * gap:+.1f}")
    noise = "symmetric 0.9"
    for method in ("MD-DYR-SH", "MD-DYR-SH beta", "MD-DYR-SH binom."):
        gap = np.subtract(last[noise, method], last[noise, "M-DYR-H beta"])
        print(f"{noise}: {method} - M-DYR-H, last {100 * gap:+.1f}")


if __name__ == "__main__":
    main()
