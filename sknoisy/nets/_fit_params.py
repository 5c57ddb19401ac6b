"""Further arguments of ``fit``: who takes them, the module or the validation split."""

from sklearn.utils.metadata_routing import process_routing
from torch import nn

from sknoisy._validation import routes_metadata
from sknoisy.nets._parameter_names import did_you_mean, signature_of
from sknoisy.nets._refusals import has_own_step

__all__ = ["check_fit_params", "for_module", "for_split", "refuse_untaken"]

# Arguments of the functions of skorch that hand the others on.
_RESERVED = frozenset(
    ("batch", "epochs", "iterator", "prefix", "step_fn", "training", "x", "y")
)


def check_fit_params(net, fit_params, method):
    """Refuse arguments of ``fit`` before the data are looked at.

    Parameters
    ----------
    net : NetClassifier
    fit_params : dict
        What ``fit`` was given beside data and weights.
    method : {"fit", "partial_fit"}
        Which of them was called.

    Raises
    ------
    TypeError
        If scikit-learn's metadata routing is enabled and nobody requests one of them;
        if skorch's loop has an argument of that name; or if only the module could take
        it, and the method calls that with rows alone.
    ValueError
        If ``checkpoint`` is set, which does not store them.
    """
    if not fit_params:
        return
    if routes_metadata():
        process_routing(net, method, **fit_params)
    reserved = sorted(_RESERVED & {*fit_params})
    if reserved:
        more = " For more epochs set max_epochs." if "epochs" in reserved else ""
        raise TypeError(
            f"{_unexpected(net, method, reserved)}: skorch's training loop has an "
            f"argument of this name; the module or train_split needs another.{more}"
        )
    if not _hands_on(net):
        rest = sorted({*fit_params} - {*for_split(net, fit_params)})
        if rest:
            name = type(net).__name__
            who = f"training_loss of {name}" if has_own_step(net) else "masked training"
            raise TypeError(
                f"{_unexpected(net, method, rest)}: train_split does not take it, and "
                f"the {who} calls the module with rows alone."
                f"{_question(net, method, rest)}"
            )
    if net.checkpoint is not None:
        raise ValueError(
            f"checkpoint does not store {', '.join(sorted(fit_params))}, so that a "
            "training could go on with other values. Set checkpoint=None."
        )


def refuse_untaken(net, fit_params, method):
    """Refuse arguments of ``fit`` that neither module nor split takes.

    Parameters
    ----------
    net : NetClassifier
        Its module is built.
    fit_params : dict
    method : {"fit", "partial_fit"}

    Raises
    ------
    TypeError
        If there is one that nobody takes.
    """
    split = for_split(net, fit_params)
    rest = sorted({*fit_params} - {*split} - {*for_module(net, fit_params)})
    if rest:
        module = getattr(net, "module_", None)
        name = type(getattr(module, "_orig_mod", module)).__name__
        raise TypeError(
            f"{_unexpected(net, method, rest)}: neither {name}.forward nor train_split "
            f"takes it.{_question(net, method, rest)}"
        )


def for_module(net, fit_params):
    """Return the arguments of ``fit`` that the module is called with.

    Parameters
    ----------
    net : NetClassifier
    fit_params : dict

    Returns
    -------
    fit_params : dict
        Those that ``forward`` takes; none if the method does not hand them on.
    """
    module = getattr(net, "module_", None)
    if not fit_params or not _hands_on(net) or not isinstance(module, nn.Module):
        return {}
    return _taken(getattr(module, "_orig_mod", module).forward, fit_params, 1)


def for_split(net, fit_params):
    """Return the arguments of ``fit`` that ``train_split`` is called with.

    Parameters
    ----------
    net : NetClassifier
    fit_params : dict

    Returns
    -------
    fit_params : dict
        Those that it takes.
    """
    return _taken(net.train_split, fit_params, 2) if net.train_split else {}


def _hands_on(net):
    return not has_own_step(net) and net.masking is None


def _unexpected(net, method, names):
    given = ", ".join(names)
    return f"{type(net).__name__}.{method} got unexpected argument(s) {given}"


def _question(net, method, names):
    known, _ = signature_of(getattr(net, method))
    return did_you_mean(names[0], {*known} - {"fit_params"})


def _taken(function, params, n_data):
    """Return the parameters that a function takes beside its first, the data."""
    names, takes_any = signature_of(function)
    data, names = names[:n_data], names[n_data:]
    return {
        key: value
        for key, value in params.items()
        if key in names or (takes_any and key not in data)
    }
