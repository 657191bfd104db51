"""Convolutions. Meaning: coremltools ``ops/defs/iOS15/conv.py`` and, for mixed types, ``iOS17/conv.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.ops.padding import spatial_padding, torch_padding
from palettune.device_bench.runtime.registry import kernel

_CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@kernel("conv")
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    strides: Sequence[int],
    pad_type: str,
    pad: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolution of [n, C_in, *D] with [C_out, C_in / groups, *K] over one, two or three spatial dimensions."""
    function = _CONV[weight.dim() - 2]
    if pad_type == "valid":
        return function(x, weight, bias, strides, 0, dilations, groups)
    amounts = spatial_padding(pad_type, pad, x.shape[2:], weight.shape[2:], strides, dilations)
    if all(before == after for before, after in amounts):
        return function(x, weight, bias, strides, [before for before, _ in amounts], dilations, groups)
    return function(F.pad(x, torch_padding(amounts)), weight, bias, strides, 0, dilations, groups)


@kernel("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    pad: Sequence[int],
    output_shape: Sequence[int] | None,
    pad_type: str,
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> Tensor:
    """Transposed convolution of [n, C_in, *D] with [C_in, C_out / groups, *K], cropped as ``pad`` says.

    The whole result is computed, then cropped (or filled with zeros where ``output_shape`` asks for more) and biased.
    """
    full = _TRANSPOSED[weight.dim() - 2](x, weight, None, strides, 0, 0, groups, dilations)
    crops = []
    for axis, size in enumerate(full.shape[2:]):
        before = pad[2 * axis] if pad_type == "custom" else 0
        wanted = size - before - (pad[2 * axis + 1] if pad_type == "custom" else 0)
        if pad_type == "same":
            wanted = strides[axis] * x.shape[2 + axis]
            before = max(0, size - wanted) // 2
        if output_shape is not None:
            wanted = output_shape[2 + axis]
        crops.append((-before, wanted - (size - before)))
    if any(before or after for before, after in crops):
        full = F.pad(full, torch_padding(crops))
    return full if bias is None else full + bias.reshape([-1] + [1] * (full.dim() - 2))
