"""Folding of weights that forward passes compute from a model's own tensors alone: weight standardization, equalized
learning rates, low-rank updates merged at run time, concatenated projections, positive weights by ``exp`` or ``softplus``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.recurrent_state import RecurrentState, snapshot
from palettune.evaluators.computed_weights.call_key import CallKey
from palettune.evaluators.computed_weights.comparison import alike, same_numbers, seeded_outputs
from palettune.evaluators.computed_weights.computed_forward import (
    ComputedForward,
    HeldAt,
    Interceptions,
    Leave,
    Rerun,
    Take,
)
from palettune.evaluators.computed_weights.fold_plan import Fold, FoldPlan, fold_plan
from palettune.evaluators.computed_weights.held_tensors import held_tensors
from palettune.evaluators.computed_weights.recorder import Call, ForwardRecord, record_forward
from palettune.evaluators.library_internals import own_parameters

__all__ = ["fold_computed"]


def fold_computed(
    model: nn.Module, run: Callable[[], Any], run_twofold: Callable[[], Any] | None = None, *, operands: bool = True
) -> str | None:
    """Replace weights that forward passes compute from the model's own tensors alone by parameters, in place.

    A weight that is computed from a layer's own ``weight`` of the same shape takes its place; any other one becomes the
    parameter ``<name>_computed`` of the module that computes it. What depends on inputs, on random numbers or on state is
    left as it is, and so is a model that fails on its example inputs: that is said when it is checked.

    Args:
        model: float32, on the CPU, in evaluation mode; its state is restored after each run.
        run: runs it on its example inputs and returns its outputs: once, and twice more if there is something to fold.
        run_twofold: runs it on twice its example inputs, one after the other along the first axis.
        operands: whether large tables that an op takes as they are become parameters, too: relative positions that are
            looked up from a table and added, for example. One that depends on the number of samples is left as it is.

    Returns:
        What the user should know: that outputs would change, so that nothing was folded. None otherwise.
    """
    runner = _Runner(model, run)
    found = runner.recorded(0)
    if found is not None and operands and _written_anew(model, found):
        found = runner.recorded(0)
    if found is None or not fold_plan(model, found, operands).folds:
        return None
    again = runner.recorded(1)
    if again is None:
        return None
    _note_random(found, again)
    twofold = runner.recorded(0, run_twofold) if operands and run_twofold is not None else None
    plan = fold_plan(model, found, operands, twofold)
    if not plan.folds:
        return None
    folding = _Folding(model, found, plan)
    names = folding.install()
    if runner.gives(found.outputs) or not runner.is_deterministic():
        return None
    folding.undo()
    if operands:
        return fold_computed(model, run, operands=False)
    return (
        f"weights that are computed before use ({', '.join(names)}) stay as they are: outputs change when they are "
        "replaced by parameters; do so yourself in model() to have them compressed"
    )


def _written_anew(model: nn.Module, found: ForwardRecord) -> bool:
    """Let modules that write what is computed of the model's own tensors return it instead; whether there are any."""
    modules = dict(model.named_modules())
    writing = [modules[call.path[-1]] for call in found.calls if not call.computes and call.path]
    changed = [module for module in writing if getattr(module, "inplace", False) is True]
    for module in changed:
        module.inplace = False
    return bool(changed)


class _Runner:
    """Runs a model on the same random numbers, and restores what each run changes."""

    def __init__(self, model: nn.Module, run: Callable[[], Any]) -> None:
        self._model = model
        self._run = run

    def recorded(self, seed: int, run: Callable[[], Any] | None = None) -> ForwardRecord | None:
        """Record a run; None where it fails, which is said when the model is checked."""
        with self._restored(), same_numbers(seed), contextlib.suppress(Exception):
            return record_forward(self._model, run or self._run)
        return None

    def gives(self, wanted: list[Tensor]) -> bool:
        """Whether outputs are as before."""
        return alike(self._outputs(), wanted)

    def is_deterministic(self) -> bool:
        """Whether two runs give the same."""
        return alike(self._outputs(), self._outputs())

    def _outputs(self) -> list[Tensor]:
        with self._restored():
            return seeded_outputs(self._run)

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        before = snapshot(self._model)
        try:
            yield
        finally:
            RecurrentState(before.changed(self._model)).restore(self._model)


