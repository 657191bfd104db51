"""Rules for which encodings a layer can take on a deployment target, with reasons.

Most rules are coremltools' own: it would skip the layer, fail, or store something else than was asked for
(coremltools 9.0: ``optimize/torch/_utils/validation_utils.py``, ``converters/mil/mil/ops/defs/iOS16`` and ``iOS18``).
A few are this package's own: for encodings that equal another one with a shorter spelling, or whose bytes would depend
on the values of the weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from palettune.space.encoding import FP16, Axis, Encoding, Entries, Granularity
from palettune.space.encoding_parts import Linear, Sparsity, Table
from palettune.space.footprint import table_count
from palettune.space.layer import Layer, LayerKind
from palettune.space.sparsity import nonzero_count, pruned_unit_size
from palettune.space.target import DeploymentTarget

__all__ = ["Authority", "Refusal", "refusal", "refusals"]


class Authority(StrEnum):
    """Origin of a refusal: coremltools, or this package."""

    COREMLTOOLS = "coremltools"
    PALETTUNE = "palettune"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason why a layer cannot take an encoding, and whose rule it is."""

    reason: str
    authority: Authority = Authority.COREMLTOOLS


def refusal(layer: Layer, encoding: Encoding, target: DeploymentTarget, *, min_elements: int = 0) -> str | None:
    """Return why a layer cannot take an encoding; None where it can.

    Args:
        layer: the layer.
        encoding: the encoding.
        target: decides which operations the package may use.
        min_elements: layers with fewer elements stay fp16.
    """
    first = next(refusals(layer, encoding, target, min_elements=min_elements), None)
    return None if first is None else first.reason


def refusals(layer: Layer, encoding: Encoding, target: DeploymentTarget, *, min_elements: int = 0) -> Iterator[Refusal]:
    """Yield every reason why a layer cannot take an encoding; none where it can. Arguments as for ``refusal``."""
    if encoding == FP16:
        return
    if layer.parameters < min_elements:
        reason = f"the weight has {layer.parameters} elements, fewer than {min_elements}"
        yield Refusal(reason, Authority.PALETTUNE)
    if target.generation < 18:
        for what in _new_in_18(layer, encoding):
            yield Refusal(f"{what} needs iOS18 or macOS15, and the target is {target}")
    if encoding.sparsity is not None:
        if LayerKind.OPERAND in layer.kinds:
            reason = "nothing of an operand is pruned: zeros in a mask would let through what it hides"
            yield Refusal(reason, Authority.PALETTUNE)
        yield from _sparsity(layer, encoding.sparsity)
    if encoding.table is not None:
        yield from _table(layer, encoding.table)
    if encoding.linear is not None:
        yield from _linear(layer, encoding.linear)


def _new_in_18(layer: Layer, encoding: Encoding) -> Iterator[str]:
    if encoding.sparsity is not None and encoding.values is not None:
        yield "a joint form"
    if encoding.table is not None:
        yield from _table_new_in_18(layer, encoding.table)
    linear = encoding.linear
    if linear is not None and linear.bits < 8:
        yield f"{linear.bits}-bit linear quantization"
    if linear is not None and linear.block is not None and (linear.block, linear.rows) != (layer.input_channels, 1):
        yield "a scale per block"


def _table_new_in_18(layer: Layer, table: Table) -> Iterator[str]:
    checks: tuple[tuple[bool, str], ...] = (
        (table.bits == 3, "a 3-bit table"),
        (table.group not in (None, _axis(layer, table.axis)[0]), "more than one table"),
        (table.vector > 1, "a table of vectors"),
        (table.entries is not Entries.FP16, "a table with 8-bit entries"),
        (table.scaled, "a table with a scale per channel"),
    )
    yield from (what for found, what in checks if found)


def _axis(layer: Layer, axis: Axis) -> tuple[int, str]:
    if axis is Axis.OUTPUT:
        return layer.output_channels, "output channels"
    return layer.input_channels, "input channels"


def _table(layer: Layer, table: Table) -> Iterator[Refusal]:
    channels, what = _axis(layer, table.axis)
    if table.group is not None and channels % table.group:
        yield Refusal(f"groups of {table.group} do not divide the {channels} {what}")
        return
    if table.group == channels:
        yield Refusal(
            f"one group of {table.group} is the whole weight: write the encoding without groups", Authority.PALETTUNE
        )
    if table.vector > 1:
        yield from _vectors(layer, table, table.group or channels, what)


def _vectors(layer: Layer, table: Table, group: int, what: str) -> Iterator[Refusal]:
    vectors = layer.parameters // table.vector // table_count(layer, table)
    if group % table.vector:
        yield Refusal(f"vectors of {table.vector} do not divide {group} {what}")
    elif vectors < 2**table.bits:
        yield Refusal(f"{vectors} vectors are fewer than the {2**table.bits} entries of a table")


def _linear(layer: Layer, linear: Linear) -> Iterator[Refusal]:
    if linear.block is None:
        return
    if layer.input_channels % linear.block:
        yield Refusal(f"blocks of {linear.block} do not divide the {layer.input_channels} input channels")
    elif layer.input_channels == linear.block and linear.rows == 1:
        reason = f"one block of {linear.block} is the whole channel: write the encoding without blocks"
        yield Refusal(reason, Authority.PALETTUNE)
    if layer.output_channels % linear.rows:
        yield Refusal(f"blocks of {linear.rows} do not divide the {layer.output_channels} output channels")
    elif linear.rows > 1 and layer.output_channels == linear.rows:
        yield Refusal(f"blocks cannot hold all of the {layer.output_channels} output channels")


def _sparsity(layer: Layer, sparsity: Sparsity) -> Iterator[Refusal]:
    if sparsity.n_of_m is not None:
        channels, what = _axis(layer, sparsity.axis)
        if channels % sparsity.n_of_m[1]:
            yield Refusal(f"neighbourhoods of {sparsity.n_of_m[1]} do not divide the {channels} {what}")
            return
    if sparsity.block is not None and layer.output_channels % sparsity.block:
        reason = f"blocks of {sparsity.block} do not divide the {layer.output_channels} output channels"
        yield Refusal(reason, Authority.PALETTUNE)
    elif nonzero_count(layer, sparsity) == layer.parameters:
        yield Refusal("the weight is too small for any of it to become zero", Authority.PALETTUNE)
    elif sparsity.granularity in (Granularity.KERNEL, Granularity.CHANNEL) and pruned_unit_size(layer, sparsity) == 1:
        reason = f"{sparsity.granularity}s of one value: write the encoding without them"
        yield Refusal(reason, Authority.PALETTUNE)
    elif sparsity.granularity is Granularity.CHANNEL and len(layer.shape) < 3:
        yield Refusal(f"the values of a {layer.kind} would be pruned one by one, not by channels")
