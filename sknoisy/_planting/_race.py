"""Choose how to train by how well planted wrong labels are told from given ones."""

import numpy as np
from sklearn.metrics import roc_auc_score

from sknoisy._interruption import tell
from sknoisy._planting._calibration import calibrate
from sknoisy._planting._gaps import fill_gaps
from sknoisy._progress import progress
from sknoisy.base import TrainingInterrupted

__all__ = ["DynamicsRuns", "choose", "race"]

# How far a setting may lie behind in AUROC and still be trained again.
SLACK = 0.03


class DynamicsRuns:
    """What repeated trainings with one setting recorded.

    Parameters
    ----------
    setting : dict
        Parameters of the net.
    planted : ndarray of shape (n_runs, n_rows), dtype bool
        Where each of the planned runs trains on a planted label.
    n_samples : int
        The first rows, which are judged; any others are copies of them.

    Attributes
    ----------
    trajectories : list of ndarray of shape (n_rows, n_epochs), dtype float32
        One for each run so far, high for right labels.
    aurocs : list of float
        How well each run's mean signal tells planted labels from given ones.
    net : skorch net
        That of the last run.
    """

    def __init__(self, setting, planted, n_samples):
        self.setting = setting
        self.n_samples = n_samples
        self.trajectories = []
        self.aurocs = []
        self.net = None
        self._planned = planted
        self._proba_sum = 0

    def add(self, trajectories, mean_proba, net):
        """Take in the next run."""
        self.trajectories.append(trajectories)
        self._proba_sum = self._proba_sum + mean_proba * ~self.planted[-1][:, None]
        if self.planted.any():
            self.aurocs.append(self.auroc(-1))
        self.net = net

    @property
    def planted(self):
        """Where each run so far trained on a planted label."""
        return self._planned[: len(self.trajectories)]

    @property
    def signal(self):
        """Mean over the epochs, shape (n_runs_so_far, n_rows)."""
        return np.stack([t.mean(1, dtype=np.float64) for t in self.trajectories])

    @property
    def judges_all(self):
        """Whether each sample has been seen under its given label."""
        return bool((~self.planted[:, : self.n_samples]).any(0).all())

    @property
    def given_signal(self):
        """Mean signal over the runs with the given label, shape (n_samples,)."""
        return self._given_mean(self.signal)

    @property
    def given_trajectories(self):
        """Mean trajectory over these runs, shape (n_samples, n_epochs)."""
        return self._given_mean(self._even_trajectories()).astype(np.float32)

    @property
    def given_proba(self):
        """Class probabilities, mean over these runs, (n_samples, n_classes)."""
        total = self._proba_sum[: self.n_samples]
        # A row may have been left out of all incomplete batches.
        return total / np.maximum(total.sum(1, keepdims=True), 1e-12)

    @property
    def planted_trajectories(self):
        """Trajectories under planted labels, run after run."""
        return self._even_trajectories()[self.planted]

    def auroc(self, run, weights=None):
        """Return the AUROC of a run's planted labels against its given ones."""
        signal = self.trajectories[run].mean(1)
        return roc_auc_score(self.planted[run], -signal, sample_weight=weights)

    def calibrate(self, n_classes, noise_rate=None):
        """Learn P(wrong) from the signals of all runs; see `calibrate`."""
        signal = self.signal
        return calibrate(
            signal[~self.planted], signal[self.planted], n_classes, noise_rate
        )

    def _given_mean(self, values):
        """Average values of shape (n_runs, n_rows, ...) where labels are the given."""
        given = ~self.planted[:, : self.n_samples]
        given = given.reshape(given.shape + (1,) * (values.ndim - 2))
        return np.where(given, values[:, : self.n_samples], 0).sum(0) / given.sum(0)

    def _even_trajectories(self):
        """Return all runs as one array; a callback may have ended some early."""
        n_epochs = max(t.shape[1] for t in self.trajectories)
        padded = [
            np.pad(t, ((0, 0), (0, n_epochs - t.shape[1])), constant_values=np.nan)
            for t in self.trajectories
        ]
        return np.stack([fill_gaps(t) for t in padded])


