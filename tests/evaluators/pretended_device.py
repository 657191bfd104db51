"""A device that is pretended: tensors brought to it compute as ever, and what mixes them with others fails as on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

ELSEWHERE = torch.device("cpu", 1)
"""The CPU by another name: torch computes there as ever, and no device that a model is brought to is equal to it."""

_MAY_MIX = {
    torch.Tensor.copy_,
    torch.Tensor.__getitem__,
    torch.Tensor.__setitem__,
    torch._has_compatible_shallow_copy_type,
}
_NUMPY = {torch.Tensor.numpy, torch.Tensor.__array__}


class PretendedDevice(TorchFunctionMode):
    """While it lasts, memory is on the CPU or on ``ELSEWHERE``; a function of tensors in both places is an error.

    Seen are functions that Python calls; what autograd does by itself is not. Numbers (tensors without axes), copies and
    index tensors may be on the CPU, as with CUDA.
    """

    def __init__(self) -> None:
        super().__init__()
        self._there: dict[int, torch.UntypedStorage] = {}  # held, so that no other memory takes the place of theirs

    def is_there(self, value: Tensor) -> bool:
        """Whether a tensor's memory is elsewhere."""
        return value.untyped_storage().data_ptr() in self._there

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        with torch._C.DisableTorchFunction():
            return self._called(function, args, kwargs)

    def _called(self, function, args, kwargs):
        if function == torch.Tensor.device.__get__:
            return ELSEWHERE if self.is_there(args[0]) else function(*args)
        if function == torch.Tensor.grad.__get__:  # made by autograd itself, where its parameter is
            made = function(*args)
            return self._put(made) if made is not None and self.is_there(args[0]) else made
        values = [value for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        there = [value for value in values if self.is_there(value)]
        if function in _NUMPY and there:
            raise TypeError("can't convert a tensor elsewhere to numpy: use Tensor.cpu()")
        target = self._target(function, args, kwargs)
        if target is not None:
            made = function(*args, **kwargs)
            if values and (target == ELSEWHERE) != bool(there):
                made = made.clone()
            return self._put(made) if target == ELSEWHERE else made
        here = [value for value in values if value.ndim and value.numel() and not self.is_there(value)]
        if there and here and function not in _MAY_MIX and function != torch.Tensor.data.__set__:
            raise RuntimeError(f"Expected all tensors to be on the same device, in {function}")
        known = {value.untyped_storage().data_ptr() for value in values}
        made = function(*args, **kwargs)
        result_there = self.is_there(args[0]) if function in _MAY_MIX else bool(there)
        fresh = [v for v in pytree.tree_leaves(made) if isinstance(v, Tensor)]
        if result_there:
            self._put([value for value in fresh if value.untyped_storage().data_ptr() not in known])
        return made

    def _target(self, function, args, kwargs):
        """The device that a call names for its result; ``None`` where it names none."""
        if function is torch.Tensor.cpu:
            return torch.device("cpu")
        named = [*args[1:], *kwargs.values()] if function is torch.Tensor.to else [kwargs.get("device")]
        found = [value for value in named if isinstance(value, (torch.device, str))]
        return torch.device(found[0]) if found else None

    def _put(self, made):
        for value in pytree.tree_leaves(made):
            if isinstance(value, Tensor) and value.numel():
                self._there[value.untyped_storage().data_ptr()] = value.untyped_storage()
        return made
