"""What the options choose among; by itself, so that ``--help`` loads nothing else."""

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
KINDS = ("symmetric", "pair", "asymmetric", "instance", "margin")
