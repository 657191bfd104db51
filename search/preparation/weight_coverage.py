"""Coverage: which large constants stay as they are because they are no layer's weight, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from palettune.device_bench.package.other_constants import OtherConstant
from palettune.search.preparation.preparation import Preparation

__all__ = ["constant_json", "coverage_warning", "large_constants"]

#: Bytes above which a constant is listed.
_LARGE = 2048
#: Share of the weights' bytes that layers should have.
_ENOUGH = 0.95


def large_constants(constants: Iterable[OtherConstant]) -> tuple[OtherConstant, ...]:
    """Return the constants above 2 kB, the largest first; parts of one parameter are one."""
    found: dict[str, OtherConstant] = {}
    for constant in constants:
        held = found.get(constant.name)
        found[constant.name] = constant if held is None else _joined(held, constant)
    large = [constant for constant in found.values() if constant.bytes > _LARGE]
    return tuple(sorted(large, key=lambda constant: (-constant.bytes, constant.name)))


def coverage_warning(preparation: Preparation) -> str | None:
    """Return a warning where layers have less than 95 % of the weights' bytes; None elsewhere."""
    if preparation.coverage >= _ENOUGH:
        return None
    counted = [constant for constant in large_constants(preparation.base.others) if constant.float_bytes]
    largest = sorted(counted, key=lambda constant: -constant.float_bytes)[:3]
    names = "".join(f"; {constant.name}: {constant.reason}" for constant in largest)
    return f"layers are {100 * preparation.coverage:.0f} % of the weights' bytes, the rest stays as it is{names}"


def constant_json(constant: OtherConstant) -> dict[str, Any]:
    """Return a constant as plain values."""
    return {
        "name": constant.name,
        "shape": list(constant.shape),
        "bytes": constant.bytes,
        "reason": constant.reason,
    }


def _joined(one: OtherConstant, more: OtherConstant) -> OtherConstant:
    return replace(one, bytes=one.bytes + more.bytes, float_bytes=one.float_bytes + more.float_bytes)
