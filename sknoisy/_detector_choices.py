"""Short names of detectors, in a module that ``--help`` loads without others."""

__all__ = ["AIMS", "DETECTORS", "WITH_AIMS"]

DETECTORS = {
    "auto": "AutoNoiseDetector",
    "dynacor": "DynaCorDetector",
    "aum": "AUMDetector",
    "loss-mixture": "LossMixtureDetector",
    "confident-learning": "ConfidentLearningDetector",
    "neighbors": "NeighborVoteDetector",
    "fine": "FINEDetector",
    "small-loss": "SmallLossDetector",
    "cores": "CORESDetector",
}
# Of the detectors whose flags have an aim; as `sknoisy._planting._decision` has them.
WITH_AIMS = ("auto", "dynacor")
AIMS = ("recall", "f1", "precision", "rate")
# Annotation tools, as `sknoisy.cleaning` has them.
EXPORTS = ("label-studio", "argilla", "prodigy", "doccano", "csv")
DECISION_FORMATS = ("sknoisy", *EXPORTS)
