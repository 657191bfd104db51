"""Uses of layers' weights in a forward pass, whatever code multiplies by them.

A layer that is a module of torch's own is watched by a hook on the module. Any other, such as a parameter that is used
with ``torch.nn.functional``, a packed projection or a recurrent weight, is recognised by its memory as the operand of an
op. Nothing stays in the model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.weights.weight_codes import whole_view
from palettune.device_bench.model.layer_weight import held_tensor
from palettune.evaluators.library_internals import OpMode, copying_ops, reversed_padding
from palettune.evaluators.weights.weight_columns import Strides, weight_columns
from palettune.evaluators.weights.weight_products import MovingWindow, WeightProduct, products_of
from palettune.space.layer import Layer

__all__ = ["UseHook", "WeightUse", "called_as_module", "watched_ops", "watched_weights"]

_MODULES = (nn.Linear, nn.Conv1d, nn.Conv2d)
_aten = torch.ops.aten
_COPIES = copying_ops()
_RECURRENT = frozenset(
    getattr(op, form) for op in (_aten.lstm, _aten.gru, _aten.rnn_tanh, _aten.rnn_relu) for form in ("input", "data")
)


@dataclass(frozen=True, eq=False, slots=True)
class WeightUse:
    """One use of a layer's weight.

    Attributes:
        values: what the weight multiplies: (..., inputs), or (N, channels, *lengths) under a window.
        window: of a convolution.
        inputs: for each column of the layer's matrices the (unfolded) input that it meets, -1 for none; None for each
            its own.
        by_module: the values are those that a module was called with.
        given: the argument of the op, or of the module, that holds the values.
        alone: the op multiplies each element of the layer by it, and nothing else; not as a step of a recurrent op, which
            no other than ``torch.inference_mode`` shows.
    """

    values: Tensor
    window: MovingWindow | None = None
    inputs: Tensor | None = None
    by_module: bool = False
    given: Tensor | None = None
    alone: bool = False


#: Called with a layer's name and a use of its weight; returns what the op takes instead of ``given``, if anything.
UseHook = Callable[[str, WeightUse], Tensor | None]


def called_as_module(model: nn.Module, layer: Layer) -> bool:
    """Return whether a layer is a module that multiplies its first argument by its weight when it is called."""
    return layer.module is not None and isinstance(model.get_submodule(layer.module), _MODULES)


@contextlib.contextmanager
def watched_weights(
    model: nn.Module, layers: Iterable[Layer], hook: UseHook, *, modules: bool = True
) -> Iterator[None]:
    """Call ``hook`` with a layer's name before each use of its weight, inside the context.

    Where a layer is watched by its memory, forward passes run in ``torch.inference_mode``, in which ops are seen as the
    model calls them, and recurrent modules and attention run step by step: outputs are the model's own but for rounding.

    Args:
        model: the model.
        layers: to watch.
        hook: called with the layer's name and the use.
        modules: watch layers that are modules by their calls, which costs nothing; else by their memory, which finds
            uses without a call too.
    """
    wanted = list(layers)
    called = [layer for layer in wanted if modules and called_as_module(model, layer)]
    others = [layer for layer in wanted if layer not in called]
    with contextlib.ExitStack() as stack:
        for layer in called:
            module = model.get_submodule(layer.name)
            stack.callback(module.register_forward_pre_hook(_module_hook(layer.name, hook)).remove)
        if others:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(watched_ops(model, others, hook))
        yield


@contextlib.contextmanager
def watched_ops(model: nn.Module, layers: Iterable[Layer], hook: UseHook) -> Iterator[None]:
    """Call ``hook`` before each op that takes a layer's weight, whatever calls it; gradients may be recorded.

    Without ``torch.inference_mode`` the weights of recurrent modules are not seen. Gradients do not see what the hook
    puts in the place of a value.

    Args:
        model: the model, with the tensors that it runs with.
        layers: to watch.
        hook: called with the layer's name and the use.
    """
    with _attention_in_steps(), _WeightMode(model, tuple(layers), hook):
        yield


def _module_hook(name: str, hook: UseHook) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...] | None]:
    def watch(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        window = None
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
            sizes = (module.kernel_size, module.stride, module.dilation)
            window = MovingWindow(*sizes, tuple(reversed_padding(module)), mode, module.groups)
        if not inputs:
            return None
        instead = hook(name, WeightUse(inputs[0], window, by_module=True, given=inputs[0], alone=True))
        return None if instead is None else (instead, *inputs[1:])

    return watch


@contextlib.contextmanager
def _attention_in_steps() -> Iterator[None]:
    """Keep attention modules from their fused op, which hides the products."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@dataclass(frozen=True, eq=False)