def race(entrants, train, n_runs, bar=None):
    """Train every setting again and again, and drop those that fall behind.

    A setting falls behind when its AUROC is 0.03 below the best. One that diverges
    leaves the race, unless it is the only one.

    Parameters
    ----------
    entrants : list of DynamicsRuns
    train : callable
        Takes a setting and the number of the run; returns what `DynamicsRuns.add`
        takes.
    n_runs : int
    bar : Progress, default=None
        Counts the trainings; its total falls with those that are dropped. If its
        ``verbose`` is 2, a row is written for each training.

    Returns
    -------
    finalists : list of DynamicsRuns
        In the order of the entrants.

    Raises
    ------
    TrainingInterrupted
        If it is interrupted before any setting has judged all samples.
    """
    entrants = list(entrants)
    bar = progress(len(entrants) * n_runs, "race", 0) if bar is None else bar
    try:
        for run in range(n_runs):
            n_before = len(entrants)
            for entrant in list(entrants):
                if _run_once(entrant, train, run, len(entrants) == 1):
                    _tell(bar, entrant, run, n_runs)
                else:
                    entrants.remove(entrant)
                    bar.advance()
            if len(entrants) > 1:
                means = [np.mean(entrant.aurocs) for entrant in entrants]
                near = np.array(means) >= max(means) - SLACK
                entrants = [e for e, keep in zip(entrants, near, strict=True) if keep]
            bar.total -= (n_before - len(entrants)) * (n_runs - run - 1)
    except (KeyboardInterrupt, TrainingInterrupted) as error:
        entrants = [e for e in entrants if e.trajectories and e.judges_all]
        if not entrants:
            message = "fit was interrupted before every row had been judged once."
            raise TrainingInterrupted(message) from error
        done = [len(entrant.trajectories) for entrant in entrants]
        tell(
            f"the race was interrupted: labels are judged by {sum(done)} whole "
            f"trainings of {len(done) * n_runs}. Fit again to judge them by all.",
        )
    return entrants


def _run_once(entrant, train, run, is_alone):
    """Train once more; return whether that went well."""
    try:
        entrant.add(*train(entrant.setting, run))
    except FloatingPointError:
        if is_alone:
            raise
        return False
    return True


def _tell(bar, entrant, run, n_runs):
    """Count a training, and say how well it went."""
    found = {"AUROC": entrant.aurocs[-1]} if entrant.aurocs else {}
    bar.advance(**found)
    if bar.verbose > 1:
        auroc = f"AUROC {found['AUROC']:.3f}" if found else ""
        bar.write(f"run {run + 1} of {n_runs}: {entrant.setting} {auroc}")


def choose(finalists, origin, n_classes):
    """Return the setting that finds planted labels best among trusted rows.

    Rows whose own label any of the settings suspects do not count: a planted label may
    be right there, and a setting that finds more of the wrong labels would be blamed
    for it. A tie, within one standard error over the runs, goes to the first finalist.

    Parameters
    ----------
    finalists : list of DynamicsRuns
    origin : ndarray of shape (n_rows,), dtype int64
        The sample behind each row.
    n_classes : int

    Returns
    -------
    best : DynamicsRuns
    """
    if len(finalists) == 1:
        return finalists[0]
    suspicion = [runs.calibrate(n_classes)(runs.given_signal) for runs in finalists]
    # Some weight for all, since there may be nothing that all settings trust.
    trust = np.maximum(1 - np.max(suspicion, axis=0), 1e-3)[origin]
    # After an interruption some have one run more.
    n_runs = min(len(runs.trajectories) for runs in finalists)
    aurocs = np.array(
        [[runs.auroc(run, trust) for run in range(n_runs)] for runs in finalists]
    )
    best = int(aurocs.mean(1).argmax())
    lead = aurocs[best] - aurocs[0]
    if n_runs > 1 and lead.mean() <= lead.std(ddof=1) / np.sqrt(n_runs):
        best = 0
    return finalists[best]
