"""Coverage: which large weights stay in fp16 because they are no layer's, and what to do about it."""

from __future__ import annotations

from device_bench.package_module import PackageModule
from search.objectives import MEGABYTE
from search.preparation import WAY_OUT, Preparation
from space.encoding import FP16
from space.footprint import layer_bytes

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
    large = [constant for constant in preparation.base.floats if constant.bytes >= _LEAST * file]
    lines = [
        f"stays fp16: {constant.name} {constant.bytes / MEGABYTE:.3f} MB ({constant.bytes / file:.0%} of the file)"
        for constant in large[:_SHOWN]
    ]
    left = large[_SHOWN:]
    if left:
        size = sum(constant.bytes for constant in left)
        lines.append(f"stays fp16: {len(left)} more, {size / MEGABYTE:.3f} MB ({size / file:.0%} of the file)")
    if preparation.coverage < _ENOUGH and not isinstance(preparation.workload.model, PackageModule):
        lines.append(f"layers are {preparation.coverage:.0%} of the weights' bytes; {WAY_OUT}")
    return lines
