"""Write the files of a report."""

from __future__ import annotations

import os
from pathlib import Path

from sknoisy._regular_files import written_in_one_step

__all__ = ["exists_already", "write_text"]


def write_text(path: str | os.PathLike[str], text: str, overwrite: bool) -> Path:
    """Write a text in UTF-8, as it is, in one step.

    Parameters
    ----------
    path : str or path-like
    text : str
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    path : Path

    Raises
    ------
    FileExistsError
        If the file exists and may not be replaced.
    """
    path = Path(path)
    try:
        with written_in_one_step(path, overwrite=overwrite) as draft:
            # A lone surrogate has no UTF-8 form; it should not prevent writing the
            # page.
            draft.write_text(text, encoding="utf-8", errors="replace", newline="")
    except FileExistsError as error:
        raise exists_already(path) from error
    return path


def exists_already(path: Path) -> FileExistsError:
    """Return the error for a file that may not be replaced."""
    return FileExistsError(
        f"{path} exists already; pass overwrite=True to replace it, or another path."
    )
