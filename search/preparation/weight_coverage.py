"""Coverage: which large constants stay as they are because they are no layer's weight, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from palettune.device_bench.package.float_constants import FloatConstant
from palettune.search.preparation.preparation import Preparation

__all__ = ["constant_json", "coverage_warning", "large_constants"]

#: Bytes above which a constant is listed.
_LARGE = 2048
#: Share of the bytes of all large constants that layers should have.
_ENOUGH = 0.95


def large_constants(constants: Iterable[FloatConstant]) -> tuple[FloatConstant, ...]:
    """Return the constants above 2 kB, the largest first; parts of one parameter are one."""
    found: dict[str, FloatConstant] = {}
    for constant in constants:
        held = found.get(constant.name)
        found[constant.name] = constant if held is None else replace(held, bytes=held.bytes + constant.bytes)
    large = [constant for constant in found.values() if constant.bytes > _LARGE]
    return tuple(sorted(large, key=lambda constant: (-constant.bytes, constant.name)))


def coverage_warning(preparation: Preparation) -> str | None:
    """Return a warning where layers have less than 95 % of the bytes of all large constants; None elsewhere."""
    if preparation.coverage >= _ENOUGH:
        return None
    largest = large_constants(preparation.base.floats)[:3]
    names = "".join(f"; {constant.name}: {constant.reason}" for constant in largest)
    return f"layers are {100 * preparation.coverage:.0f} % of the weights' bytes, the rest stays as it is{names}"


def constant_json(constant: FloatConstant) -> dict[str, Any]:
    """Return a constant as plain values."""
    return {
        "name": constant.name,
        "shape": list(constant.shape),
        "bytes": constant.bytes,
        "reason": constant.reason,
    }
