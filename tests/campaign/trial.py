"""One case: what was done in it, and the worst that was seen."""

import contextlib
import io
import warnings

import numpy as np
from error_clarity import judge_error, place_of
from global_state import fingerprint, moved, snapshot

VALID = "valid fit"
CLEAR = "clear error"
UNCLEAR = "unclear error"
WRONG = "silently wrong"
CHANGED = "changed data or state"
OUTCOMES = (VALID, CLEAR, UNCLEAR, WRONG, CHANGED)
BAD = OUTCOMES[2:]

# Warnings that say what the user can do about what they gave.
EXPECTED_WARNINGS = (
    "sknoisy",
    "DataConversionWarning",
    "ConvergenceWarning",
    "UndefinedMetricWarning",
)


class Ended(Exception):
    """The case is over, since the rest of it would need what failed."""


class Trial:
    """One case of the campaign.

    Parameters
    ----------
    seed, number : int
        Both together say everything about the case.
    """

    def __init__(self, seed, number):
        self.rng = np.random.default_rng([seed, number])
        self.number = number
        self.subject = ""
        self.notes = []
        self.written = ""
        self.outcome = VALID
        self.complaint = ""
        self.warnings = []
        self.error = None

    def pick(self, values, weights=None):
        """Draw one of the values."""
        values = list(values)
        if weights is not None:
            weights = np.asarray(weights, float) / np.sum(weights)
        return values[self.rng.choice(len(values), p=weights)]

    def chance(self, share):
        """Return True in a share of the cases."""
        return bool(self.rng.random() < share)

    def note(self, text):
        """Add to what is printed about the case."""
        self.notes.append(text)

    def find(self, outcome, complaint):
        """Record an outcome, if it is worse than the ones before."""
        if OUTCOMES.index(outcome) > OUTCOMES.index(self.outcome):
            self.outcome, self.complaint = outcome, complaint

    def check(self, holds, complaint):
        """Record a result that is wrong."""
        if not holds:
            self.find(WRONG, complaint)

    def call(self, what, function, *, given=(), expect="either", quiet=True):
        """Call a function and judge what happens.

        Parameters
        ----------
        what : str
            For the notes, such as "fit".
        function : callable without arguments
        given : sequence
            The data that it must leave alone.
        expect : {"fits", "refused", "either"}
        quiet : bool
            Whether it must print nothing.

        Returns
        -------
        result : object

        Raises
        ------
        Ended
            If there was an error.
        """
        self.note(what)
        marks = [fingerprint(value) for value in given]
        result, error = self._run(what, function, quiet)
        for place, (value, mark) in enumerate(zip(given, marks, strict=True)):
            if fingerprint(value) != mark:
                self.find(CHANGED, f"{what} changed the data given (number {place})")
        if error is not None:
            self._judge(what, error, expect)
            raise Ended from error
        if expect == "refused":
            self.find(WRONG, f"{what} took what cannot be right")
        return result

    def _run(self, what, function, quiet):
        printed = io.StringIO()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            before = snapshot()
            try:
                with contextlib.redirect_stdout(printed):
                    result, error = function(), None
            except TimeoutError:
                raise
            except (Exception, SystemExit) as caught_error:
                result, error = None, caught_error
            for name in moved(before, snapshot()):
                self.find(CHANGED, f"{what} changed {name}")
        self.warnings += [self._name(w) for w in caught if not self._is_expected(w)]
        if quiet and printed.getvalue():
            self.find(CHANGED, f"{what} printed {printed.getvalue()[:60]!r}")
        return result, error

    def _judge(self, what, error, expect):
        self.error = error
        text = f"{type(error).__name__}: {str(error)[:200]!r} at {place_of(error)}"
        self.note(f"  {text}")
        self.find(CLEAR, "")
        complaint = judge_error(error, self.written)
        if complaint:
            self.find(UNCLEAR, f"{what}: {complaint}; {text}")
        elif expect == "fits":
            self.find(UNCLEAR, f"{what} refused what is right; {text}")

    @staticmethod
    def _is_expected(warning):
        category = warning.category.__name__
        if category in EXPECTED_WARNINGS:
            return True
        if str(warning.message).startswith("X has feature names, but"):
            return True
        ours = any(f"/{name}/" in warning.filename for name in ("sknoisy", "campaign"))
        return ours and issubclass(warning.category, (UserWarning, FutureWarning))

    @staticmethod
    def _name(warning):
        place = "/".join(warning.filename.split("/")[-2:])
        return f"{warning.category.__name__} {str(warning.message)[:90]} ({place})"
