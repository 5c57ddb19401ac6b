"""Suggestions for misspelt parameters."""

import difflib
import inspect

__all__ = ["did_you_mean", "signature_of"]


def did_you_mean(name, known):
    """Return a question that suggests a similar name, or an empty string.

    Parameters
    ----------
    name : str
        The unknown name.
    known : iterable of str
        Known names.

    Returns
    -------
    question : str
        Begins with a space.

    Examples
    --------
    >>> from sknoisy.nets._parameter_names import did_you_mean
    >>> did_you_mean("max_epoch", ["max_epochs", "lr"])
    ' Did you mean max_epochs?'
    >>> did_you_mean("foo", ["max_epochs", "lr"])
    ''
    """
    known = sorted(known)
    parts = [key for key in known if "__" in key and key.split("__")[-1] == name]
    slot, found, rest = name.partition("__")
    slots = [key for key in known if key.endswith("__")]
    for prefix in slots:
        if not found and name.startswith(prefix[:-2] + "_"):
            parts.append(prefix + name.removeprefix(prefix[:-2]).lstrip("_"))
    if found and slot + found not in slots:
        near = difflib.get_close_matches(slot, [key[:-2] for key in slots], 1)
        parts += [f"{other}__{rest}" for other in near]
    likely = parts or difflib.get_close_matches(name, known, 1)
    return f" Did you mean {likely[0]}?" if likely else ""


def signature_of(component):
    """Return the parameter names of a callable, and whether it accepts any.

    Parameters
    ----------
    component : callable

    Returns
    -------
    names : list of str
    takes_any : bool
        Also True if it has no signature, as some functions written in C.
    """
    try:
        parameters = inspect.signature(component).parameters.values()
    except (TypeError, ValueError):
        return [], True
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return [p.name for p in parameters], takes_any
