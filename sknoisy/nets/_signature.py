"""Signatures that name what a constructor hands on."""

import inspect

__all__ = ["name_what_is_handed_on"]


def name_what_is_handed_on(cls):
    """Let ``__init__`` name the parameters that it hands on as keywords.

    scikit-learn takes the defaults from the signature of ``__init__`` when it prints an
    estimator or draws its diagram, and shows what differs. What hides behind
    ``**net_params`` would be shown always. The class itself keeps the signature that
    is written, which is short, for ``help`` and editors.

    Parameters
    ----------
    cls : class
        A net. Left alone if it inherits ``__init__``, or takes no ``**``.
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
