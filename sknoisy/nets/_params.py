"""Flat net parameters on estimators that build their own net."""

from __future__ import annotations

import inspect
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

from sklearn.base import clone
from skorch import NeuralNet

from sknoisy._parameters import InstanceOf
from sknoisy._validation import Interval
from sknoisy.nets._net import NetClassifier
from sknoisy.nets._parameter_names import did_you_mean
from sknoisy.nets._slots import check_slots

__all__ = ["NetParamsMixin"]


# Parameters of a net in the signature of such an estimator.
_NAMED = ("module", "max_epochs", "batch_size", "lr", "device", "callbacks")

if TYPE_CHECKING:
    # The base class is from scikit-learn, which has no types.
    _Host = Any
else:
    _Host = object


class NetParamsMixin(_Host):
    """Parameters such as ``module__hidden=64`` for estimators that build a net.

    The estimator has a parameter ``estimator``, has the net's most common parameters
    in its signature, ends it with ``**net_params`` and passes these to
    ``_store_net_params``. They are parameters like any other: ``clone``,
    ``get_params``, ``set_params`` and a grid search see them.
    """

    # None uses the default of the net.
    _parameter_constraints = {
        "estimator": [
            InstanceOf(NeuralNet, "a skorch net, for example NetClassifier(),"),
            None,
        ],
        "verbose": NetClassifier._parameter_constraints["verbose"],
        **{
            name: [c for c in constraints if c is not None] + [None]
            for name, constraints in NetClassifier._parameter_constraints.items()
            if name in _NAMED
        },
        # Detectors score labels by a training, which needs an epoch.
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
    }

    _net_slots = (
        "module",
        "criterion",
        "optimizer",
        "iterator_train",
        "iterator_valid",
        "callbacks",
    )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, including those of the net.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the parameters of the estimators in it as well.

        Returns
        -------
        params : dict
            Parameters by name.
        """
        return {**super().get_params(deep), **self._net_params()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including those of the net.

        Parameters
        ----------
        **params : dict
            Parameters by name, ``module__hidden`` for example.

        Returns
        -------
        self : estimator
            The estimator itself.
        """
        own = {
            key: value for key, value in params.items() if not self._is_net_param(key)
        }
        self._store_net_params({k: v for k, v in params.items() if k not in own})
        return super().set_params(**own)

    def _make_net(self, **defaults):
        """Return an unfitted net: a clone of ``estimator``, or a `NetClassifier`.

        Parameters
        ----------
        **defaults : dict
            Parameters that the method sets on its own net unless the user sets them;
            None sets nothing.

        Raises
        ------
        TypeError
            If ``estimator`` is not a skorch net, or a part is of the wrong kind.
        ValueError
            If both ``estimator`` and parameters of the net are given; or if a parameter
            does not belong to a net.
        """
        self._check_net_params()
        if self.estimator is None:
            own = {name: getattr(self, name) for name in (*_NAMED, "verbose")}
            own = {name: value for name, value in own.items() if value is not None}
            net = NetClassifier(**{**defaults, **own, **self._net_params()})
            check_slots(net)
            return net
        if not isinstance(self.estimator, NeuralNet):
            raise TypeError(
                "estimator must be a skorch net, for example NetClassifier(); got "
                f"{type(self.estimator).__name__}."
            )
        return clone(self.estimator)

    def _check_net_params(self, own=()):
        """Refuse unknown names, and parameters of a net together with ``estimator``.

        ``own`` names parameters of the signature that it has for the estimator, too.
        """
        unknown = [name for name in self._net_params() if not self._is_net_param(name)]
        if unknown:
            slots = ", ".join(f"{slot}__…" for slot in self._net_slots)
            known = {*inspect.signature(type(self)).parameters} - {"net_params"}
            known |= {slot + "__" for slot in self._net_slots}
            raise ValueError(
                f"{type(self).__name__} takes no {', '.join(unknown)}; parameters of "
                f"its network are named {slots}.{did_you_mean(unknown[0], known)}"
            )
        if self.estimator is None:
            return
        signature = inspect.signature(type(self)).parameters
        named = [name for name in _NAMED if name not in own]
        given = [n for n in named if getattr(self, n) != signature[n].default]
        given += self._net_params()
        if given:
            raise ValueError(
                f"{', '.join(given)}: set on the estimator that you give, for example "
                f"estimator__{given[0]}; here they describe the network that "
                f"{type(self).__name__} builds when there is no estimator."
            )

    def _store_net_params(self, net_params):
        # Names are checked at fit, like all parameters.
        self._net_param_names = {*vars(self).get("_net_param_names", ()), *net_params}
        vars(self).update(net_params)

    def _net_params(self):
        return {name: getattr(self, name) for name in sorted(self._net_param_names)}

    def _is_net_param(self, key):
        slot, found, _ = key.partition("__")
        return bool(found) and slot in self._net_slots
