"""How well wrong labels are found by frames that are encoded in several ways.

Rows are encodings: those of sknoisy's own encoder, with words or runs of characters of
texts, as they are or reduced, and those of skrub: its TableVectorizer with gaps filled
by the mean and columns standardised, and the one of its tabular_pipeline; for texts
also ``TextEncoder("wordllama")``, alone and beside runs of characters. Columns are
tables with 20 % of symmetric noise, and texts with the wrong labels of rules or of a
distant source. Each cell: AUROC and average precision of the noise scores, and seconds
of CPU time, the mean of the seeds.

Two tables: of ``ConfidentLearningDetector()``, which standardises each column before
its logistic regression, and of the same detector with a logistic regression on the
columns as they are; of both, the regularisation with the smallest out-of-fold log-loss
on the noisy labels counts.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said, and so are skrub and wordllama if they are not
installed (``pip install skrub wordllama``). 2,000 rows at most, three seeds; about ten
minutes. For images there is ``image_encoders.py``.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/encoders.py
"""

import argparse
import time
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import ConfidentLearningDetector, SymmetricNoiseInjector, TextEncoder
from sknoisy._tables._encoder import TableEncoder

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
REGULARISATIONS = (100, 10, 1, 0.1, 0.01)


def table(file, folder, n_rows, seed):
    frame = pd.read_parquet(folder / file)
    frame = frame.sample(min(n_rows, len(frame)), random_state=seed)
    y = frame["y"].to_numpy()
    injector = SymmetricNoiseInjector(0.2, random_state=seed)
    return frame.drop(columns="y"), y, injector.fit_resample(None, y)[1]


def texts(file, folder, n_rows, seed):
    frame = pd.read_parquet(folder / file)
    keep = (frame["split"] == "train") & (frame["y"] != -1) & (frame["y_noisy"] != -1)
    frame = frame[keep]
    frame = frame.sample(min(n_rows, len(frame)), random_state=seed)
    return frame[["text"]], frame["y"].to_numpy(), frame["y_noisy"].to_numpy()


DATA = {
    "adult": partial(table, "uci_adult.parquet"),
    "drybean": partial(table, "uci_drybean.parquet"),
    "letter": partial(table, "uci_letter.parquet"),
    "youtube": partial(texts, "wrench_youtube.parquet"),
    "sms": partial(texts, "wrench_sms.parquet"),
    "hausa": partial(texts, "hausa_topic.parquet"),
}


def ours(output, ngrams, n_text_features=30):
    def make(seed):
        return TableEncoder(
            output=output,
            ngrams=ngrams,
            n_text_features=n_text_features,
            random_state=seed,
        )

    return make


def vectorizer(seed):
    from skrub import StringEncoder, TableVectorizer

    return make_pipeline(
        TableVectorizer(high_cardinality=StringEncoder(random_state=seed)),
        SimpleImputer(add_indicator=True),
        StandardScaler(),
    )


def tabular(seed):
    from skrub import tabular_pipeline

    return tabular_pipeline(LogisticRegression())[:-1]


ENCODINGS = {
    "words": ours("sparse", "words"),
    "chars": ours("sparse", "chars"),
    "words, chars": ours("sparse", "both"),
    "words, 100 dirs": ours("scaled", "words", 100),
    "chars, 100 dirs": ours("scaled", "chars", 100),
    "chars, 30 dirs": ours("scaled", "chars"),
    "both, 50 dirs": ours("scaled", "both", 50),
    "TableVectorizer": vectorizer,
    "tabular_pipeline": tabular,
}


class Beside:
    """Blocks of columns of several encoders, each divided by one number."""

    def __init__(self, *encoders):
        self.encoders = encoders

    def fit_transform(self, frame):
        """Return the columns."""
        blocks = [encoder.fit_transform(frame) for encoder in self.encoders]
        return np.hstack([block / block.std() for block in blocks])


OF_TEXTS = {
    "wordllama": lambda seed: TextEncoder("wordllama"),
    "chars, 30, wordllama": lambda seed: Beside(
        ours("scaled", "chars")(seed), TextEncoder("wordllama")
    ),
}
TEXTS = ("youtube", "sms", "hausa")


def score_standardised(X, y, seed):
    return ConfidentLearningDetector(random_state=seed).fit(X, y).noise_scores_


def score_as_they_are(X, y, seed):
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    best, least = None, np.inf
    for C in REGULARISATIONS:
        model = LogisticRegression(C=C, max_iter=500)
        proba = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
        loss = log_loss(y, proba)
        if loss < least:
            best, least = proba, loss
    detector = ConfidentLearningDetector()
    return detector.fit(None, y, pred_probs=best).noise_scores_


SCORES = {
    "each column standardised": score_standardised,
    "columns as they are": score_as_they_are,
}


def measure(load, make, score, args):
    """Return AUROC, average precision and seconds, the mean of the seeds."""
    cells = []
    for seed in range(args.seeds):
        frame, y, y_noisy = load(args.data, args.rows, seed)
        codes = np.unique(y_noisy, return_inverse=True)[1]
        start = time.process_time()
        X = make(seed).fit_transform(frame)
        X = X if issparse(X) else np.asarray(X, dtype=np.float64)
        scores = score(X, codes, seed)
        seconds = time.process_time() - start
        wrong = y != y_noisy
        cells.append(
            (
                roc_auc_score(wrong, scores),
                average_precision_score(wrong, scores),
                seconds,
            )
        )
    return np.mean(cells, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="data whose name holds this")
    parser.add_argument("--encoding", default="", help="encodings likewise")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    encodings = ENCODINGS | OF_TEXTS
    if find_spec("wordllama") is None:
        print("wordllama is not installed: its two encodings are skipped")
        encodings = dict(ENCODINGS)
    if find_spec("skrub") is None:
        print("skrub is not installed: its two encodings are skipped")
        del encodings["TableVectorizer"], encodings["tabular_pipeline"]
    if not args.data.is_dir():
        print(f"skipped: no folder {args.data}")
        return
    data = {name: load for name, load in DATA.items() if args.only in name}
    print(f"{args.rows} rows at most, {args.seeds} seed(s)")
    for title, score in SCORES.items():
        print(f"\n{title:<26}" + "".join(f"{name:<17}" for name in data))
        for name, make in encodings.items():
            if args.encoding not in name:
                continue
            print(f"{name:<26}", end="", flush=True)
            for load_name, load in data.items():
                if name in OF_TEXTS and load_name not in TEXTS:
                    print(f"{'-':<17}", end="")
                    continue
                auroc, precision, seconds = measure(load, make, score, args)
                cell = f"{auroc:.3f}/{precision:.3f}/{seconds:.1f}"
                print(f"{cell:<17}", end="", flush=True)
            print()


if __name__ == "__main__":
    main()
