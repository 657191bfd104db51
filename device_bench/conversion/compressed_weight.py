"""Compressed weights in a torch module: decoded values beside coremltools' metadata buffers.

The buffers are coremltools' own (``coremltools.optimize.torch._utils.metadata_utils``): tensors registered on a
module under ``_COREML_/<parameter>/<key>``, from which the converter recovers indices, tables, scales and masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from palettune.device_bench.library_internals import (
    METADATA_VERSION,
    METADATA_VERSION_BUFFER,
    STATE_DICT_METADATA_BUFFER_PREFIX,
)

__all__ = ["CompressedWeight", "buffer_name", "clear", "install", "metadata"]


@dataclass(frozen=True)
class CompressedWeight:
    """The weight of one layer in one encoding.

    Attributes:
        weight: the decoded weight, float32, in the shape the torch module holds.
        buffers: coremltools' metadata by key (``lut``, ``quantization_scale``, ``compression_type`` ...);
            empty for ``fp16``.
    """

    weight: Tensor
    buffers: Mapping[str, Tensor] = field(default_factory=dict)


def install(root: nn.Module, layer_name: str, compressed: CompressedWeight, parameter: str = "weight") -> None:
    """Put a compressed weight into the submodule ``layer_name`` of ``root``, in place, buffers included."""
    module = root.get_submodule(layer_name)
    clear(module, parameter)
    with torch.no_grad():
        target = module.get_parameter(parameter)
        if target.shape != compressed.weight.shape:
            raise ValueError(
                f"layer {layer_name!r}: the module holds a weight of shape {tuple(target.shape)}, "
                f"the compressed one has {tuple(compressed.weight.shape)}"
            )
        target.copy_(compressed.weight)
    for key, value in compressed.buffers.items():
        module.register_buffer(buffer_name(parameter, key), value.clone())
    if compressed.buffers and not hasattr(root, METADATA_VERSION_BUFFER):
        root.register_buffer(METADATA_VERSION_BUFFER, METADATA_VERSION.clone())


def clear(module: nn.Module, parameter: str = "weight") -> None:
    """Drop the metadata buffers of one parameter, so that its weight converts as plain fp16."""
    prefix = buffer_name(parameter, "")
    for name, _ in list(module.named_buffers(recurse=False, remove_duplicate=False)):
        if name.startswith(prefix):
            delattr(module, name)


def metadata(module: nn.Module, parameter: str = "weight") -> dict[str, Tensor]:
    """Return coremltools' metadata of one parameter by key, as ``install`` registers it; empty without any."""
    prefix = buffer_name(parameter, "")
    buffers = module.named_buffers(recurse=False, remove_duplicate=False)
    return {name.removeprefix(prefix): value for name, value in buffers if name.startswith(prefix)}


def buffer_name(parameter: str, key: str) -> str:
    """Return the name of the buffer that holds one part of a parameter's metadata."""
    return f"{STATE_DICT_METADATA_BUFFER_PREFIX}/{parameter}/{key}"
