"""Record of one forward pass: which tensors are computed from a model's own tensors alone, how, and what uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from palettune.device_bench.model.outputs import tensors
from palettune.evaluators.computed_weights.call_key import (
    SET_DATA,
    CallKey,
    call_key,
    function_name,
    is_metadata,
    is_update,
)
from palettune.evaluators.computed_weights.held_tensors import held_tensors
from palettune.evaluators.library_internals import write_count

__all__ = ["Call", "ForwardRecord", "OperandUse", "Source", "record_forward"]

Path = tuple[str, ...]
"""Names of the modules whose forward passes run, the outermost first."""


@dataclass(frozen=True, eq=False)
class Source:
    """A tensor that a module of the model holds: a parameter, a buffer or a plain attribute.

    Attributes:
        module: name of the module, the first that holds it.
        name: of the attribute.
    """

    module: str
    name: str
    tensor: Tensor

    @property
    def is_parameter(self) -> bool:
        """Whether it is a parameter."""
        return isinstance(self.tensor, nn.Parameter)


@dataclass(eq=False)
class Call:
    """A function called with nothing but sources, what is computed from them, and constants.

    Attributes:
        inputs: numbers of its tensors.
        results: numbers of the tensors that it returns; one of ``inputs`` where it returns an argument.
        kind: what it returns, ``Tensor``, ``tuple`` or ``list`` of tensors; None for anything else.
        path: the modules around it; the common ones where the same is computed in several places.
    """

    key: CallKey
    inputs: tuple[int, ...]
    results: tuple[int, ...]
    kind: type | None
    path: Path

    @property
    def computes(self) -> bool:
        """Whether it returns anything but its own arguments."""
        return not set(self.results) <= set(self.inputs)


@dataclass(frozen=True)
class OperandUse:
    """Use of a numbered tensor together with something that is not computed from sources alone.

    Attributes:
        function: name of the function.
        position: of the argument, from 0, or its name.
    """

    function: str
    position: int | str


@dataclass(eq=False)
class ForwardRecord:
    """Values that one forward pass computed from the model's own tensors alone.

    Attributes:
        sources: by number.
        calls: in the order of execution.
        values: tensors by number.
        uses: by number; a function called ``return`` or ``attribute`` stands for what is returned or kept.
        impure: numbers of tensors that were written, or are something else each time.
        updated: numbers of what tensors were before they were written; what they became has numbers of its own.
        assigned: numbers of a parameter and of the tensor that its data were set to.
        outputs: what the model returned, copied.
    """

    sources: dict[int, Source] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    values: dict[int, Tensor] = field(default_factory=dict)
    uses: dict[int, list[OperandUse]] = field(default_factory=dict)
    impure: set[int] = field(default_factory=set)
    updated: set[int] = field(default_factory=set)
    assigned: list[tuple[int, int]] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)

    def maker(self) -> dict[int, Call]:
        """Return by which call each tensor was computed; sources are missing."""
        return {number: call for call in self.calls for number in call.results if number not in call.inputs}


def record_forward(model: nn.Module, run: Callable[[], Any]) -> ForwardRecord:
    """Run a model once and record what is computed from its own tensors alone.

    Args:
        model: in evaluation mode, without gradients.
        run: runs the model and returns its outputs.
    """
    recorder = _Recorder(model)
    with _paths(model, recorder.path), recorder:
        outputs = run()
    recorder.finish(model, outputs)
    return recorder.record


class _Recorder(TorchFunctionMode):
    """Numbers a model's tensors and what is computed from them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.record = ForwardRecord()
        self.path: list[str] = []
        self._numbers: dict[int, int] = {}
        self._known: dict[CallKey, Call] = {}
        self._alive: list[Tensor] = []  # else an id could come again
        self._writes: list[tuple[Tensor, int, int]] = []  # with the count of writes when it was numbered
        for module_name, module in model.named_modules():
            for name, tensor in held_tensors(module):
                if id(tensor) not in self._numbers:
                    self.record.sources[self._number(tensor)] = Source(module_name, name, tensor)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_update(func) and self._is_own(args[0]) and call_key(func, args, kwargs, self._numbers) is not None:
            return self._update(func, args, kwargs)
        result = func(*args, **kwargs)
        if is_metadata(func):
            return result
        key = call_key(func, args, kwargs, self._numbers)
        made = tensors(result)
        if key is None or not made:
            self._note_uses(func, args, kwargs)
            if func == SET_DATA and key is not None:
                self.record.assigned.append(key[1])
        else:
            self._note_call(key, self._given((args, kwargs)), made, _kind(result))
        return result

    def _number(self, tensor: Tensor) -> int:
        number = self._numbers.setdefault(id(tensor), len(self.record.values))
        if number == len(self.record.values):
            self.record.values[number] = tensor
            self._writes.append((tensor, number, write_count(tensor)))
        return number

    def _given(self, arguments: Any) -> tuple[int, ...]:
        return tuple(self._numbers[id(tensor)] for tensor in tensors(arguments))

    def _is_own(self, tensor: Any) -> bool:
        """Whether a tensor was computed in this run."""
        number = self._numbers.get(id(tensor))
        return number is not None and number not in self.record.sources

    def _update(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Let what a written tensor becomes have a number of its own; what it was keeps the old one."""
        key, inputs = call_key(func, args, kwargs, self._numbers), self._given((args, kwargs))
        assert key is not None
        tensor: Tensor = args[0]
        number = self._numbers.pop(id(tensor))
        self.record.updated.add(number)
        if self.record.values[number] is tensor:
            self.record.values[number] = tensor.clone()
        self._writes = [entry for entry in self._writes if entry[0] is not tensor]
        self._alive.append(tensor)
        self._note_call(key, inputs, [func(*args, **kwargs)], Tensor)
        return tensor

    def _note_uses(self, func: Any, args: Any, kwargs: Any) -> None:
        for position, value in (*enumerate(args), *kwargs.items()):
            for tensor in tensors(value):
                if id(tensor) in self._numbers:
                    use = OperandUse(function_name(func), position)
                    self.record.uses.setdefault(self._numbers[id(tensor)], []).append(use)

    def _note_call(self, key: CallKey, inputs: tuple[int, ...], made: list[Tensor], kind: type | None) -> None:
        before = self._known.get(key)
        if before is not None:
            self._note_again(before, made)
            return
        call = Call(key, inputs, tuple(map(self._number, made)), kind, tuple(self.path))
        self._known[key] = call
        self.record.calls.append(call)

    def _note_again(self, before: Call, made: list[Tensor]) -> None:
        """The same call a second time: the same values, unless it draws random numbers or was written since."""
        before.path = _common(before.path, tuple(self.path))
        for number, tensor in zip(before.results, made, strict=True):
            if not _same(self.record.values[number], tensor):
                self.record.impure.add(number)
            elif id(tensor) not in self._numbers:
                self._numbers[id(tensor)] = number
                self._alive.append(tensor)
                self._writes.append((tensor, number, write_count(tensor)))

    def finish(self, model: nn.Module, outputs: Any) -> None:
        """Note what is returned, kept, or was written."""
        kept = [tensor for module in model.modules() for _, tensor in held_tensors(module)]
        for function, found in (("return", tensors(outputs)), ("attribute", kept)):
            for tensor in found:
                number = self._numbers.get(id(tensor))
                if number is not None and number not in self.record.sources:
                    self.record.uses.setdefault(number, []).append(OperandUse(function, 0))
        written = {_memory(tensor) for tensor, _, count in self._writes if write_count(tensor) != count}
        self.record.impure |= {number for tensor, number, _ in self._writes if _memory(tensor) in written}
        self.record.outputs = [value.clone() for value in tensors(outputs)]


@contextlib.contextmanager
def _paths(model: nn.Module, path: list[str]) -> Iterator[None]:
    """Keep the names of the modules that run in ``path``."""

    def leave(*_: Any) -> None:
        path.pop()

    handles = []
    for name, module in model.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: path.append(name)))
            handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _kind(result: Any) -> type | None:
    if isinstance(result, Tensor):
        return Tensor
    plain = type(result) in (tuple, list) and all(isinstance(item, Tensor) for item in result)
    return type(result) if plain else None


def _common(one: Path, other: Path) -> Path:
    count = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:count]


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided and tensor.numel() else id(tensor)
