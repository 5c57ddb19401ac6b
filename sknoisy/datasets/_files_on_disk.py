"""What the loaders of data sets of image files have in common."""

from __future__ import annotations

from sknoisy._arguments import is_one_of
from sknoisy.datasets._folder import check_reading, labelled_files
from sknoisy.datasets._reading import printable

__all__ = ["check_split", "pairs_of", "read_images", "read_lines"]

# Arguments of `load_image_folder` that say how files are read.
_READING = {
    "size": None,
    "transform": None,
    "train_transform": None,
    "judge_transform": None,
    "mode": "RGB",
    "check": None,
    "unreadable": "raise",
    "duplicates": False,
    "n_jobs": None,
}


def check_split(split, splits):
    """Refuse a split that a data set does not have.

    Raises
    ------
    ValueError
    """
    if not is_one_of(split, splits):
        names = ", ".join(map(repr, splits))
        raise ValueError(f"split must be one of {names}; got {split!r}.")


def read_images(folder, names, labels, clean, classes, reading, usual=None):
    """Return image files with their labels.

    Parameters
    ----------
    folder : str
    names, labels : lists of str
    clean : list of str or None
    classes : list of str
    reading : dict
        What the user gave of the arguments of `load_image_folder`.
    usual : dict or None, default=None
        The transforms of the papers, used if the user gave neither these nor a size.

    Returns
    -------
    data : LabelledImages

    Raises
    ------
    TypeError
        If an argument is unknown.
    """
    unknown = sorted(set(reading) - set(_READING))
    if unknown:
        raise TypeError(
            f"there is no argument {', '.join(unknown)}; those for reading are "
            f"{', '.join(_READING)}."
        )
    size_is_given = {"size", "transform", "train_transform"} & {
        name for name, value in reading.items() if value is not None
    }
    defaults = {} if size_is_given or usual is None else usual
    how = {**_READING, **defaults, **reading}
    size = how.pop("size")
    how["transform"] = check_reading(
        how["check"], how["unreadable"], size, how["transform"]
    )
    return labelled_files(folder, names, labels, clean, classes, **how)


def read_lines(path):
    """Return the lines of a text file that are not empty.

    Parameters
    ----------
    path : str
        UTF-8, with or without a byte order mark.

    Returns
    -------
    lines : list of str
        Without line ends.
    """
    with open(path, encoding="utf-8-sig") as file:
        return [line.rstrip("\r\n") for line in file if line.strip()]


def pairs_of(path, separator=" "):
    """Return the pairs in a text file with a path and a label on each line.

    Parameters
    ----------
    path : str
    separator : str, default=" "
        Before the label, which is what follows the last one.

    Returns
    -------
    pairs : list of (str, str)

    Raises
    ------
    ValueError
        If a line has none.
    """
    pairs = []
    for number, line in enumerate(read_lines(path), 1):
        name, found, label = line.rstrip().rpartition(separator)
        if not found:
            raise ValueError(
                f"{printable(path)}, line {number}: a path and a label are needed; got "
                f"{line!r:.80}."
            )
        pairs.append((name, label))
    return pairs
