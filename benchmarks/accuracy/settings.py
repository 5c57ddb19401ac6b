"""What each setting of DynaCorDetector finds alone, and what the chosen one finds.

Rows are data sets, the first columns the settings of ``settings="auto"``, each as the
only one, and the default, which chooses among them: AUROC of the scores against the
truth, mean of the seeds. Then the number of rounds that the chosen setting took, its
AUROC with two and with five rounds, and seconds of CPU time of the default. At most
2,000 rows, on all of which the settings are compared. The data are those of
``detection.py`` in this folder.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/settings.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _detection_data import BESIDE, DATA
from sklearn.metrics import roc_auc_score

from sknoisy import DynaCorDetector
from sknoisy._planting._settings import AUTO

NAMES = ["linear", "strong", "mild", "large"]
ROWS = [
    "digits symmetric .2",
    "letter symmetric .3",
    "cifar worse",
    "cifar symmetric .4",
    "music, one worker",
    "hausa topics",
]
HEAD = "chosen   rounds   two  five   CPU s"


def cells(X, y, y_noisy, seed):
    """Return the numbers of a data set and a seed."""

    def auroc(**params):
        detector = DynaCorDetector(random_state=seed, **params).fit(X, y_noisy)
        return detector, roc_auc_score(y != y_noisy, detector.noise_scores_)

    alone = [auroc(settings=[setting])[1] for setting in AUTO]
    start = time.process_time()
    detector, chosen = auroc()
    seconds = time.process_time() - start
    best = detector.settings_.index(detector.best_setting_)
    n_rounds = np.isfinite(detector.setting_aurocs_[best]).sum()
    two, five = (auroc(settings=[AUTO[best]], n_runs=n)[1] for n in (2, 5))
    return *alone, chosen, n_rounds, two, five, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="data sets whose name holds this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"at most 2000 rows, {args.seeds} seed(s)")
    print(f"{'':19s} {' '.join(f'{name:>6s}' for name in NAMES)}  {HEAD}", flush=True)
    for name in ROWS:
        if args.only not in name:
            continue
        sets = [DATA[name](args.data, 2000, seed) for seed in range(args.seeds)]
        *aurocs, n_rounds, two, five, seconds = np.mean(
            [cells(*data, seed) for seed, data in enumerate(sets)], axis=0
        )
        shown = "  ".join(f"{auroc:.3f}" for auroc in aurocs)
        print(
            f"{name:19s}  {shown} {n_rounds:8.1f} {two:.3f} {five:.3f} {seconds:7.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
