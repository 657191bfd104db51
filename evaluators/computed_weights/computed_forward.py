"""Forward pass of a module that finds its computed weights as parameters.

While the module runs, a mode of torch sees every function called. A call of a chain that computes a weight is known by its
key: the function, its constants and which of the module's tensors it gets. The last one returns the parameter, those before
it return empty tensors of the right shape. So nothing depends on the order of calls, and code that goes another way for
other inputs still computes what it needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from palettune.device_bench.library_internals import buffer_slots
from palettune.device_bench.model.outputs import map_tensors, tensors
from palettune.evaluators.computed_weights.call_key import (
    SET_DATA,
    CallKey,
    call_key,
    function_name,
    is_metadata,
    is_update,
)
from palettune.evaluators.library_internals import own_parameters
from palettune.space.errors import UserError

__all__ = ["ComputedForward", "ComputedWeightError", "HeldAt", "Interceptions", "Leave", "Rerun", "Take"]


class ComputedWeightError(UserError):
    """A weight that a module computes otherwise for some inputs than for the example inputs."""


@dataclass(frozen=True)
class HeldAt:
    """Place of a tensor: the name of a module below the intercepted one, and that of the attribute."""

    module: str
    name: str

    def get(self, root: nn.Module) -> Tensor:
        """Return the tensor; never one that a property would compute."""
        owner = root.get_submodule(self.module)
        for held in (own_parameters(owner), buffer_slots(owner), vars(owner)):
            found = held.get(self.name)
            if isinstance(found, Tensor):
                return found
        raise AttributeError(f"{self.module}.{self.name}".strip("."))


@dataclass(frozen=True)
class Take:
    """Return a parameter instead of calling the function.

    Attributes:
        number: its own, or that of the tensor whose place it has taken.
        alias: return a tensor on the same memory, since an attribute of a module is set to it.
    """

    place: HeldAt
    number: int
    alias: bool = False


@dataclass(frozen=True)
class Leave:
    """Return empty tensors instead of calling the function.

    Attributes:
        numbers: of the tensors.
        forms: shape and type of each.
        kind: what holds them, ``tuple`` or ``list``; ``Tensor`` for a single one.
    """

    numbers: tuple[int, ...]
    forms: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    kind: type


@dataclass(frozen=True)
class Rerun:
    """Call the function, and number what it returns."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Interceptions:
    """Calls that a module's forward pass takes from elsewhere instead of computing them.

    Attributes:
        sources: where the numbered tensors are that chains begin with.
        replaced: numbers of those that hold a computed weight instead of their own value.
        steps: by the key of the call.
    """

    sources: Mapping[int, HeldAt] = field(default_factory=dict)
    replaced: frozenset[int] = frozenset()
    steps: Mapping[CallKey, Take | Leave | Rerun] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Interceptions:
        return self  # holds names and numbers only


