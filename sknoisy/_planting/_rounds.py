"""Shared by race and competition: scores, progress and interruption of rounds.

Both let *candidates* show how well they find wrong labels that were *planted* among the
given ones. In a *round* labels are planted in some places, and each candidate that is
still *active* is fitted with them once. It is scored by its *AUROC*: how well it tells
the planted labels from the others. A candidate that is *dropped* is fitted no more.
"""

from sklearn.metrics import roc_auc_score

from sknoisy._interruption import tell
from sknoisy.base import TrainingInterrupted

__all__ = ["BROKEN_OFF", "planted_auroc", "tell_broken_off", "tell_fit"]

# Exceptions that end rounds early: an interruption, also if a candidate reports it.
BROKEN_OFF = (KeyboardInterrupt, TrainingInterrupted)


def planted_auroc(planted, scores, weights=None):
    """Return how well scores separate planted labels from the others.

    Parameters
    ----------
    planted : ndarray of shape (n_rows,), dtype bool
        Some rows are, some are not.
    scores : ndarray of shape (n_rows,)
        Larger = more suspicious.
    weights : ndarray of shape (n_rows,), default=None
        How much each row counts.

    Returns
    -------
    auroc : float in [0, 1]
        1 if all planted labels are more suspicious than any other.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._rounds import planted_auroc
    >>> planted_auroc(np.array([False, True, False, True]), np.array([1, 4, 2, 3]))
    1.0
    """
    return float(roc_auc_score(planted, scores, sample_weight=weights))


def tell_fit(bar, place, candidate, found=None, measure="AUROC"):
    """Advance the bar by a fit, and show what it is judged by.

    Parameters
    ----------
    bar : Progress
        Gets a row for the fit if its ``verbose`` is 2 or more.
    place : str
        Which labels it was fitted on, such as "round 1 of 4".
    candidate : object
        As it is named in the row.
    found : float, default=None
        The value; None if there is none.
    measure : str, default="AUROC"
        Of the planted labels; or what else it is.
    """
    bar.advance(**({} if found is None else {measure: found}))
    if bar.verbose > 1:
        shown = "" if found is None else f" {measure} {found:.3f}"
        bar.write(f"{place}: {candidate}{shown}")


def tell_broken_off(error, lacks, result, bar, n_done, n_planned, unit):
    """Warn of interrupted rounds, or raise an error if none is complete.

    Parameters
    ----------
    error : KeyboardInterrupt or TrainingInterrupted
        What broke them off.
    lacks : str
        What should have happened before, if ``n_done`` is 0.
    result : str
        What the complete rounds give, such as "labels are scored".
    bar : Progress
        Its description names the owner.
    n_done, n_planned : int
        What was complete, and of how many.
    unit : str
        Of what.

    Raises
    ------
    TrainingInterrupted
        If nothing was complete.

    Warns
    -----
    TrainingInterruptedWarning
        Otherwise.
    """
    if not n_done:
        raise TrainingInterrupted(f"fit was interrupted before {lacks}.") from error
    tell(
        f"{bar.description} was interrupted: {result} from {n_done} of "
        f"{n_planned} {unit}. Fit again to use all of them."
    )
