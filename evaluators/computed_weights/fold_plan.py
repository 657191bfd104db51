"""Plan of a folding: which computed tensors become parameters, in which modules, and what need not be computed then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from palettune.device_bench.model.module_layers import kind_of
from palettune.device_bench.package.operand_ops import LEAST_ELEMENTS
from palettune.evaluators.computed_weights.assigned_data import assigned_parameters
from palettune.evaluators.computed_weights.call_key import CallKey, function_name
from palettune.evaluators.computed_weights.held_tensors import held_tensors
from palettune.evaluators.computed_weights.recorder import Call, ForwardRecord, OperandUse, Path, Source
from palettune.evaluators.computed_weights.weight_operands import (
    is_broadcast,
    is_moved_by,
    is_product,
    is_taken_operand,
    is_weight_operand,
)

__all__ = ["Fold", "FoldPlan", "fold_plan"]

_CONTIGUOUS = function_name(Tensor.contiguous)
_TURNS = ("t", "T.__get__", "mT.__get__", "transpose", "permute", "swapaxes", "movedim")


@dataclass(eq=False)
class Fold:
    """A computed tensor that becomes a parameter.

    Attributes:
        number: of the tensor, in the record.
        value: what it is.
        chain: the calls that compute it from sources and from earlier folds, in the order of execution.
        sources: numbers of these.
        scope: name of the module whose forward pass is intercepted.
        replaced: number of the parameter whose place the value takes; None where it gets a new one.
        kept: whether the model keeps the tensor as an attribute, which must not become a second parameter.
    """

    number: int
    value: Tensor
    chain: tuple[Call, ...]
    sources: tuple[int, ...]
    scope: str
    replaced: int | None = None
    kept: bool = False


@dataclass(eq=False)
class FoldPlan:
    """Folds, and the calls that can be left out, by ``id`` of the call."""

    folds: list[Fold]
    skipped: set[int]


def fold_plan(
    model: nn.Module, record: ForwardRecord, operands: bool = False, twofold: ForwardRecord | None = None
) -> FoldPlan:
    """Choose what to fold: floating-point matrices, computed by calculations alone, that are the weight of an op.

    Args:
        model: the model that was recorded.
        record: of a forward pass, with everything impure noted.
        operands: whether to fold large tables that an op takes as they are, too.
        twofold: record of a forward pass of twice the samples; a table that it computes in another way is not folded.
    """
    finder = _Finder(model, record)
    wanted = finder.chosen() | finder.assigned.keys() | (finder.tables(twofold) if operands else set())
    folds = [fold for number in sorted(wanted - record.updated) if (fold := finder.fold(number)) is not None]
    finder.join_scopes(folds)
    skipped = _skippable(record, folds)
    modules = dict(model.named_modules())
    taken = {fold.replaced for fold in folds if fold.replaced is not None}
    for fold in folds:
        if fold.replaced is None:
            fold.replaced = _replaceable(record, fold, skipped, modules, taken)
    return FoldPlan(folds, skipped)


class _Finder:
    """Finds the tensors to fold and where they are computed."""

    def __init__(self, model: nn.Module, record: ForwardRecord) -> None:
        self.record = record
        self.maker = record.maker()
        self.modules = dict(model.named_modules())
        self.impure = self._impure()
        self.assigned = assigned_parameters(record, self.impure)
        self.folded: set[int] = set()

    def _impure(self) -> set[int]:
        found = set(self.record.impure)
        for call in self.record.calls:
            if not found.isdisjoint(call.inputs):
                found.update(number for number in call.results if number not in call.inputs)
        return found

    def chosen(self) -> set[int]:
        """Numbers of the tensors that are weights and computed."""
        found = set()
        for number, uses in self.record.uses.items():
            weights = [use for use in uses if is_weight_operand(use)]
            if not weights or number in self.impure:
                continue
            target = self._target(number)
            if target is not None and self._is_weight(target, all(map(is_product, weights))):
                found.add(target)
        return found

    def tables(self, twofold: ForwardRecord | None) -> set[int]:
        """Numbers of the tensors that are computed, and taken as they are by an op that a program holds them for."""
        found = set()
        known = None if twofold is None else {call.key for call in twofold.calls}
        for number, uses in self.record.uses.items():
            taken = number not in self.impure and any(map(is_taken_operand, uses))
            target = self._target(self._uncopied(number)) if taken else None
            if target is not None and known is not None:
                target = self._common(target, known)
            if target is not None and self._is_table(target) and not self._is_stored_once(target, uses):
                found.add(target)
        return found

    def _uncopied(self, number: int) -> int:
        """What a tensor is a copy of, in the order in memory that an op wants: other ways to the op need no copy."""
        call = self.maker.get(number)
        return call.inputs[0] if call is not None and call.key[0] == _CONTIGUOUS else number

    def _is_stored_once(self, number: int, uses: Iterable[OperandUse]) -> bool:
        """Whether a tensor repeats what ops broadcast, which a conversion stores once."""
        value = self.record.values[number]
        long = [axis for axis, size in enumerate(value.shape) if size > 1]
        repeats = any(torch.equal(value, value.narrow(axis, 0, 1).expand_as(value)) for axis in long)
        return repeats and all(map(is_broadcast, uses))

    def _common(self, number: int, known: set[CallKey]) -> int | None:
        """The last tensor on the way to one that is computed by these calls alone; only moves may follow."""
        while number not in self.record.sources:
            if all(call.key in known for call in self._ancestors(number)[0]):
                return number
            call = self.maker[number]
            moved = [one for one in call.inputs if self.record.values[one].is_floating_point()]
            if len(moved) != 1 or not is_moved_by(call.key[0]):
                return None
            number = moved[0]
        return None

    def _is_table(self, number: int) -> bool:
        """Whether a tensor is a large one of the model's own values that a conversion does not find in their place."""
        value = self.record.values[number]
        long = sum(size > 1 for size in value.shape) > 1 and value.numel() >= LEAST_ELEMENTS
        if value.dtype is not torch.float32 or not long or self.maker[number].kind is not Tensor:
            return False
        chain, numbers = self._ancestors(number)
        sources = [self.record.values[one] for one in numbers if self.record.values[one].is_floating_point()]
        made = [call for call in chain if any(self.record.values[one].is_floating_point() for one in call.results)]
        moved = all(is_moved_by(call.key[0]) for call in made)
        in_place = moved and value.numel() <= max((source.numel() for source in sources), default=0)
        return bool(sources) and not in_place and float(value.abs().max()) <= torch.finfo(torch.float16).max

    def _target(self, number: int) -> int | None:
        """The last tensor that is calculated on the way to a use, or what is turned of it alone; None for a plain one."""
        turned, at = number, number
        while at not in self.record.sources:
            call = self.maker[at]
            if len(call.inputs) != 1 or not self._is_view(call, at):
                return turned if self.record.values[turned].ndim > 1 else number
            at = call.inputs[0]
            only_use = not self.record.uses.get(at) and self._children(at) == 1
            if not (only_use and call.key[0].split(".", 1)[-1] in _TURNS and turned == number):
                turned = at
        return None

    def _is_view(self, call: Call, number: int) -> bool:
        made, given = (self.record.values[one] for one in (number, call.inputs[0]))
        return made.untyped_storage().data_ptr() == given.untyped_storage().data_ptr()

    def _children(self, number: int) -> int:
        return sum(number in call.inputs for call in self.record.calls)

    def _is_weight(self, number: int, only_products: bool) -> bool:
        value = self.record.values[number]
        if value.dtype is not torch.float32 or value.ndim < 2 or self.maker[number].kind is not Tensor:
            return False
        sources = [self.record.sources[one] for one in self._ancestors(number)[1] if one in self.record.sources]
        return bool(sources) and (not only_products or any(source.is_parameter for source in sources))

    def fold(self, number: int) -> Fold | None:
        """The fold of a tensor; None where no module holds all that it is computed from."""
        chain, sources = self._ancestors(number)
        replaced = self.assigned.get(number)
        sources |= set() if replaced is None else {replaced}
        scope = self._scope([call.path for call in chain], [self.record.values[one] for one in sources])
        if scope is None:
            return None
        self.folded.add(number)
        kept = any(use.function == "attribute" for use in self.record.uses.get(number, ()))
        value = self.record.values[number]
        return Fold(number, value, tuple(chain), tuple(sorted(sources)), scope, replaced, kept)

    def _ancestors(self, number: int) -> tuple[list[Call], set[int]]:
        """The calls that compute a tensor, and the sources and folds that they begin with."""
        calls: dict[int, Call] = {}
        sources: set[int] = set()
        open_ = [number]
        while open_:
            one = open_.pop()
            if one in self.record.sources or (one in self.folded and one != number):
                sources.add(one)
            elif id(self.maker[one]) not in calls:
                calls[id(self.maker[one])] = self.maker[one]
                open_ += self.maker[one].inputs
        return [call for call in self.record.calls if id(call) in calls], sources

    def _scope(self, paths: Iterable[Path], sources: Iterable[Tensor]) -> str | None:
        """The innermost module around all calls that holds all sources, itself or below it."""
        path = _shared(list(paths))
        wanted = {id(tensor) for tensor in sources if id(tensor) in self._held("")}
        while path:
            if wanted <= self._held(path[-1]) and not isinstance(self.modules[path[-1]], torch.fx.GraphModule):
                return path[-1]
            path = path[:-1]
        return None

    def _held(self, name: str) -> set[int]:
        return {id(tensor) for module in self.modules[name].modules() for _, tensor in held_tensors(module)}

    def join_scopes(self, folds: list[Fold]) -> None:
        """Let folds that share a call have one scope, since the inner one would hide the call from the outer one."""
        for _ in folds:
            scopes: dict[int, tuple[str, ...]] = {}
            for fold in folds:
                for call in fold.chain:
                    scopes[id(call)] = (*scopes.get(id(call), ()), fold.scope)
            before = [fold.scope for fold in folds]
            for fold in folds:
                fold.scope = min((name for call in fold.chain for name in scopes[id(call)]), key=len)
            if before == [fold.scope for fold in folds]:
                return


