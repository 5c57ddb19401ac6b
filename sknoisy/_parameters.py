"""Constraints on parameters of estimators, checked at the start of ``fit``."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

from sknoisy._validation import HasMethods, Interval, validate_parameter_constraints

if TYPE_CHECKING:
    from sknoisy._types import Estimator

__all__ = ["InstanceOf", "MakerOf", "N_JOBS", "check_parameters", "check_values"]

# Any number of jobs that joblib accepts; 0 is not allowed.
N_JOBS = [
    Interval(Integral, 1, None, closed="left"),
    Interval(Integral, None, -1, closed="right"),
    None,
]


class MakerOf(HasMethods):
    """Constraint on a slot: a class, a function that makes an instance, or an instance.

    Parameters
    ----------
    base : class
        What the class must be derived from.
    name : str
        Name of the base in messages.
    instances : bool, default=True
        Whether an instance is allowed.
    callables : bool, default=False
        Whether any class is allowed whose instances can be called.
    """

    def __init__(
        self, base: type, name: str, *, instances: bool = True, callables: bool = False
    ) -> None:
        super().__init__(["__call__"])
        self.base = base
        self.name = name
        self.instances = instances
        self.callables = callables

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is allowed."""
        if isinstance(val, type):
            can_call = any("__call__" in vars(base) for base in val.__mro__)
            return issubclass(val, self.base) or (self.callables and can_call)
        if isinstance(val, self.base):
            return self.instances
        return callable(val)

    def __str__(self):
        kinds = "class, instance" if self.instances else "class"
        return f"a {self.name} ({kinds} or function that makes one)"


class InstanceOf(HasMethods):
    """Constraint on a part: an instance of a class, with its own text in messages.

    Parameters
    ----------
    base : class
        What the part must be an instance of.
    words : str
        What the part must be, in messages.
    """

    def __init__(self, base: type, words: str) -> None:
        super().__init__(["__call__"])
        self.base = base
        self.words = words

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is allowed."""
        return isinstance(val, self.base)

    def __str__(self):
        return self.words


def check_parameters(estimator: Estimator) -> None:
    """Check an estimator's own parameters against ``_parameter_constraints``.

    Parameters
    ----------
    estimator : estimator
        Its attributes of the same names are checked.

    Raises
    ------
    InvalidParameterError
        A ValueError and TypeError with the name of the parameter, its constraint and
        the given value.
    """
    names = estimator._parameter_constraints
    check_values(estimator, {name: getattr(estimator, name) for name in names})


def check_values(estimator, values):
    """Check values against the constraints on some parameters of an estimator.

    Parameters
    ----------
    estimator : estimator
    values : dict
        Values by the names of their parameters.

    Raises
    ------
    InvalidParameterError
        As in `check_parameters`.
    """
    validate_parameter_constraints(
        {name: estimator._parameter_constraints[name] for name in values},
        values,
        caller_name=type(estimator).__name__,
    )
