"""Run a test in a process that has no other threads.

The workers of a loader are forked. A process that has run other tests has threads of
joblib, dask, polars and others: a forked copy may wait for ever for a lock that one of
them held.
"""

import concurrent.futures
import functools
import importlib
import multiprocessing

import torch


def in_new_process(test):
    """Let a test function of a module, not of a class, run in the process."""

    @functools.wraps(test)
    def run(**fixtures):
        _process().submit(_call, test.__module__, test.__name__, fixtures).result()

    return run


@functools.cache
def _process():
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(1, mp_context=context)


def _call(module, name, fixtures):
    torch.set_num_threads(1)
    getattr(importlib.import_module(module), name).__wrapped__(**fixtures)
