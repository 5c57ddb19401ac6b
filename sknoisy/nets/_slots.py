"""The parts of a net: made from its slots, their parameters checked by name."""

import copy
import inspect
import re

import torch
from torch import nn

from sknoisy._parameters import check_values
from sknoisy.nets._batches import LoaderBatches, TensorBatches
from sknoisy.nets._defaults import default_module, default_optimizer_params
from sknoisy.nets._device import isolated_rng, seed_torch
from sknoisy.nets._modules import MLP
from sknoisy.nets._parameter_names import did_you_mean, signature_of

__all__ = ["SlotsMixin"]

_GROUP = re.compile(r"optimizer__param_groups__(\d+)__(\w+)")

# Scoring needs no gradient memory, and large batches spare calls.
EVAL_BATCH_SIZE = 1024


class SlotsMixin:
    """The part of `NetClassifier` that builds module, criterion and the rest.

    A slot is a constructor parameter such as ``module``, its parameters are named
    ``module__…``. skorch passes them on; here the data's facts are added, and a name
    that nobody takes is an error.
    """

    # Slots of a method whose parameters a fitted net takes at the next fit only.
    _stored_slots = ()

    def build(self, name):
        """Make a component from its slot.

        Parameters
        ----------
        name : str
            "module", "criterion" or a slot that a method adds.

        Returns
        -------
        component : torch module
            On the net's device. Given ``input_shape``, ``n_classes`` and
            ``n_samples`` if its signature asks for them and the user did not set
            them.

        Raises
        ------
        ValueError
            If a ``name__…`` parameter is not in the signature.
        TypeError
            If the component is a function that makes nothing of them, or is or makes
            anything but a torch module or a criterion.
        """
        component = self.component_of(name)
        params = self.get_params_for(name)
        if isinstance(component, nn.Module):
            if not params:
                return self._placed(copy.deepcopy(component))
            component = type(component)
        known, takes_any = signature_of(component)
        facts = self._facts()
        facts = {key: value for key, value in facts.items() if key in known}
        if not takes_any:
            _refuse_unknown(name, component, params, known, facts)
        _refuse_unmade(name, component, {**facts, **params})
        made = component(**{**facts, **params})
        # As skorch, which takes a function as criterion if another one returns it.
        is_criterion = name == "criterion" and callable(made)
        if not isinstance(made, nn.Module) and not is_criterion:
            raise TypeError(
                f"{name} must make a torch module; {_name_of(component)} makes an "
                f"object of type {type(made).__name__}."
            )
        return self._placed(made)

    def _placed(self, component):
        """Put a component where the batches are, and as they lie in memory."""
        if not isinstance(component, nn.Module):
            # A function as criterion.
            return component
        if self._is_channels_last():
            component = component.to(memory_format=torch.channels_last)
        return component.to(self.device_)

    def _is_channels_last(self):
        if self.memory_format == "auto":
            return len(self.input_shape_) == 3
        return self.memory_format == "channels_last"

    def component_of(self, name):
        """Return what fills a slot: the user's class or instance, or the default.

        Parameters
        ----------
        name : str
            Name of the slot, for example "module".

        Returns
        -------
        component : class, callable or torch module
            What the slot is filled with.
        """
        component = getattr(self, name)
        if name == "module" and component is None:
            return self._default_module(self._facts()["input_shape"])
        return component

    def initialize_module(self):
        """Build the module."""
        self.module_ = self.build("module")
        return self

    def initialize_criterion(self):
        """Build the criterion."""
        self.criterion_ = self.build("criterion")
        return self

    def initialize_callbacks(self):
        """Build the callbacks; refuse parameters of callbacks that do not exist."""
        known = {name for name, _ in self._uniquely_named_callbacks()}
        for key in self.get_params_for("callbacks"):
            if key.split("__")[0] not in known:
                raise ValueError(
                    f"callbacks__{key} names no callback; there are {sorted(known)}."
                )
        return super().initialize_callbacks()

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Collect the optimizer's arguments, completed by our defaults."""
        args, params = super().get_params_for_optimizer(prefix, named_parameters)
        optimizer = getattr(self, prefix)
        known, takes_any = signature_of(optimizer)
        if not takes_any:
            _refuse_unknown(prefix, optimizer, params, known, {"params": None})
        return args, default_optimizer_params(optimizer, params, self.device_)

    def set_params(self, **params):
        """Set parameters, those of the parts included.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : NetClassifier
        """
        if self.initialized_:
            # A part is built at once, and nobody else would name it.
            own = self._parameter_constraints
            check_values(self, {k: v for k, v in params.items() if k in own})
        # Stored here, since skorch would build callbacks at once, and refuses the
        # iterators' parameters of a fitted net.
        slots = ("callbacks", "iterator_train__", "iterator_valid__", "optimizer__")
        slots += ("masking",)
        slots += self._stored_slots
        stored = {k: v for k, v in params.items() if k.startswith(slots)}
        groups = {}
        if self.initialized_:
            # As in skorch: a group that the optimizer has now, for this training.
            groups = {k: v for k, v in stored.items() if _GROUP.fullmatch(k)}
            self._check_groups(groups)
            stored = {k: v for k, v in stored.items() if k not in groups}
        vars(self).update(stored)
        self._params_to_validate.update(stored)
        rest = {k: v for k, v in params.items() if k not in (*stored, *groups)}
        if not self.initialized_:
            return super().set_params(**rest)
        live = {k: v for k, v in stored.items() if k.startswith("optimizer__")}
        if live:
            self.get_params_for_optimizer("optimizer", [])
        # As in skorch, a fitted net takes them at once: a new module__hidden starts it
        # anew, a new optimizer__momentum does not.
        with isolated_rng(self.device_):
            seed_torch(self.device_, self.seed_, 0)
            if any(name.startswith("callbacks") for name in stored):
                self._initialize_callbacks()
            return super().set_params(**rest, **live, **groups)

    def _check_groups(self, params):
        known = self.optimizer_.param_groups
        for key in params:
            number, name = _GROUP.fullmatch(key).groups()
            if int(number) >= len(known) or name not in known[int(number)]:
                names = sorted({*known[0]} - {"params"})
                raise ValueError(
                    f"{key} names no setting of the optimizer, which has {len(known)} "
                    f"group(s), numbered from 0, each with {', '.join(names)}."
                )

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if name[0] != "_"]

    def _validate_params(self):
        """Refuse names that skorch would leave unread."""
        # Only now it is known which parts a method has built.
        self._refuse_unexpected(self._params_to_validate)
        super()._validate_params()
        for slot in ("iterator_train", "iterator_valid"):
            self._iterator_params(slot)
        unread = [f"dataset__{name}" for name in self.get_params_for("dataset")]
        if self.callbacks == "disable":
            unread += [f"callbacks__{key}" for key in self.get_params_for("callbacks")]
        if unread:
            raise ValueError(
                f"{', '.join(unread)} would have no effect: the net makes its own "
                "datasets, and disabled callbacks take no parameters."
            )

    def check_slots(self):
        """Refuse names that nobody takes, and parts of the wrong kind.

        Raises
        ------
        TypeError
            If a slot or a callback is of the wrong kind.
        ValueError
            If a parameter has no meaning.
        """
        if isinstance(self.callbacks, list):
            _refuse_no_callbacks(self.callbacks)
        self._refuse_unexpected(
            [key for key in self._params_to_validate if "__" not in key]
        )

    def _refuse_unexpected(self, given):
        unexpected = [
            key
            for key in sorted(given)
            if key not in self.prefixes_
            and not any(key.startswith(slot + "__") for slot in self.prefixes_)
        ]
        if not unexpected:
            return
        known = {*self.get_params(deep=False)} - {*unexpected}
        known |= {slot + "__" for slot in self.prefixes_}
        for slot in ("module", "optimizer", "criterion"):
            part = getattr(self, slot)
            names, _ = signature_of(MLP if slot == "module" and part is None else part)
            known |= {f"{slot}__{name}" for name in names}
        raise ValueError(
            f"{type(self).__name__} got unexpected argument(s) {', '.join(unexpected)}."
            f"{did_you_mean(unexpected[0], known)}"
        )

    def _iterator_params(self, slot):
        iterator = getattr(self, slot)
        size = self.batch_size
        if slot == "iterator_valid" and size != -1:
            size = max(size, EVAL_BATCH_SIZE)
        params = {"batch_size": size, **self.get_params_for(slot)}
        if iterator in (TensorBatches, LoaderBatches):
            shuffle = slot == "iterator_train"
            form = "channels_last" if self._is_channels_last() else "contiguous"
            own = {"device": self.device_, "shuffle": shuffle, "memory_format": form}
            params = {**own, **params}
        known, takes_any = signature_of(iterator)
        if not takes_any:
            _refuse_unknown(slot, iterator, params, known, {"dataset": None})
        return params

    def _facts(self):
        if not hasattr(self, "input_shape_"):
            raise ValueError(
                f"{type(self).__name__} builds its network from the data: call fit or "
                "partial_fit instead of initialize."
            )
        return {
            "input_shape": self.input_shape_,
            "n_classes": len(self.classes_),
            "n_samples": self.rows_fitted_[0],
        }

    def _default_module(self, input_shape):
        return default_module(input_shape)


