"""Folding: replace weights that a model computes before each pass by plain parameters, once, at loading.

Parametrizations (``torch.nn.utils.parametrize``: weight and spectral normalization, orthogonal, custom ones), the
older hooks of ``torch.nn.utils`` and pruning masks do not change in evaluation mode. Layers' weights that are buffers
or plain attributes become parameters under the same name, where no forward pass sets them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from palettune.device_bench.library_internals import buffer_slots, pre_hooks
from palettune.device_bench.model.module_layers import kind_of
from palettune.device_bench.model.outputs import tensors
from palettune.evaluators.computed_weights.comparison import alike, seeded_outputs
from palettune.evaluators.library_internals import (
    hooked_tensor_name,
    own_modules,
    own_parameters,
    rebuild_flat_weights,
    state_hooks,
    write_count,
)
from palettune.evaluators.workload.float_model import LoadingError

__all__ = ["fold"]

_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
_MADE_FROM = ("_g", "_v", "_u", "_orig", "_mask")


@dataclass(frozen=True, eq=False)
class _Computed:
    """A tensor that a module makes from others, its ``sources``: of equal sources and values, it is one tied weight."""

    where: str
    module: nn.Module
    name: str
    sources: tuple[int, ...]
    is_parameter: bool = True
    hooked: bool = False


def fold(model: nn.Module, run: Callable[[], Any]) -> None:
    """Replace weights that are computed from parameters alone by plain parameters, in place.

    Weights that a forward pass sets are not changed.

    Args:
        model: float32, on the CPU, in evaluation mode.
        run: runs the model on its example inputs and returns its outputs; called twice if there is something to fold.

    Raises:
        LoadingError: the model's outputs change; the message names the first module that differs.
    """
    computed = [*_parametrized(model), *_hooked(model)]
    loose = _loose(model, {id(c.module) for c in computed})
    if not computed and not loose:
        return
    folded = [(c.where, c.module) for c in computed] + [(name, module) for name, module, _ in loose]
    with _as_before(model), _watching(folded) as before:
        outputs = seeded_outputs(run)
        values = [getattr(c.module, c.name).detach().clone() for c in computed]
        still = [module for _, module, known in loose if _version(_loose_weight(module)) == known]
    _put(computed, values)
    for module in still:
        _to_parameter(module)
    with _as_before(model), _watching(folded) as after:
        again = seeded_outputs(run)
    if not alike(outputs, again) and _is_deterministic(model, run, again):
        wrong = [name for name, _ in folded if not alike(before.get(name, []), after.get(name, []))]
        raise LoadingError(
            f"returned a model whose outputs change when the computed weight of {(wrong or [folded[0][0]])[0]!r} is "
            "replaced by a plain parameter; do so yourself in model() (torch.nn.utils.parametrize."
            "remove_parametrizations, remove_weight_norm, prune.remove ...)"
        )


def _parametrized(model: nn.Module) -> Iterator[_Computed]:
    for where, module in model.named_modules():
        if not parametrize.is_parametrized(module):
            continue
        for name, made in module.parametrizations.items():
            names = ["original"] if made.is_tensor else [f"original{i}" for i in range(made.ntensors)]
            sources = [getattr(made, source) for source in names]
            trainable = any(isinstance(source, nn.Parameter) for source in sources)
            yield _Computed(where, module, name, tuple(map(id, sources)), trainable)


def _hooked(model: nn.Module) -> Iterator[_Computed]:
    """The last hook first: it may make what an earlier one reads."""
    for where, module in model.named_modules():
        for hook in reversed(pre_hooks(module).values()):
            if isinstance(hook, _HOOKS):
                name = str(hooked_tensor_name(hook))
                sources = (own_parameters(module).get(f"{name}{suffix}") for suffix in _MADE_FROM)
                yield _Computed(where, module, name, tuple(id(s) for s in sources if s is not None), hooked=True)


def _put(computed: list[_Computed], values: list[Tensor]) -> None:
    """Put the values in the place of what made them; tied ones stay tied."""
    for module in [one.module for one in computed if parametrize.is_parametrized(one.module)]:
        if (
            own_modules(module).pop("parametrizations", None) is not None
        ):  # once, however many of its tensors are computed
            module.__class__ = type(module).__bases__[0]  # as torch's own remove_parametrizations does
    tied: dict[tuple[int, ...], list[nn.Parameter]] = {}
    for one, value in zip(computed, values, strict=True):
        if one.hooked:
            _unhook(one.module, one.name)
        if not one.is_parameter:
            one.module.register_buffer(one.name, value)
            continue
        alike = tied.setdefault(one.sources or (id(one),), [])
        parameter = next((p for p in alike if p.shape == value.shape and torch.equal(p, value)), None)
        if parameter is None:
            alike.append(parameter := nn.Parameter(value, requires_grad=False))
        setattr(one.module, one.name, parameter)
        if isinstance(one.module, nn.RNNBase):
            rebuild_flat_weights(one.module)


def _unhook(module: nn.Module, name: str) -> None:
    """Drop the hooks that make ``name``, and what they make it from."""

    def serves(hook: Any) -> bool:
        hook = getattr(hook, "fn", hook)  # a state dict hook of spectral normalization
        return isinstance(hook, _HOOKS) and name == hooked_tensor_name(hook)

    for hooks in (pre_hooks(module), *state_hooks(module)):
        for key in [key for key, hook in hooks.items() if serves(hook)]:
            del hooks[key]
    vars(module).pop(name, None)
    for suffix in _MADE_FROM:
        own_parameters(module).pop(f"{name}{suffix}", None)
        buffer_slots(module).pop(f"{name}{suffix}", None)
        vars(module).pop(f"{name}{suffix}", None)


def _loose(model: nn.Module, others: set[int]) -> list[tuple[str, nn.Module, Any]]:
    """Layers whose weight is a buffer or a plain attribute, with what tells whether it stays the same."""
    found = []
    for name, module in model.named_modules():
        if kind_of(module) is not None and id(module) not in others and "weight" not in own_parameters(module):
            weight = _loose_weight(module)
            if weight is not None and weight.is_floating_point():
                found.append((name, module, _version(weight)))
    return found


def _loose_weight(module: nn.Module) -> Tensor | None:
    held = buffer_slots(module).get("weight", vars(module).get("weight"))
    return held if isinstance(held, Tensor) else None


def _version(weight: Tensor | None) -> tuple[int, int]:
    return id(weight), 0 if weight is None else write_count(weight)


def _to_parameter(module: nn.Module) -> None:
    weight = _loose_weight(module)
    assert weight is not None
    vars(module).pop("weight", None)
    buffer_slots(module).pop("weight", None)
    module.register_parameter("weight", nn.Parameter(weight.detach(), requires_grad=False))


@contextlib.contextmanager
def _as_before(model: nn.Module) -> Iterator[None]:
    """Put back what a forward pass leaves in a model: buffers and attributes."""
    saved = []
    for module in model.modules():
        parts = [(held, dict(held)) for held in (own_parameters(module), buffer_slots(module), own_modules(module))]
        contents = [(value, value.clone()) for value in buffer_slots(module).values() if value is not None]
        saved.append((module, dict(vars(module)), parts, contents))
    try:
        yield
    finally:
        for module, attributes, parts, contents in saved:
            vars(module).clear()
            vars(module).update(attributes)
            for held, entries in parts:
                held.clear()
                held.update(entries)  # type: ignore[arg-type]
            for value, content in contents:
                if not torch.equal(value, content):
                    value.copy_(content)


@contextlib.contextmanager
def _watching(modules: list[tuple[str, nn.Module]]) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what modules return, by name."""
    seen: dict[str, list[Tensor]] = {}

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen.setdefault(name, []).extend(value.detach().clone() for value in tensors(output))

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in dict(modules).items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _is_deterministic(model: nn.Module, run: Callable[[], Any], outputs: list[Tensor]) -> bool:
    with _as_before(model):
        return alike(outputs, seeded_outputs(run))
