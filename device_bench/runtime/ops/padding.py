"""Padding of the spatial dimensions of convolutions and poolings.

Meaning: coremltools ``ops/defs/_utils.py``, ``aggregated_pad``: ``same`` puts the odd element after,
``same_lower`` before.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["spatial_padding", "torch_padding"]


def spatial_padding(
    pad_type: str,
    pad: Sequence[int],
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
) -> list[tuple[int, int]]:
    """Return the elements put (before, after) each spatial dimension.

    Args:
        pad_type: ``valid``, ``custom``, ``same`` or ``same_lower``.
        pad: before and after of each dimension in turn, read for ``custom``.
        sizes: the input's spatial sizes.
        kernel: the window's sizes, before dilation.
        strides: the window's steps.
        dilations: the window's gaps, 1 by default.
    """
    rank = len(kernel)
    if pad_type == "valid":
        return [(0, 0)] * rank
    if pad_type == "custom":
        return [(pad[2 * axis], pad[2 * axis + 1]) for axis in range(rank)]
    amounts = []
    for size, width, stride, dilation in zip(sizes, kernel, strides, dilations or [1] * rank, strict=True):
        effective = (width - 1) * dilation + 1
        total = max(0, stride * -(-size // stride) - size + effective - stride)
        less, more = total // 2, total - total // 2
        amounts.append((more, less) if pad_type == "same_lower" else (less, more))
    return amounts


def torch_padding(amounts: Sequence[tuple[int, int]]) -> list[int]:
    """Return the same amounts in the order of ``torch.nn.functional.pad``: last dimension first."""
    return [element for amount in reversed(amounts) for element in amount]
