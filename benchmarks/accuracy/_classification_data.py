"""The rows of ``classifiers.py``: data with real and planted noise, and clean tests.

A loader takes the folder of the data, the noise, the largest number of rows and a seed,
and returns X, the true labels, the noisy ones or None, and the X and y of the test.
Columns of a table are standardised, its categories are indicators; texts are a hundred
directions of their TF-IDF; columns of image features are divided by the root of their
deviation. All columns then have one common scale, that of standardised ones.
"""

import numpy as np
import pandas as pd
from _features import instance, pair_flip, symmetric
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import LabelEncoder, StandardScaler

N_TEST = 4_000
SYMMETRIC = {rate: symmetric(rate, "exclude") for rate in (0.2, 0.3, 0.4, 0.5, 0.8)}
SETS = {
    "digits, symmetric 0.4": ("digits", SYMMETRIC[0.4]),
    "digits, pair flip 0.4": ("digits", pair_flip(0.4)),
    "cifar, worse": ("cifar10_features", "y_worse"),
    "cifar, aggre": ("cifar10_features", "y_aggre"),
    "cifar, random1": ("cifar10_features", "y_random1"),
    "cifar, symmetric 0.2": ("cifar10_features", SYMMETRIC[0.2]),
    "cifar, symmetric 0.5": ("cifar10_features", SYMMETRIC[0.5]),
    "cifar, symmetric 0.8": ("cifar10_features", SYMMETRIC[0.8]),
    "cifar, pair flip 0.4": ("cifar10_features", pair_flip(0.4)),
    "cifar, instance 0.4": ("cifar10_features", instance(0.4)),
    "strong, worse": ("cifar10n_efficientnet", "y_worse"),
    "strong, aggre": ("cifar10n_efficientnet", "y_aggre"),
    "strong, symmetric 0.5": ("cifar10n_efficientnet", SYMMETRIC[0.5]),
    "strong, pair flip 0.4": ("cifar10n_efficientnet", pair_flip(0.4)),
    "letter, symmetric 0.3": ("uci_letter", SYMMETRIC[0.3]),
    "letter, pair flip 0.3": ("uci_letter", pair_flip(0.3)),
    "drybean, symmetric 0.3": ("uci_drybean", SYMMETRIC[0.3]),
    "drybean, pair flip 0.3": ("uci_drybean", pair_flip(0.3)),
    "adult, symmetric 0.3": ("uci_adult", SYMMETRIC[0.3]),
    "adult, pair flip 0.3": ("uci_adult", pair_flip(0.3)),
    "music, one worker": ("crowd_music", "y_one"),
    "music, majority": ("crowd_music", "y_majority"),
    "youtube": ("wrench_youtube", "y_noisy"),
    "sms": ("wrench_sms", "y_noisy"),
    "hausa": ("hausa_topic", "y_noisy"),
    "jira, derby": ("jira_defects", "derby-10.2.1.6"),
    "jira, lucene": ("jira_defects", "lucene-2.9.0"),
    "jira, wicket": ("jira_defects", "wicket-1.3.0-beta2"),
}
# Clean labels, for what each method costs where it is not needed.
CLEAN = {
    "digits": ("digits", None),
    "letter": ("uci_letter", None),
    "drybean": ("uci_drybean", None),
    "adult": ("uci_adult", None),
    "breast cancer": ("small_cancer", load_breast_cancer),
    "wine": ("small_wine", load_wine),
    "strong": ("cifar10n_efficientnet", None),
}


def load(name, noise, args, seed):
    """Return X, y, noisy y, and the X and y of the test."""
    make = next(make for key, make in LOADERS.items() if name.startswith(key))
    X, y, noisy, *test = make(args.data / name, noise, args.rows, seed)
    if args.clean:
        noisy = y
    elif noisy is None:
        noisy = noise(seed).fit_resample(X, y)[1]
    return X, y, noisy, *test


