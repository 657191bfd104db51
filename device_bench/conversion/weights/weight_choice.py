"""Choice of the weights among the uses of one coded tensor: which elements are a weight, and in which order it is held.

Elements that are used twice are one weight: in the order that the ops demand, or as the tensor has them where ops take a
matrix either way. Elements that are used in any other way too are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.conversion.weights.coded_uses import CodedUse
from palettune.device_bench.conversion.weights.weight_codes import CodedPart, whole_view
from palettune.space.layer import LayerKind, WeightView

__all__ = ["FoundWeight", "chosen_weights"]

_TWICE = "the program holds its weight more than once"
_TURNED = {LayerKind.LINEAR: LayerKind.MATMUL, LayerKind.MATMUL: LayerKind.LINEAR}


@dataclass(frozen=True, eq=False)
class FoundWeight:
    """A weight that a program holds.

    Attributes:
        part: the elements of a tensor, in the order in which the program holds them.
        kinds: what ops do with it, without repetition.
        groups: of the convolution that it is the weight of.
        uses: the ops that take it.
        turned: whether each of these takes it transposed.
    """

    part: CodedPart
    kinds: tuple[LayerKind, ...]
    groups: int
    uses: tuple[CodedUse, ...]
    turned: tuple[bool, ...]


def chosen_weights(uses: Sequence[CodedUse]) -> tuple[list[FoundWeight], list[tuple[CodedUse, str]]]:
    """Return the weights among all uses of one tensor by their first element, and the other uses with the reason."""
    found: list[FoundWeight] = []
    refused: list[tuple[CodedUse, str]] = []
    for same, overlaps in _by_elements(uses):
        reason = next((use.reason for use in same if use.kind is None), "")
        weight = None if reason or overlaps else _weight(same)
        if weight is not None:
            found.append(weight)
        else:
            refused += [
                (use, reason or (_TWICE if not overlaps else "parts of it that overlap are used")) for use in same
            ]
    found.sort(key=lambda weight: weight.part.view.start if weight.part.view is not None else 0)
    return found, refused


def _by_elements(uses: Sequence[CodedUse]) -> Iterator[tuple[list[CodedUse], bool]]:
    """Uses of the very same elements together, and whether others use some of these."""
    parts: dict[CodedPart, list[CodedUse]] = {}
    for use in uses:
        parts.setdefault(use.part, []).append(use)
    if len(parts) < 2:
        if not uses:
            return
        yield list(uses), False
        return
    groups: dict[bytes, tuple[NDArray[np.int64], list[CodedUse]]] = {}
    for part, same in parts.items():
        elements = np.sort(_elements(part))
        groups.setdefault(elements.tobytes(), (elements, []))[1].extend(same)
    counts = np.bincount(np.concatenate([elements for elements, _ in groups.values()]))
    for elements, same in groups.values():
        yield same, bool((counts[elements] > 1).any())


def _elements(part: CodedPart) -> NDArray[np.int64]:
    if part.view is None:
        return np.arange(math.prod(part.shape))
    found = np.array(part.view.start, np.int64)
    for axis, size in zip(part.view.axes, part.shape, strict=True):
        found = found[..., None] + (np.arange(size) * axis if isinstance(axis, int) else np.array(axis, np.int64))
    return found.reshape(-1)


def _weight(uses: Sequence[CodedUse]) -> FoundWeight | None:
    """The one weight that all these uses can share; None where ops demand different orders."""
    demanded = {use.part for use in uses if not use.turns}
    if len(demanded) > 1:  # linear ops of a transposed matrix become products
        demanded = {use.part for use in uses if not use.turns and use.op.op_type != "linear"}
    if len(demanded) > 1:
        return None
    part = demanded.pop() if demanded else min((_upright(use.part) for use in uses), key=lambda one: one.shape)
    turned = [use.part != part for use in uses]
    if any(turn and _transposed(use.part) != part for use, turn in zip(uses, turned, strict=True)):
        return None
    kinds = [
        _TURNED.get(use.kind, use.kind) if turn else use.kind
        for use, turn in zip(uses, turned, strict=True)
        if use.kind is not None
    ]
    groups = max(use.groups for use in uses)
    return FoundWeight(part, tuple(dict.fromkeys(kinds)), groups, tuple(uses), tuple(turned))


def _upright(part: CodedPart) -> CodedPart:
    """A matrix in the order of the tensor's own axes."""
    view = part.view
    if view is None or view.steps is None or view.steps[0] >= view.steps[1]:
        return part
    return _transposed(part)


def _transposed(part: CodedPart) -> CodedPart:
    """The same elements with two axes exchanged; as the whole tensor where they are in its order."""
    view = part.view or whole_view(part.shape)
    turned, shape = WeightView(view.start, view.axes[::-1]), part.shape[::-1]
    is_whole = shape == part.tensor_shape and turned == whole_view(shape)
    return replace(part, view=None if is_whole else turned, shape=shape)
