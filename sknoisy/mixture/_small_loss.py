"""The mixture by which DivideMix tells small losses from large ones."""

from sklearn.mixture import GaussianMixture

from sknoisy.mixture._splitter import BMMLossSplitter

__all__ = ["small_loss_splitter"]


def small_loss_splitter(seed):
    """Return a splitter of losses with two Gaussians, as DivideMix fits them.

    Losses are scaled from the smallest to the largest, none is left out, and the
    posterior is the mixture's.

    Parameters
    ----------
    seed : int in [0, 2**32)

    Returns
    -------
    splitter : BMMLossSplitter
        ``predict_proba`` gives the probability of a small loss first.

    References
    ----------
    .. [1] J. Li, R. Socher, S. C. H. Hoi, "DivideMix: Learning with noisy labels as
       semi-supervised learning", ICLR 2020; the constants are those of its code.
    """
    return BMMLossSplitter(
        GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4),
        trim=None,
        clip=0.0,
        monotone_left=False,
        monotone_right=False,
        random_state=seed,
    )
