"""The second part of ``review.py``: rounds of review, taught after each or not."""

import pickle
import warnings
from pathlib import Path

import numpy as np
from _detection_data import DATA
from _peers import PEERS
from sklearn.preprocessing import LabelEncoder

from sknoisy import AutoNoiseDetector
from sknoisy._taught_scores import taught
from sknoisy._verified import evidence_for, findings_of

# Labels that people, crowds or rules got wrong; the others are planted.
PLANTED = ("symmetric", "pair flip", "instance", "by class")
REAL = [name for name in DATA if not any(kind in name for kind in PLANTED)]
SHARES = (0.02, 0.05, 0.10)
# Rows of a round, as a share of all.
ROUND = 0.01
PEER = "cleanlab forest"


class Case:
    """A data set that was judged: what the detector and its peer say, and the truth."""

    def __init__(self, name, folder, seed, with_peer):
        X, y, y_noisy = DATA[name](folder, 2000, seed)
        detector = AutoNoiseDetector(random_state=seed).fit(X, y_noisy)
        codes = LabelEncoder().fit_transform(y_noisy)
        self.is_wrong = np.asarray(y != y_noisy)
        self.found = findings_of(detector, codes)
        self.evidence = evidence_for(detector, X, codes)
        y_noisy = np.asarray(y_noisy)
        self.peer = peer_scores(X, y_noisy, seed) if with_peer else None


def peer_scores(X, y_noisy, seed):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return PEERS[PEER][1](X, y_noisy, seed).scores
    except ModuleNotFoundError:
        return None


def judged(name, folder, seed, fits, with_peer):
    """Return the case, from the folder of fits if it is there."""
    path = fits and Path(fits) / f"{name}-{seed}.pkl"
    if path and path.exists():
        return pickle.loads(path.read_bytes())
    case = Case(name, folder, seed, with_peer)
    if path:
        path.write_bytes(pickle.dumps(case))
    return case


def in_rounds(case, teach):
    """Return the share of all wrong labels that is found by each number of rows."""
    n_rows = len(case.is_wrong)
    stops = [round(share * n_rows) for share in SHARES]
    verified, scores, done = np.full(n_rows, np.nan), case.found.scores, 0
    shares = []
    while done < stops[-1]:
        n = min(
            max(1, round(ROUND * n_rows)), next(s for s in stops if s > done) - done
        )
        is_open = np.isnan(verified)
        rows = np.flatnonzero(is_open)[np.argsort(-scores[is_open], kind="stable")[:n]]
        verified[rows] = case.is_wrong[rows]
        done += n
        if done in stops:
            shares.append(np.nansum(verified) / case.is_wrong.sum())
        if teach:
            scores = taught(case.found, case.evidence, verified).scores
    return shares


def at_once(scores, is_wrong):
    """Return the same for a ranking that does not change."""
    found = np.cumsum(is_wrong[np.argsort(-scores, kind="stable")])
    return [found[round(s * len(is_wrong)) - 1] / is_wrong.sum() for s in SHARES]


def line_of(cases):
    """Return the means of a data set: of each column, of the wrong labels and rows."""
    first = cases[0]
    columns = {
        "untaught": [in_rounds(case, teach=False) for case in cases],
        "taught": [in_rounds(case, teach=True) for case in cases],
        "cleanlab": [
            [np.nan] * len(SHARES)
            if first.peer is None
            else at_once(first.peer, first.is_wrong)
        ],
        "most": [
            [min(1, round(s * len(c.is_wrong)) / c.is_wrong.sum()) for s in SHARES]
            for c in cases
        ],
    }
    return {name: np.mean(values, axis=0) for name, values in columns.items()}


def compare(folder, seeds, fits):
    """Print the table, and the counts that it was made for."""
    names = ("untaught", "taught", "cleanlab", "most")
    heads = "".join(f"{name:20s}" for name in names)
    print(f"{'':18s}wrong {heads}   (2 %, 5 %, 10 % of the rows)")
    lines = []
    for name in REAL:
        try:
            cases = [judged(name, folder, s, fits, s == seeds[0]) for s in seeds]
        except FileNotFoundError as error:
            print(f"skipped {name}: {error}")
            continue
        line = line_of(cases)
        rate = np.mean([case.is_wrong.mean() for case in cases])
        cells = "   ".join(
            " ".join(f"{value:.3f}" for value in line[column]) for column in names
        )
        print(f"{name:18s}{rate:5.1%} {cells}", flush=True)
        lines.append(line)
    found = {name: np.array([line[name] for line in lines]) for name in names}
    gain = found["taught"] - found["untaught"]
    gap = (found["most"] - found["untaught"])[:, 2]
    is_better = (gain[:, 2] >= 0.05) | ((gain[:, 2] >= gap / 2) & (gain[:, 2] > 0))
    print(
        "mean:",
        {n: values.mean(axis=0).round(3).tolist() for n, values in found.items()},
    )
    print(
        f"taught against untaught: mean {gain.mean(axis=0).round(3).tolist()}, worst "
        f"{gain.min(axis=0).round(3).tolist()}; at 10 % better by 5 points or half of "
        f"what is left on {is_better.sum()} of {len(lines)}"
    )