def _refuse_unmade(slot, component, params):
    """Refuse a class that needs more, and a function such as ``F.cross_entropy``."""
    if inspect.isfunction(component) or inspect.isclass(component):
        parameters = inspect.signature(component).parameters.values()
        any_number = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        needs = [
            p.name
            for p in parameters
            if p.default is p.empty and p.kind not in any_number
        ]
        needs = [key for key in needs if key not in params]
        if needs and inspect.isclass(component):
            raise TypeError(
                f"{component.__name__} needs {', '.join(needs)}: set "
                f"{slot}__{needs[0]}, or take a class that asks for input_shape and "
                "n_classes."
            )
        if needs:
            raise TypeError(
                f"{slot} must be a class or an instance, or a function that makes one; "
                f"{component.__name__} needs {', '.join(needs)}."
            )


def _refuse_unknown(slot, component, params, known, facts):
    unknown = [f"{slot}__{name}" for name in params if name not in known]
    if unknown:
        takes = [key for key in known if key not in facts]
        question = did_you_mean(unknown[0], [f"{slot}__{key}" for key in takes])
        raise ValueError(
            f"{_name_of(component)} takes no {', '.join(unknown)}; it takes "
            f"{', '.join(takes)}.{question}"
        )


def _refuse_no_callbacks(callbacks):
    for item in callbacks:
        is_named = isinstance(item, tuple | list) and len(item) == 2
        callback = item[1] if is_named else item
        if callback is not None and not hasattr(callback, "on_train_begin"):
            raise TypeError(
                "callbacks must be a list of skorch callbacks, or of pairs of a name "
                f"and a callback; got {item!r} in it."
            )


def _name_of(component):
    return getattr(component, "__name__", type(component).__name__)
