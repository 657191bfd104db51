"""Which encodings a layer may take on a deployment target, and why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from space.encoding import Axis, Encoding, Entries, Granularity
from space.encoding_parts import Linear, Sparsity, Table
from space.layer import Layer
from space.target import DeploymentTarget

__all__ = ["refusal"]


def refusal(layer: Layer, encoding: Encoding, target: DeploymentTarget, *, min_elements: int = 0) -> str | None:
    """Why a layer cannot take an encoding, in words; None where it can.

    Args:
        layer: the layer.
        encoding: the encoding.
        target: decides which operations the package may use.
        min_elements: layers with fewer elements stay fp16.
    """
    if encoding == Encoding():
        return None
    return next(_reasons(layer, encoding, target, min_elements), None)


def _reasons(layer: Layer, encoding: Encoding, target: DeploymentTarget, min_elements: int) -> Iterator[str]:
    if layer.parameters < min_elements:
        yield f"the weight has {layer.parameters} elements, fewer than {min_elements}"
    if target.generation < 18:
        yield from (f"{what} needs iOS18 or macOS15, and the target is {target}" for what in _new_in_18(encoding))
    if encoding.sparsity is not None:
        yield from _sparsity_reasons(layer, encoding.sparsity)
    if encoding.table is not None:
        yield from _table_reasons(layer, encoding.table)
    if encoding.linear is not None:
        yield from _linear_reasons(layer, encoding.linear)


def _new_in_18(encoding: Encoding) -> Iterator[str]:
    if encoding.sparsity is not None and encoding.values is not None:
        yield "a joint form"
    if encoding.table is not None:
        yield from _table_new_in_18(encoding.table)
    if encoding.linear is not None and encoding.linear.bits < 8:
        yield f"{encoding.linear.bits}-bit linear quantization"
    if encoding.linear is not None and encoding.linear.granularity is Granularity.BLOCK:
        yield "a scale per block"


def _table_new_in_18(table: Table) -> Iterator[str]:
    checks: tuple[tuple[bool, str], ...] = (
        (table.bits == 3, "a 3-bit table"),
        (table.group is not None, "more than one table"),
        (table.vector > 1, "a table of vectors"),
        (table.entries is not Entries.FP16, "a table with 8-bit entries"),
        (table.scaled, "a table with a scale per channel"),
    )
    yield from (what for found, what in checks if found)


def _axis(layer: Layer, axis: Axis) -> tuple[int, str]:
    if axis is Axis.OUTPUT:
        return layer.output_channels, "output channels"
    return layer.input_channels, "input channels"


def _table_reasons(layer: Layer, table: Table) -> Iterator[str]:
    channels, what = _axis(layer, table.axis)
    if table.group is not None:
        if channels % table.group:
            yield f"groups of {table.group} do not divide the {channels} {what}"
        elif channels == table.group:
            yield f"one group of {table.group} is the whole tensor: write the encoding without groups"
    if table.vector > 1 and channels % table.vector:
        yield f"vectors of {table.vector} do not divide the {channels} {what}"


def _linear_reasons(layer: Layer, linear: Linear) -> Iterator[str]:
    if linear.block is None:
        return
    if layer.input_channels % linear.block:
        yield f"blocks of {linear.block} do not divide the {layer.input_channels} input channels"
    elif layer.input_channels == linear.block:
        yield f"one block of {linear.block} is the whole channel: write the encoding without blocks"


def _sparsity_reasons(layer: Layer, sparsity: Sparsity) -> Iterator[str]:
    kept: Callable[[int], int] = lambda count: count - int(count * sparsity.share)  # noqa: E731
    if sparsity.granularity is Granularity.BLOCK and sparsity.block is not None:
        if sparsity.block * 2 > layer.output_channels:
            yield f"blocks of {sparsity.block} are more than half of the {layer.output_channels} output channels"
        elif layer.output_channels % sparsity.block:
            yield f"blocks of {sparsity.block} do not divide the {layer.output_channels} output channels"
    if kept(layer.parameters) < 1:
        yield "nothing would be left of the weight"
    if sparsity.granularity in (Granularity.KERNEL, Granularity.CHANNEL) and len(layer.shape) < 3:
        yield f"a {layer.kind} weight has no kernels to prune as one"
    if sparsity.n_of_m is not None:
        channels, what = _axis(layer, sparsity.axis)
        if channels % sparsity.n_of_m[1]:
            yield f"neighbourhoods of {sparsity.n_of_m[1]} do not divide the {channels} {what}"
