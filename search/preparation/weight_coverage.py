"""Coverage: which large weights stay in fp16 because they are no layer's, and what to do about it."""

from __future__ import annotations

from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.preparation.preparation import Preparation
from palettune.space.encoding import FP16
from palettune.space.footprint import layer_bytes

__all__ = ["uncompressed"]

_SHOWN = 5
_LEAST = 0.01
_ENOUGH = 0.95


def uncompressed(preparation: Preparation) -> list[str]:
    """A line for each constant of two or more axes that is no layer's weight and takes a hundredth of the fp16 file.

    The largest are named, the others counted; where layers hold less than 95 % of such bytes, the way out is said.
    """
    target = preparation.experiment.deployment_target
    file = preparation.rest + sum(layer_bytes(layer, FP16, target) for layer in preparation.layers)
    sizes: dict[str, int] = {}
    for constant in preparation.base.floats:  # a parameter may be stored in parts
        sizes[constant.name] = sizes.get(constant.name, 0) + constant.bytes
    large = sorted(((name, size) for name, size in sizes.items() if size >= _LEAST * file), key=lambda item: -item[1])
    lines = [f"stays fp16: {name} {_share(size, file)}" for name, size in large[:_SHOWN]]
    left = [size for _, size in large[_SHOWN:]]
    if left:
        lines.append(f"stays fp16: {len(left)} more, {_share(sum(left), file)}")
    if preparation.coverage < _ENOUGH:
        lines.append(f"layers are {100 * preparation.coverage:.0f} % of the weights' bytes")
    return lines


def _share(size: int, file: int) -> str:
    return f"{size / MEGABYTE:.3f} MB ({100 * size / file:.0f} % of the file)"
