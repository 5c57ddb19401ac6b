"""Small tables for the commands, and a way to run them."""

import numpy as np
import pandas as pd

from sknoisy.command_line import main


def easy_table(n_rows=120):
    """Two classes that a column of numbers tells apart, four labels wrong."""
    rng = np.random.default_rng(0)
    truth = np.arange(n_rows) % 2
    table = pd.DataFrame(
        {
            "length": np.round(4 * truth + rng.normal(size=n_rows), 3),
            "width": np.round(rng.normal(size=n_rows), 3),
            "kind": np.array(["ant", "bee"])[truth],
        }
    )
    wrong = [5, 40, 77, 110]
    table.loc[wrong, "kind"] = np.array(["bee", "ant"])[truth[wrong]]
    return table, wrong


def fails(capsys, argv, status=2):
    """Run a command that must fail; return its one line on stderr."""
    capsys.readouterr()
    assert main([str(word) for word in argv]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sknoisy: ")
    assert err.count("\n") == 1
    return err


def succeeds(capsys, argv):
    """Run a command that must succeed silently on stderr; return its stdout."""
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out
