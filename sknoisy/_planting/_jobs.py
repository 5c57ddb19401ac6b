"""Trainings that do not depend on one another, some at a time in other processes.

They are given to joblib, so that its backend decides where they run: in processes of
this machine, or on the machines of a cluster.
"""

import traceback
from contextlib import nullcontext

from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed

from sknoisy._interruption import interruptions, needs_whole
from sknoisy._planting._fits import as_one_of_several, competes, returned_as
from sknoisy._progress import muted
from sknoisy._row_source import RowSource

__all__ = ["Jobs", "result_of"]


class Jobs:
    """Runs tasks, to be used in a ``with`` statement: the workers stay for its block.

    The results are those of one after the other. Workers compute with as many threads
    of torch as this process, since the number changes the last bits of a sum. A large
    array in a task is written to a file once, which all workers of a machine map into
    their memory.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Tasks at a time, by joblib's rules.

    Attributes
    ----------
    n : int
        How many are run at a time.

    Examples
    --------
    >>> from sknoisy._planting._jobs import Jobs
    >>> with Jobs() as jobs:
    ...     list(jobs.results([(divmod, 7, 2), (pow, 2, 5)]))
    [(3, 1), 32]
    """

    def __init__(self, n_jobs=None):
        self.n = effective_n_jobs(n_jobs)
        self._parallel = None
        if self.n > 1:
            # Of read-only arrays torch would need a copy for each worker.
            how = {"return_as": returned_as(), "mmap_mode": "c"}
            self._parallel = Parallel(n_jobs, **how)

    def __enter__(self):
        if self._parallel is not None:
            self._parallel.__enter__()
        return self

    def __exit__(self, *error):
        if self._parallel is not None:
            self._parallel.__exit__(*error)

    def results(self, tasks, kept=FloatingPointError):
        """Yield the result of each task, in their order.

        Parameters
        ----------
        tasks : list of (function, *args)
            For workers they must be picklable, as joblib understands it.
        kept : class of Exception, default=FloatingPointError
            Errors that are results, too: that one training diverges tells nothing about
            the others.

        Yields
        ------
        result : object
            What the function returned, or such an error.

        Raises
        ------
        Exception
            Any other error of a task, once it is its turn.
        """
        if self._parallel is None or len(tasks) < 2:
            for function, *args in tasks:
                try:
                    result = function(*args)
                except kept as error:
                    result = error
                yield result
            return
        results = self._start(tasks)
        try:
            for result in results:
                if _is_error(result) and not isinstance(result, kept):
                    raise result
                yield result
        finally:
            # Tasks that are not needed any more run to their end: joblib warns when
            # they are called off.
            for _ in results:
                pass

    def _start(self, tasks):
        import torch

        for source in (a for _, *args in tasks for a in args):
            if isinstance(source, RowSource):
                # Once here, or each worker would.
                source.before_shuffling()
        how = torch.get_num_threads(), needs_whole(), competes()
        yield from self._parallel(
            delayed(_in_worker)(function, how, *args) for function, *args in tasks
        )


def result_of(result):
    """Return a result of a task, or raise it if it is an error.

    Parameters
    ----------
    result : object
        As `Jobs.results` yields it.

    Returns
    -------
    result : object
    """
    if _is_error(result):
        raise result
    return result


def _is_error(result):
    return isinstance(result, Exception)


def _in_worker(function, how, *args):
    """Run a task as in the calling process; return its result, or its error."""
    import torch

    n_threads, is_whole, is_candidate = how
    before = torch.get_num_threads()
    if before != n_threads:
        torch.set_num_threads(n_threads)
    context = as_one_of_several() if is_candidate else nullcontext()
    whole = interruptions("raise") if is_whole else nullcontext()
    try:
        with muted(), context, whole:
            return function(*args)
    except Exception as error:
        # The traceback does not travel.
        error.add_note("In a worker:\n" + traceback.format_exc())
        return error
    finally:
        if before != n_threads:
            torch.set_num_threads(before)
