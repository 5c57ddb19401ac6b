"""Names of the parameters and attributes that a file may set."""

import inspect
import os
from typing import Any

__all__ = ["check_names", "is_path", "looks_learnt", "of_a_fit"]

# A fit would unpickle files found there, or write into that folder, so the path must
# not come from a file.
_PATHS = ("cache", "checkpoint", "memory")
# Other options of torch.compile can make it run programs.
_OF_COMPILE = ("backend", "dynamic", "fullgraph", "mode")
# Private names under which estimators of other packages store learnt attributes.
_PRIVATE = set(
    """
    _columns _drop_idx_after_grouping _fill_dtype _fit_dtype _fit_svd_solver
    _infrequent_enabled _label_binarizer _label_encoder _max_components _max_features
    _max_samples _missing_indices _n_feature_outs _n_features _n_features_out
    _n_features_outs _n_samples _n_samples_bootstrap _precomputed _remainder
    _sample_weight _scaler _seeds _sklearn_output_config _stop_words_id _strategy
    _tfidf _transformer_to_input_indices
    """.split()
)
# skorch's lists of names of a net's parts.
_LISTS = {
    *("_modules", "_criteria", "_optimizers", "_params_to_validate"),
    *("prefixes_", "cuda_dependent_attributes_"),
}


def is_path(name: str, value: Any) -> bool:
    """Return whether a value tells the next fit where to find a pickle or a program.

    Parameters
    ----------
    name : str
        Name of a parameter, attribute, keyword or key, such as ``net__checkpoint``.
    value : object

    Returns
    -------
    is_path : bool
    """
    *owners, own = name.split("__")
    if value is None or own == "torch_load_kwargs":
        return value is not None
    if owners and owners[-1] == "compile":
        return own not in _OF_COMPILE or not isinstance(value, str | bool)
    if own not in _PATHS:
        return False
    return isinstance(value, str | os.PathLike | dict) or hasattr(value, "cache")


def check_names(
    kind: type, params: dict[str, Any], learnt: dict[str, Any], *, is_known: bool
) -> None:
    """Check the names of the parameters and of the learnt attributes.

    Parameters
    ----------
    kind : type
        Class of the estimator.
    params, learnt : dict of str to object
    is_known : bool
        Whether the caller trusts the class.

    Raises
    ------
    ValueError
        If a name is not allowed; with the first such name.
    """
    names, takes_any = _parameters(kind)
    for name in params:
        # skorch's get_params includes these lists.
        is_any = takes_any and (not looks_learnt(name) or name in _LISTS)
        if name not in names and not is_any:
            raise ValueError(f"{kind.__name__} has no parameter {name!r:.60}")
    for name in learnt:
        is_free = name not in names and (not takes_any or looks_learnt(name))
        if not is_free or not _can_be_learnt(kind, params, name, is_known):
            raise ValueError(
                f"{kind.__name__} cannot have the learnt attribute {name!r:.60}"
            )
    for name in _LISTS.intersection([*params, *learnt]):
        if not _is_list_of_names({**params, **learnt}[name]):
            raise ValueError(f"{name} must be a list of names")


def of_a_fit(kind: type) -> frozenset[str]:
    """Return the names of attributes that exist only during a fit.

    They are not saved. Files of 0.1.0 hold some of them, which are dropped on loading.

    Parameters
    ----------
    kind : type
        Class of the estimator.

    Returns
    -------
    names : frozenset of str
        Those that a net declares; empty for other classes.
    """
    return frozenset(getattr(kind, "fit_only_attributes_", ()))


def looks_learnt(name: str) -> bool:
    """Return whether a name begins or ends with an underscore."""
    return name.startswith("_") or name.endswith("_")


def _can_be_learnt(
    kind: type, params: dict[str, Any], name: str, is_known: bool
) -> bool:
    if name in _LISTS or name in _PRIVATE:
        return True
    if name.startswith("_"):
        # Not an attribute of the class, such as constraints or lists of parts.
        is_ours = kind.__module__.startswith("sknoisy.") or is_known
        return is_ours and inspect.getattr_static(kind, name, None) is None
    if name.endswith("_") or is_known:
        return True
    # Some constructors also set other attributes.
    return name in vars(kind(**params))


def _parameters(kind: type) -> tuple[set[str], bool]:
    """Return the constructor's parameters, and whether it accepts ``**kwargs``."""
    found = inspect.signature(kind).parameters.values()
    names = {each.name for each in found if each.kind is not each.VAR_KEYWORD}
    return names, len(names) < len(found)


def _is_list_of_names(value: Any) -> bool:
    is_list = isinstance(value, list | tuple | set)
    return is_list and all(type(name) is str for name in value)
