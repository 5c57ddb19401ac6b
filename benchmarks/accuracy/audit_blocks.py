"""What an audit loses when the table does not fit in the memory it may take.

20,000 rows of the table adult with 20 % of symmetric noise, as a Parquet file: AUROC
and average precision of the scores of ``sknoisy.audit``, in memory and in blocks with
``max_memory="2MB"``, and the seconds of CPU time.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``).

    OMP_NUM_THREADS=1 python benchmarks/accuracy/audit_blocks.py
"""

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

import sknoisy
from sknoisy import SymmetricNoiseInjector

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
RUNS = (("auto", None), ("auto", "2MB"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--rows", type=int, default=20_000)
    args = parser.parse_args()
    source = args.data / "uci_adult.parquet"
    if not source.exists():
        print(f"skipped: there is no {source}")
        return
    frame = pd.read_parquet(source).sample(args.rows, random_state=0)
    frame = frame.reset_index(drop=True)
    y = frame["y"].to_numpy()
    frame["y"] = SymmetricNoiseInjector(0.2, random_state=0).fit_resample(None, y)[1]
    wrong = y != frame["y"].to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adult.parquet"
        frame.to_parquet(path, row_group_size=5000)
        for detector, limit in RUNS:
            start = time.process_time()
            report = sknoisy.audit(path, "y", detector=detector, max_memory=limit)
            scores = report.frame[report.score_name]
            print(
                f"{detector} {'in memory' if limit is None else 'in blocks'}: "
                f"AUROC {roc_auc_score(wrong, scores):.3f}, average precision "
                f"{average_precision_score(wrong, scores):.3f}, "
                f"{time.process_time() - start:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
