"""State check: find what forward passes change in a model, by running it on a few inputs.

Everything that a module holds is compared before and after. A changed value is recurrent state if outputs depend on it.
If outputs differ although all values were restored, the model keeps state elsewhere, which is an error.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palettune.device_bench.model.held_value import HeldValue
from palettune.device_bench.model.recurrent_state import Place, RecurrentState, snapshot
from palettune.evaluators.library_internals import tree_map, write_count
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.sample_axes import Inputs
from palettune.space.errors import UserError

__all__ = ["StateCheckError", "close", "close_tensors", "find_state", "floats", "seeded"]

_EQUAL = 1e-6
_AGAIN = 1e-5  # a program that torch compiles while it runs rounds otherwise the second time
Run = Callable[[Inputs], Any]


class StateCheckError(UserError):
    """Error for state that cannot be restored; the message names it and what to do."""


def find_state(
    model: nn.Module, run: Run, example: Inputs, items: Sequence[Inputs], sequence: int | None = None
) -> tuple[RecurrentState, Any]:
    """Find the recurrent state of a model; return its present value, and the model's outputs for the first item.

    Args:
        model: the loaded model; its state is restored.
        run: runs the model on inputs with a fixed seed.
        example: the example inputs.
        items: the first items of the data, one or two.
        sequence: number of items after which state is reset.

    Raises:
        StateCheckError: the model changes its parameters, or state that cannot be restored.
    """
    before, marks = snapshot(model), _marks(model)
    changed: dict[Place, HeldValue] = {}
    shown = floats(run(example))
    changed |= before.changed(model)
    RecurrentState(changed).restore(model)
    outputs = []
    for inputs in items:
        outputs.append(tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, run(inputs)))
        changed |= before.changed(model)
        if sequence == 1:
            RecurrentState(changed).restore(model)
    written = [name for name, mark in _marks(model).items() if marks.get(name, mark) != mark]
    if written:
        raise StateCheckError(
            f"a forward pass changes the parameter(s) {', '.join(written[:5])}: stored weights would differ from those that are "
            "evaluated; keep values that change in a buffer (register_buffer)"
        )
    state = _restorable(changed, model)
    _check_nothing_else(state, model, run, example, shown)
    if state:
        state = replace(state, read=frozenset(_read(state, model, run, (example, *items))))
    return state, outputs[0]


def _restorable(changed: dict[Place, HeldValue], model: nn.Module) -> RecurrentState:
    for place, held in changed.items():
        if not held.restorable:
            kind = type(place.get(model)).__name__
            raise StateCheckError(
                f"a forward pass changes {str(place)!r}, which holds a {kind} that cannot be restored between "
                "sequences: keep it in a buffer (register_buffer), or set it anew in every forward pass"
            )
    state = RecurrentState(changed)
    state.restore(model)
    return state


def _check_nothing_else(state: RecurrentState, model: nn.Module, run: Run, example: Inputs, first: Any) -> None:
    """Raise StateCheckError where the example gives something else by now, though state was restored."""
    with state.around(model):
        again = floats(run(example))  # copies: an output may be the very buffer that is restored
    if not close(again, first, _AGAIN):
        restored = f" beside {', '.join(map(str, list(state.values)[:5]))}" if state else ""
        raise StateCheckError(
            f"the model's outputs for its example inputs change after a few forward passes, so it keeps state{restored} that "
            "is in none of its buffers and attributes (but in a global variable, a closure or another object): keep "
            "it in buffers (register_buffer), or set it anew in every forward pass"
        )


def _read(state: RecurrentState, model: nn.Module, run: Run, inputs: Sequence[Inputs]) -> set[Place]:
    """The places that outputs depend on. Caches in buffers are taken together, all else one by one if any matters."""
    fresh = [_from(state, model, run, (), one) for one in inputs]
    pairs = [(i, j) for i in range(len(inputs)) for j in range(len(inputs))]
    met = [(i, j) for i, j in pairs if not close(_from(state, model, run, (inputs[i],), inputs[j]), fresh[j], _EQUAL)]
    if not met:
        return set()
    caches = {place for place in state.values if _is_cache(state, place, model)}
    others = [place for place in state.values if place not in caches]
    if not others or not _matters(state, model, run, inputs, met, others):
        return caches or set(others)
    return caches | {place for place in others if _matters(state, model, run, inputs, met, [place])} or set(others)


def _is_cache(state: RecurrentState, place: Place, model: nn.Module) -> bool:
    held = state.tensor(place)
    return held is not None and held.value.is_floating_point() and held.value.ndim > 0 and place.is_buffer(model)


def _matters(
    state: RecurrentState,
    model: nn.Module,
    run: Run,
    inputs: Sequence[Inputs],
    met: Sequence[tuple[int, int]],
    places: Collection[Place],
) -> bool:
    """Whether some places, left changed alone or put back alone, change what comes out."""
    others = [place for place in state.values if place not in places]
    for i, j in met[:3]:
        wholly = _from(state, model, run, (inputs[i],), inputs[j])
        fresh = _from(state, model, run, (), inputs[j])
        back = _from(state, model, run, (inputs[i],), inputs[j], places)
        alone = _from(state, model, run, (inputs[i],), inputs[j], others)
        if not close(back, wholly, _EQUAL) or not close(alone, fresh, _EQUAL):
            return True
    return False


def _from(
    state: RecurrentState,
    model: nn.Module,
    run: Run,
    before: Sequence[Inputs],
    inputs: Inputs,
    back: Collection[Place] = (),
) -> Any:
    """Outputs after other inputs, some places put back between; ``None`` where the model cannot go on so."""
    state.restore(model)
    try:
        for earlier in before:
            run(earlier)
        state.only(back).restore(model)
        return floats(run(inputs))
    except Exception:
        return None
    finally:
        state.restore(model)


def close(found: Any, wanted: Any, tolerance: float) -> bool:
    """Return whether all floating-point outputs are equal within ``tolerance`` times their norm."""
    if found is None or wanted is None:
        return found is wanted
    pairs = [floating_outputs(found), floating_outputs(wanted)]
    if len(pairs[0]) != len(pairs[1]):
        return False
    return all(close_tensors(one, other, tolerance) for (_, one), (_, other) in zip(*pairs, strict=True))


def close_tensors(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Return whether two tensors are equal within ``tolerance`` times the norm of ``wanted``."""
    if found.shape != wanted.shape:
        return False
    found, wanted = found.double().nan_to_num(), wanted.double().nan_to_num()
    return bool((found - wanted).norm() <= tolerance * wanted.norm())


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Seed all random number generators inside the context, and restore them afterwards."""
    ours, theirs = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)


def _marks(model: nn.Module) -> dict[str, tuple[object, ...]]:
    """What tells that a parameter was written: its version, and a sum of its bits."""
    return {name: (write_count(value), value.shape, _sum(value)) for name, value in model.named_parameters()}


def _sum(value: Tensor) -> int:
    if value.element_size() % 4 or not value.is_contiguous() or not value.numel():
        return 0
    return int(value.detach().reshape(-1).view(torch.int32).sum(dtype=torch.int64))


def floats(outputs: Any) -> list[Tensor]:
    """Return copies of the floating-point outputs, because the model may write to the originals."""
    return [value.clone() for _, value in floating_outputs(outputs)]