def _shared(paths: list[Path]) -> Path:
    shared = paths[0]
    for path in paths[1:]:
        same = [a == b for a, b in zip(shared, path, strict=False)]
        shared = shared[: same.index(False) if False in same else len(same)]
    return shared


def _skippable(record: ForwardRecord, folds: list[Fold]) -> set[int]:
    """Calls of which nothing but folds needs the result, and the calls of folds, by ``id``."""
    users: dict[int, list[Call]] = {}
    for call in record.calls:
        for number in call.inputs:
            users.setdefault(number, []).append(call)
    folded = {fold.number for fold in folds}
    chains = {id(call) for fold in folds for call in fold.chain}
    skipped: set[int] = set()

    def is_needed(number: int) -> bool:
        after = [user for user in users.get(number, []) if user.computes]
        return bool(record.uses.get(number)) or any(id(user) not in skipped for user in after)

    for call in reversed(record.calls):
        is_free = not folded.isdisjoint(call.results) or not any(map(is_needed, call.results))
        if id(call) in chains and call.kind is not None and call.computes and is_free:
            skipped.add(id(call))
    return skipped


def _replaceable(
    record: ForwardRecord, fold: Fold, skipped: set[int], modules: dict[str, nn.Module], taken: set[int]
) -> int | None:
    """A layer's own weight of the same shape that nothing else reads, whose place the value can take."""
    if any(fold.number in call.inputs for call in record.calls):
        return None  # its number and the parameter's would be one
    for number in fold.sources:
        source = record.sources.get(number)
        if source is None or number in taken or not _is_weight_of_layer(source, fold, modules):
            continue
        users = [call for call in record.calls if number in call.inputs and call.computes]
        if not record.uses.get(number) and users and all(id(user) in skipped for user in users):
            taken.add(number)
            return number
    return None


def _is_weight_of_layer(source: Source, fold: Fold, modules: dict[str, nn.Module]) -> bool:
    named = source.is_parameter and source.name == "weight" and kind_of(modules[source.module]) is not None
    return named and source.tensor.shape == fold.value.shape
