"""One cycle of the two interconnected EM procedures of the flywheel, in loops.

"main" is the network that judges labels, "aux" the one that predicts: `aux_proba_prev`
is its prediction before its epoch, `aux_proba_new` the one after it. Equation numbers
are the paper's.
"""

from pathlib import Path

import numpy as np


def cycle(main, before, after, labels, gamma, epsilon):
    """Return what a cycle computes, by name."""
    n_rows, n_classes = main.shape
    rows = range(n_rows)
    clean = np.zeros(n_rows)
    for i in rows:  # Eq. 4: Bayes
        right = gamma * main[i, labels[i]]
        clean[i] = right / (right + (1 - gamma) * epsilon[i])
    target = np.zeros((n_rows, n_classes))
    for i in rows:  # Eq. 11
        for k in range(n_classes):
            is_given = 1.0 if labels[i] == k else 0.0
            target[i, k] = clean[i] * is_given + (1 - clean[i]) * before[i, k]
    transition = np.zeros((n_classes, n_classes))
    corruption = np.zeros((n_classes, n_classes))
    for true in range(n_classes):
        wrong = [(1 - clean[i]) * before[i, true] for i in rows]
        for given in range(n_classes):
            of_label = [i for i in rows if labels[i] == given]
            part = sum(target[i, true] for i in of_label)
            transition[true, given] = part / target[:, true].sum()
            corruption[true, given] = sum(wrong[i] for i in of_label) / sum(wrong)
    epsilon_new = [  # Eq. 14
        sum(after[i, k] * corruption[k, labels[i]] for k in range(n_classes))
        for i in rows
    ]
    return {
        "clean_prob": clean,
        "gamma_new": clean.sum() / n_rows,  # Eq. 6
        **{"target": target, "transition_matrix": transition},
        **{"corruption_matrix": corruption, "epsilon_new": np.array(epsilon_new)},
        "refurbished": np.array([int(np.argmax(after[i])) for i in rows]),
    }


def make():
    """Return the arrays of the file."""
    arrays = {}
    for case, (n_rows, n_classes, gamma) in enumerate([(50, 4, 0.6), (80, 7, 0.35)]):
        rng = np.random.RandomState(case)
        main, before, after = rng.dirichlet(np.ones(n_classes), (3, n_rows))
        given = {
            **{"main_proba": main, "aux_proba_prev": before, "aux_proba_new": after},
            "labels": rng.randint(0, n_classes, n_rows),
            **{"gamma": gamma, "epsilon": rng.uniform(0.05, 0.5, n_rows)},
        }
        found = given | cycle(main, before, after, *list(given.values())[3:])
        arrays |= {f"case{case}_{name}": value for name, value in found.items()}
    return arrays


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("flywheel_steps.npz"), **make())