def _note_random(found: ForwardRecord, again: ForwardRecord) -> None:
    """Note as impure what another run computes differently."""
    same = len(found.calls) == len(again.calls)
    for one, other in zip(found.calls, again.calls, strict=False):
        same = same and one.key == other.key
        for number in one.results:
            if not same or number in again.impure or not torch.equal(found.values[number], again.values[number]):
                found.impure.add(number)


class _Folding:
    """Puts parameters into a model, and takes them out again."""

    def __init__(self, model: nn.Module, found: ForwardRecord, plan: FoldPlan) -> None:
        self._modules = dict(model.named_modules())
        self._model = model
        self._record = found
        self._plan = plan
        self._tensors = dict(found.values)  # as they are in the model now
        self._undo: list[Callable[[], object]] = []

    def install(self) -> list[str]:
        """Fold all; return the dotted names of the parameters."""
        names = [self._put(fold) for fold in self._plan.folds]
        for scope in dict.fromkeys(fold.scope for fold in self._plan.folds):
            module = self._modules[scope]
            self._set(module.__dict__, "forward", ComputedForward(module, self._interceptions(scope)))
        return names

    def _set(self, held: dict[str, Any], name: str, value: Any) -> None:
        if name in held:
            self._undo.append(partial(held.__setitem__, name, held[name]))
        else:
            self._undo.append(partial(held.pop, name))
        held[name] = value

    def undo(self) -> None:
        """Restore the model."""
        for step in reversed(self._undo):
            step()

    def _put(self, fold: Fold) -> str:
        parameter = nn.Parameter(fold.value.detach().clone(memory_format=torch.contiguous_format), requires_grad=False)
        self._tensors[fold.number] = parameter
        if fold.replaced is None:
            name = self._free_name(fold)
            self._set(own_parameters(self._modules[fold.scope]), name, parameter)
            return f"{fold.scope}.{name}".strip(".")
        source = self._record.sources[fold.replaced]
        self._tensors[fold.replaced] = parameter
        for module in self._model.modules():
            for name, held in list(own_parameters(module).items()):
                if held is source.tensor:
                    self._set(own_parameters(module), name, parameter)
        return f"{source.module}.{source.name}".strip(".")

    def _free_name(self, fold: Fold) -> str:
        """``<name>_computed``, where the name is that of its largest parameter as seen from the scope."""
        inside = self._origin(fold).removeprefix(f"{fold.scope}.").replace(".", "_")
        name, count = f"{inside}_computed", 1
        while hasattr(self._modules[fold.scope], name):
            name, count = f"{inside}_computed_{count}", count + 1
        return name

    def _origin(self, fold: Fold) -> str:
        """Dotted name of the largest tensor, parameters first, that a fold is computed from."""
        found = [self._record.sources[number] for number in fold.sources if number in self._record.sources]
        if not found:
            return self._origin(next(one for one in self._plan.folds if one.number in fold.sources))
        largest = max(found, key=lambda source: (source.is_parameter, source.tensor.numel()))
        return f"{largest.module}.{largest.name}".strip(".")

    def _interceptions(self, scope: str) -> Interceptions:
        folds = [fold for fold in self._plan.folds if fold.scope == scope]
        root = self._modules[scope]
        own = {fold.number: fold for fold in folds}
        steps: dict[CallKey, Take | Leave | Rerun] = {}
        for call in (call for fold in folds for call in fold.chain):
            steps[call.key] = self._step(call, own, root)
        replaced = {fold.replaced for fold in folds if fold.replaced is not None}
        needed = {number for fold in folds for number in fold.sources} - own.keys()
        places = {number: _place(root, self._tensors[number]) for number in sorted(needed)}
        return Interceptions(places, frozenset(replaced), steps)

    def _step(self, call: Call, own: dict[int, Fold], root: nn.Module) -> Take | Leave | Rerun:
        if id(call) not in self._plan.skipped:
            return Rerun(call.results)
        taken = next((own[number] for number in call.results if number in own), None)
        if taken is not None:
            number = taken.number if taken.replaced is None else taken.replaced
            return Take(_place(root, self._tensors[taken.number]), number, taken.kept)
        values = [self._record.values[number] for number in call.results]
        assert call.kind is not None
        return Leave(call.results, tuple((tuple(value.shape), value.dtype) for value in values), call.kind)


def _place(root: nn.Module, tensor: Tensor) -> HeldAt:
    for module_name, module in root.named_modules():
        for name, held in held_tensors(module):
            if held is tensor:
                return HeldAt(module_name, name)
    raise LookupError("a module around all calls holds all sources")
