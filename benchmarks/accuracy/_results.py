"""Records of what a benchmark measured, in a JSON-lines file that a run goes on with.

The page "Benchmarks" of the user guide is made from such files by
``benchmarks/page.py``.
"""

import json
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import sklearn
import skorch
import torch

import sknoisy

__all__ = ["Results", "command_of", "hardware", "origin", "versions"]


def hardware(device=None):
    """Return the processor in words."""
    if torch.cuda.is_available() and device != "cpu":
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)"


def versions(*peers):
    """Return what the figures depend on, with other packages if they are there."""
    found = {m.__name__: m.__version__ for m in (sknoisy, torch, skorch, sklearn, np)}
    for peer in peers:
        try:
            found[peer] = version(peer)
        except PackageNotFoundError:
            # Not installed, or imported from a folder that says no version.
            continue
    return {"python": platform.python_version(), **found}


def command_of(script):
    """Return the command line of this run, but for the file of results.

    Parameters
    ----------
    script : str
        Its path in the repository.
    """
    given = sys.argv[1:]
    if "--results" in given:
        at = given.index("--results")
        del given[at : at + 2]
    return " ".join(["OMP_NUM_THREADS=1 python", script, *map(shlex.quote, given)])


def origin(command, *peers):
    """Return what a record says of the run: date, command, hardware and versions.

    Parameters
    ----------
    command : str
        What prints the record, as a reader would type it.
    *peers : str
        Names of other packages that were measured.
    """
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "hardware": hardware(),
        "versions": versions(*peers),
    }


class Results:
    """Records in a JSON-lines file; those of a killed run are kept.

    Parameters
    ----------
    path : Path or None
        None keeps them in memory.
    """

    def __init__(self, path):
        self.path = path
        self.records = []
        if path is None or not path.exists():
            return
        lines = path.read_text().splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            # Half a line: the run was killed while it wrote.
            path.write_text("".join(lines[:-1]))
            lines.pop()
        self.records = [json.loads(line) for line in lines]

    def find(self, key):
        """Return the record of a cell, or None."""
        same = (r for r in self.records if all(r.get(k) == v for k, v in key.items()))
        return next(same, None)

    def add(self, record):
        """Keep a record."""
        self.records.append(record)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