class ComputedForward:
    """Replacement of a module's ``forward``, with its signature; it is copied and pickled with the module.

    Args:
        module: whose forward pass computes weights.
        interceptions: what it takes instead.
    """

    def __init__(self, module: nn.Module, interceptions: Interceptions) -> None:
        self.module = module
        self.interceptions = interceptions
        self.own: Callable[..., Any] | None = vars(module).get("forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module's own forward pass."""
        with _Interception(self.module, self.interceptions):
            return self._forward(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._forward)

    @property
    def __code__(self) -> CodeType:
        code: CodeType = self._forward.__code__  # where torch.export says that an input comes from
        return code

    @property
    def _forward(self) -> Callable[..., Any]:
        forward: Callable[..., Any] = self.own or type(self.module).forward.__get__(self.module)
        return forward


class _Interception(TorchFunctionMode):
    """Answers the calls of one forward pass."""

    def __init__(self, module: nn.Module, interceptions: Interceptions) -> None:
        super().__init__()
        self._module = module
        self._steps = interceptions.steps
        found = {number: place.get(module) for number, place in interceptions.sources.items()}
        self._numbers = {id(tensor): number for number, tensor in found.items()}
        self._replaced = {id(found[number]) for number in interceptions.replaced}
        self._device = next(iter(found.values())).device
        self._alive: list[Tensor] = []  # else an id could come again
        self._left: dict[int, tuple[int, Any, Any, Any]] = {}  # where in the result of which call

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and type(args[0]) is Tensor and id(args[0]) not in self._numbers and not self._left:
            return func(*args, **kwargs)  # the usual case, at the least cost
        key = call_key(func, args, kwargs, self._numbers)
        step = None if key is None else self._steps.get(key)
        if isinstance(step, Take):
            return self._take(step, args[0] if is_update(func) else None)
        if isinstance(step, Leave):
            return (self._later if is_update(func) else self._leave)(step, (func, args, kwargs))
        if step is None:
            if self._replaced and func == SET_DATA and id(args[0]) in self._replaced:
                return self._check_same(*args)
            return self._call(func, args, kwargs)
        result = self._call(func, args, kwargs)
        for number, tensor in zip(step.numbers, tensors(result), strict=False):
            self._known(tensor, number)
        return result

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        if self._left and not is_metadata(func):
            args, kwargs = map_tensors(self._real, args), map_tensors(self._real, kwargs)
        return func(*args, **kwargs)

    def _check_same(self, parameter: Tensor, data: Tensor) -> None:
        """Leave a parameter that holds the computed data already; refuse any other."""
        if self._numbers.get(id(data)) != self._numbers[id(parameter)]:
            raise self._other_way(SET_DATA)

    def _take(self, step: Take, written: Tensor | None) -> Tensor:
        """The parameter; a tensor that would have become it stands for it, too."""
        taken = step.place.get(self._module)
        if written is not None:
            self._left[id(self._known(written, step.number))] = (0, _same, (taken,), {})
        return self._known(taken.view_as(taken) if step.alias else taken, step.number)

    def _later(self, step: Leave, call: tuple[Any, Any, Any]) -> Tensor:
        """A tensor that is not written unless something needs what it becomes."""
        func, args, kwargs = call
        written: Tensor = args[0]
        before = written.clone()
        if id(written) in self._left:
            self._left[id(before)] = self._left[id(written)]
        self._alive.append(before)
        self._left[id(written)] = (0, partial(_updated, func), (before, *args[1:]), kwargs)
        return self._known(written, step.numbers[0])

    def _known(self, tensor: Tensor, number: int) -> Tensor:
        self._numbers[id(tensor)] = number
        self._alive.append(tensor)
        return tensor

    def _leave(self, step: Leave, call: tuple[Any, Any, Any]) -> Any:
        made = []
        for position, (number, (shape, dtype)) in enumerate(zip(step.numbers, step.forms, strict=True)):
            value = torch.nan if dtype.is_floating_point else 0
            empty = torch.full((), value, dtype=dtype, device=self._device).expand(shape)
            self._left[id(empty)] = (position, *call)
            made.append(self._known(empty, number))
        return made[0] if step.kind is Tensor else step.kind(made)

    def _real(self, tensor: Tensor) -> Tensor:
        """What an empty tensor stands for, where something needs it after all."""
        if id(tensor) not in self._left:
            return tensor
        position, func, args, kwargs = self._left[id(tensor)]
        if func is not _same and any(id(given) in self._replaced for given in tensors((args, kwargs))):
            raise self._other_way(func)
        result = func(*map_tensors(self._real, args), **map_tensors(self._real, kwargs))
        return tensors(result)[position]

    def _other_way(self, func: Callable[..., Any]) -> ComputedWeightError:
        return ComputedWeightError(
            f"{type(self._module).__name__}.forward computes its weight otherwise for these inputs than for "
            f"example_inputs(), at {function_name(func)}: compute it once in model() and hold it as a parameter"
        )


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _updated(func: Callable[..., Any], before: Tensor, *others: Any, **options: Any) -> Any:
    """What a tensor becomes, each time it is asked for."""
    return func(before.clone(), *others, **options)