class _Held:
    """Layers whose weight a storage holds, and the way from their tensor to it."""

    layers: tuple[Layer, ...]
    copies: tuple[tuple[Strides, Strides], ...]


class _WeightMode(OpMode):  # type: ignore[no-untyped-call]
    """Looks at every op that takes a watched weight; all other ops run as they are."""

    def __init__(self, model: nn.Module, layers: Sequence[Layer], hook: UseHook) -> None:
        super().__init__()
        self._hook = hook
        self._in_recurrence = False
        self._held: dict[int | None, list[_Held]] = {}
        self._alive: list[Tensor] = []  # copies, lest another tensor takes their memory
        by_tensor: dict[str, list[Layer]] = {}
        for layer in layers:
            by_tensor.setdefault(layer.tensor, []).append(layer)
        for name, some in by_tensor.items():
            tensor = held_tensor(model, name).detach()
            whole = Strides(0, tuple(tensor.shape), whole_view(tuple(tensor.shape)).steps or ())
            self._held.setdefault(_address(tensor), []).append(_Held(tuple(some), ((whole, Strides.of(tensor)),)))

    def run(self, op: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run an op; in parts where it takes a watched weight and is no product itself."""
        if not any(_address(value) in self._held for value in _tensors((*arguments, *named.values()))):
            return op(*arguments, **named)
        given = list(arguments)
        seen = [self._report(product, given) for product in products_of(op, arguments)]
        if not any(seen) and op not in _COPIES:
            with self, self._recurrence() if op in _RECURRENT else contextlib.nullcontext():
                parts = op.decompose(*arguments, **named)
            if parts is not NotImplemented:
                return parts
        result = op(*given, **named)
        if op in _COPIES:
            self._note(arguments[0], result)
        return result

    @contextlib.contextmanager
    def _recurrence(self) -> Iterator[None]:
        """Run a recurrent op in steps."""
        self._in_recurrence = True
        try:
            with _recurrence_in_steps():
                yield
        finally:
            self._in_recurrence = False

    def _report(self, product: WeightProduct, given: list[Any]) -> bool:
        """Call the hook for each layer that the operand holds; return whether it may hold any.

        Args:
            product: of an op.
            given: the arguments of the op, in which what the hook returns takes its place.
        """
        held = self._held.get(_address(product.weight), ())
        operand = Strides.of(product.weight)
        for one in held:
            for layer in one.layers:
                if product.window is not None and product.window.groups != layer.groups:
                    continue
                found = weight_columns(layer, one.copies, operand, product.axes, product.batch)
                if found is not None:
                    values = product.values if found.batch is None else product.values[found.batch]
                    whole = given[product.argument]
                    alone = found.whole and operand.elements == layer.parameters and not self._in_recurrence
                    instead = self._hook(
                        layer.name, WeightUse(values, product.window, found.inputs, given=whole, alone=alone)
                    )
                    given[product.argument] = whole if instead is None else instead
        return bool(held)

    def _note(self, source: Tensor, result: Tensor) -> None:
        """Follow weights into a copy of them."""
        step = Strides.of(source), Strides.of(result)
        found = [replace(one, copies=(*one.copies, step)) for one in self._held.get(_address(source), ())]
        if found and _address(result) != _address(source):
            self._held[_address(result)] = found
            self._alive.append(result)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _address(tensor: Tensor) -> int | None:
    """Where a tensor's storage begins; None for one without a storage of its own, such as a sparse one."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return None


@contextlib.contextmanager
def _recurrence_in_steps() -> Iterator[None]:
    """Keep recurrent ops from libraries that run all steps at once."""
    libraries: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
    before = [library.enabled for library in libraries]
    for library in libraries:
        library.enabled = False
    try:
        yield
    finally:
        for library, enabled in zip(libraries, before, strict=True):
            library.enabled = enabled
