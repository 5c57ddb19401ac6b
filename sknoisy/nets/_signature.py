"""Signatures with the parameters that a constructor passes on."""

import inspect

__all__ = ["name_what_is_handed_on"]


def name_what_is_handed_on(cls):
    """Add the parameters that ``__init__`` passes on as keywords to its signature.

    scikit-learn reads the defaults from the signature of ``__init__`` when it prints an
    estimator or draws its diagram, and shows parameters that differ. Those in
    ``**net_params`` would always be shown. The class keeps its short signature for
    ``help`` and editors.

    Parameters
    ----------
    cls : class
        A net. Not changed if it inherits ``__init__``, or has no ``**`` parameters.
    """
    init = vars(cls).get("__init__")
    if init is None:
        return
    written = inspect.signature(init)
    named = dict(written.parameters)
    if all(p.kind is not p.VAR_KEYWORD for p in named.values()):
        return
    for base in cls.__mro__[1:]:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        for parameter in parameters:
            if parameter.kind in (
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            ):
                keyword = parameter.replace(kind=parameter.KEYWORD_ONLY)
                named.setdefault(parameter.name, keyword)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    in_order = sorted(named.values(), key=lambda parameter: parameter.kind)
    init.__signature__ = inspect.Signature(in_order)
    cls.__signature__ = written.replace(parameters=[*written.parameters.values()][1:])