def features(path, noise, n_rows, seed):
    data = np.load(path.with_suffix(".npz"))
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(data["y_train"]), n_rows, replace=False)
    X, y = data["X_train"][rows].astype(np.float32), data["y_train"][rows].astype(int)
    X_test = data["X_test"][:N_TEST].astype(np.float32)
    scale = np.sqrt(X.std(0))
    scale = scale * (X / scale).std()
    noisy = data[noise][rows].astype(int) if isinstance(noise, str) else None
    return X / scale, y, noisy, X_test / scale, data["y_test"][:N_TEST].astype(int)


def texts(path, noise, n_rows, seed):
    table = pd.read_parquet(path.with_suffix(".parquet"))
    table = table[table["y"] != -1]
    train = table[(table["split"] == "train") & (table[noise] != -1)]
    test = table[table["split"] == "test"]
    train = train.sample(min(n_rows, len(train)), random_state=seed)
    words = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(train["text"])
    topics = TruncatedSVD(100, random_state=seed)
    X = topics.fit_transform(words.transform(train["text"])).astype(np.float32)
    X_test = topics.transform(words.transform(test["text"])).astype(np.float32)
    noisy, scale = train[noise].to_numpy(int), X.std()
    y, y_test = train["y"].to_numpy(int), test["y"].to_numpy(int)
    return X / scale, y, noisy, X_test / scale, y_test


def tables(path, noise, n_rows, seed):
    table = pd.read_parquet(path.with_suffix(".parquet"))
    y = LabelEncoder().fit_transform(table.pop("y"))
    X = pd.get_dummies(table, dtype=float).to_numpy()
    order = np.random.default_rng(seed).permutation(len(y))
    rows, test = order[:n_rows], order[n_rows : n_rows + N_TEST]
    X, X_test = standardised(X[rows], X[test])
    return X, y[rows], None, X_test, y[test]


def releases(path, release, n_rows, seed):
    """Load files of a release: at most half of them to train, the others to test."""
    table = pd.read_parquet(path.with_suffix(".parquet"))
    table = table[table["release"] == release]
    X = table.drop(columns=["release", "y", "y_noisy"]).to_numpy(float)
    y, noisy = table["y"].to_numpy(int), table["y_noisy"].to_numpy(int)
    order = np.random.default_rng(seed).permutation(len(y))
    n_train = min(n_rows, len(y) // 2)
    rows, test = order[:n_train], order[n_train:]
    X, X_test = standardised(X[rows], X[test])
    return X, y[rows], noisy[rows], X_test, y[test]


def music(path, noise, n_rows, seed):
    data = np.load(path.with_suffix(".npz"))
    X, X_test = standardised(data["X_train"], data["X_test"])
    labels = (data[name].astype(int) for name in ("y_train", noise))
    return X, *labels, X_test, data["y_test"].astype(int)


def digits(path, noise, n_rows, seed):
    X, y = load_digits(return_X_y=True)
    X = (X / X.std()).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(y))
    rows, test = order[:1_000], order[1_000:]
    return X[rows], y[rows], None, X[test], y[test]


def small(path, read, n_rows, seed):
    """Load a table of scikit-learn: two thirds to train, the others to test."""
    X, y = read(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    n_train = min(n_rows, 2 * len(y) // 3)
    rows, test = order[:n_train], order[n_train:]
    X, X_test = standardised(X[rows], X[test])
    return X, y[rows], None, X_test, y[test]


def standardised(X, X_test):
    scaler = StandardScaler().fit(X)
    # Rare categories, and measures with long tails.
    return (
        scaler.transform(part).clip(-10, 10).astype(np.float32) for part in (X, X_test)
    )


LOADERS = {
    "digits": digits,
    "cifar": features,
    "small": small,
    "uci": tables,
    "crowd": music,
    "jira": releases,
    "wrench": texts,
    "hausa": texts,
}
