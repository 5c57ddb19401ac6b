"""A schedule of measured tasks on more workers than there are.

`Recording` is a backend of joblib that runs each task at once, here, and notes its CPU
time and the bytes that would be sent. `finish` then deals the tasks out to any number
of workers:

- The caller sends tasks in their order: each takes it the measured time of a dispatch,
  and the bytes of the message pass its link, one message after the other. A worker is
  sent the rows with its first task.
- A task runs on the worker that is free first, and takes its measured CPU time.
- Results pass the link the other way, one after the other.
- A call of joblib ends when all its results are there; what the caller computes outside
  of tasks nobody shares. A grid is one call, each round of a race is one.

Workers have started, all cores are as fast as this one, and memory bandwidth is not
shared. Real clusters do worse.
"""

import heapq
import time
from dataclasses import dataclass

import cloudpickle
from joblib import parallel_config
from joblib.parallel import ParallelBackendBase

__all__ = ["Link", "Recording", "Task", "Work", "finish", "limits", "recorded"]


@dataclass
class Task:
    """CPU seconds, and the bytes of a message (without the rows) and of its result."""

    seconds: float
    sent: int
    returned: int


@dataclass
class Work:
    """Calls of joblib, each a list of tasks; and seconds of the caller beside them."""

    calls: list
    alone: float
    row_bytes: int

    @property
    def seconds(self):
        """CPU seconds of all tasks."""
        return sum(task.seconds for call in self.calls for task in call)

    @property
    def n_tasks(self):
        """Number of all tasks."""
        return sum(map(len, self.calls))


@dataclass
class Link:
    """What it costs the caller to send: seconds a task, and seconds a byte."""

    dispatch: float
    per_byte: float


class Recording(ParallelBackendBase):
    """Pretends to have workers, and runs each task at once.

    Parameters
    ----------
    n_workers : int
        As many as a caller is told there are.
    row_bytes : int
        Left out of the messages.
    """

    def __init__(self, n_workers, row_bytes):
        super().__init__(nesting_level=0)
        self.n_workers, self.row_bytes = n_workers, row_bytes
        self.calls, self.pickling = [], 0.0

    def effective_n_jobs(self, n_jobs):
        """Return the number of workers."""
        return self.n_workers

    def start_call(self):
        """Begin a list of tasks."""
        self.calls.append([])

    def submit(self, func, callback=None):
        """Run a task."""
        start = time.process_time()
        sent = max(len(cloudpickle.dumps(func)) - self.row_bytes, 0)
        begin = time.process_time()
        result = func()
        end = time.process_time()
        returned = len(cloudpickle.dumps(result))
        self.pickling += begin - start + time.process_time() - end
        self.calls[-1].append(Task(end - begin, sent, returned))
        callback(result)
        return _Done(result)


class _Done:
    def __init__(self, result):
        self.get = lambda timeout=None: result


def recorded(n_workers, row_bytes, run):
    """Return the work of a function that calls joblib, as if there were workers."""
    backend = Recording(n_workers, row_bytes)
    start = time.process_time()
    with parallel_config(backend=backend, n_jobs=n_workers):
        run()
    total = time.process_time() - start - backend.pickling
    work = Work([call for call in backend.calls if call], 0.0, row_bytes)
    work.alone = total - work.seconds
    return work


def finish(work, n_workers, link):
    """Return the seconds that some workers take for all calls, and the caller."""
    now, served = work.alone, set()
    for call in work.calls:
        free = [(now, worker) for worker in range(n_workers)]
        sent_at, ends = now, []
        for task in call:
            free_at, worker = heapq.heappop(free)
            n_bytes = task.sent + (0 if worker in served else work.row_bytes)
            served.add(worker)
            sent_at += link.dispatch + n_bytes * link.per_byte
            end = max(free_at, sent_at) + task.seconds
            heapq.heappush(free, (end, worker))
            ends.append((end, task.returned))
        for end, returned in sorted(ends):
            now = max(now, end) + returned * link.per_byte
    return now


def limits(work, n_workers, link):
    """Return lower bounds of that time, by what sets them."""
    longest = sum(max(task.seconds for task in call) for call in work.calls)
    n_served = min(n_workers, max(map(len, work.calls)))
    n_bytes = n_served * work.row_bytes
    n_bytes += sum(task.sent for call in work.calls for task in call)
    return {
        "the tasks over the workers": work.alone + work.seconds / n_workers,
        "the longest task of each call": work.alone + longest,
        "the caller, who sends": work.alone
        + work.n_tasks * link.dispatch
        + n_bytes * link.per_byte,
    }
