"""Two-component mixtures of per-sample losses; no torch needed."""

from sknoisy.mixture._beta import BetaMixture
from sknoisy.mixture._splitter import BMMLossSplitter

__all__ = ["BMMLossSplitter", "BetaMixture"]
