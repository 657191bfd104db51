"""Windows that slide over an axis: ``Tensor.unfold``."""

from __future__ import annotations

from typing import Any

from coremltools.converters.mil import Builder as mb

from palettune.device_bench.conversion.ops.converter import converter
from palettune.device_bench.library_internals import front_end_inputs

__all__: list[str] = []


@converter()
def unfold(context: Any, node: Any) -> None:
    """``aten.unfold``: ``x, axis, size, step``; the windows stay in place of the axis, their elements come last."""
    x, *settings = front_end_inputs(context, node)
    axis, size, step = (int(setting.val) for setting in settings)
    axis %= x.rank
    windows = mb.sliding_windows(x=x, axis=axis, size=size, stride=step)
    order = [i for i in range(windows.rank) if i != axis + 1]
    context.add(mb.transpose(x=windows, perm=[*order, axis + 1], name=node.name))
