"""Flat net parameters on estimators that build their own net."""

__all__ = ["NetParamsMixin"]


class NetParamsMixin:
    """Let an estimator take ``module__hidden=64`` and hand it to its net.

    The estimator's ``__init__`` ends with ``**net_params`` and passes them to
    `_store_net_params`; `_net_params` returns them for the net's constructor. They are
    parameters like any other: ``clone``, ``get_params``, ``set_params`` and a grid
    search see them.
    """

    _net_slots = (
        "module",
        "criterion",
        "optimizer",
        "iterator_train",
        "iterator_valid",
        "callbacks",
    )

    def get_params(self, deep=True):
        """Return the parameters, those of the net included.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        params : dict
        """
        return {**super().get_params(deep), **self._net_params()}

    def set_params(self, **params):
        """Set parameters, those of the net included.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : estimator
        """
        own = {key: value for key, value in params.items() if not self._is_net(key)}
        self._store_net_params({k: v for k, v in params.items() if k not in own})
        return super().set_params(**own)

    def _store_net_params(self, net_params):
        for key, value in net_params.items():
            if not self._is_net(key):
                slots = ", ".join(f"{slot}__…" for slot in self._net_slots)
                raise TypeError(
                    f"{type(self).__name__} got an unexpected argument {key!r}; "
                    f"parameters of its network are named {slots}."
                )
            setattr(self, key, value)

    def _net_params(self):
        return {key: value for key, value in vars(self).items() if self._is_net(key)}

    def _is_net(self, key):
        slot, found, _ = key.partition("__")
        return bool(found) and slot in self._net_slots
