"""Modules that run a program: a tree of plain modules with the program's parameters, buffers and attributes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from palettune.evaluators.library_internals import own_modules, own_parameters, tree_unflatten
from palettune.evaluators.torch_programs.operators import TorchProgramError
from palettune.evaluators.torch_programs.program import Block, Held

__all__ = ["Argument", "ProgramForward", "ProgramModule", "same_tensor"]


@dataclass(frozen=True)
class Argument:
    """An input of a program.

    Attributes:
        name: of the argument.
        shape: sizes that it must have, None for those that may vary; None where nothing is known.
        default: what it is where it is not given.
    """

    name: str
    shape: tuple[int | None, ...] | None = None
    default: Any = inspect.Parameter.empty


class ProgramModule(nn.Module):
    """A module whose parameters keep their dotted names, and which runs a program.

    Args:
        kind: what the program was, for messages.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._taken: dict[tuple[Any, ...], nn.Parameter] = {}
        self._places: dict[tuple[Any, ...], Held] = {}

    def hold(self, module: str, name: str, value: Any, *, trainable: bool = False) -> Held:
        """Hold a tensor as a parameter or a buffer, a list of tensors held already by their places, or another value.

        Args:
            module: dotted name of the module that gets it; it is made if it is missing.
            name: of the parameter, buffer or attribute.
            value: a tensor that is held twice is one parameter.
            trainable: hold a tensor as a parameter.
        """
        part, place = self._part(module), Held(module, name)
        if not isinstance(value, Tensor):
            known = isinstance(value, list) and value and all(isinstance(one, Tensor) for one in value)
            vars(part)[name] = tuple(self._places[same_tensor(one)] for one in value) if known else value
            return place
        key = same_tensor(value)
        self._places.setdefault(key, place)
        if trainable:
            parameter = self._taken.setdefault(key, nn.Parameter(value.detach(), requires_grad=False))
            own_parameters(part)[name] = parameter
        else:
            part.register_buffer(name, value.detach())
        return place

    def runs(self, block: Block, arguments: Sequence[Argument], structure: Any = None) -> ProgramModule:
        """Set the program; return the module itself.

        Args:
            block: its inputs are the arguments.
            arguments: in order.
            structure: of the results, as torch's pytree has it; None where the block has one result, as it is.
        """
        self._taken, self._places = {}, {}
        vars(self)["forward"] = ProgramForward(self, block.with_releases(), tuple(arguments), structure)
        return self

    def _part(self, name: str) -> nn.Module:
        part: nn.Module = self
        for word in name.split(".") if name else ():
            children = own_modules(part)
            if children.get(word) is None:
                children[word] = nn.Module()
            part = part.get_submodule(word)
        return part


class ProgramForward:
    """The ``forward`` of a module that runs a program, with the arguments of what the program was made from."""

    def __init__(self, module: nn.Module, block: Block, arguments: tuple[Argument, ...], structure: Any) -> None:
        self.module = module
        self.block = block
        self.arguments = arguments
        self.structure = structure

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program.

        Raises:
            TorchProgramError: an input has another shape than the program is for.
        """
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        for argument, value in zip(self.arguments, bound.args, strict=True):
            _check_shape(argument, value)
        results = self.block.run({}, self.module, bound.args)
        return results[0] if self.structure is None else tree_unflatten(results, self.structure)

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(one.name, kind, default=one.default) for one in self.arguments])

    @property
    def __code__(self) -> CodeType:
        return type(self).__call__.__code__

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramForward:
        module = memo.get(id(self.module), self.module)  # steps are names and constants, and need no copy
        return ProgramForward(module, self.block, self.arguments, self.structure)


def same_tensor(tensor: Tensor) -> tuple[Any, ...]:
    """Return what is equal for two objects that are one tensor in memory."""
    memory = tensor.data_ptr() if tensor.numel() else id(tensor)
    return (memory, tuple(tensor.shape), tensor.stride() if tensor.layout is torch.strided else (), tensor.dtype)


def _check_shape(argument: Argument, value: Any) -> None:
    wanted = argument.shape
    if wanted is None or not isinstance(value, Tensor):
        return
    fits = len(wanted) == value.ndim and all(a in (None, b) for a, b in zip(wanted, value.shape, strict=True))
    if not fits:
        shown = ", ".join("any" if size is None else str(size) for size in wanted)
        raise TorchProgramError(
            f"the program was exported for {argument.name!r} of shape ({shown}), and got {tuple(value.shape)}; give such "
            "inputs, or export it with torch.export.export(..., dynamic_shapes=...)"
        )
