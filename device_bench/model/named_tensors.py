"""The tensors of a model by their dotted names, each once."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

__all__ = ["matrices", "named_tensors"]


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield each parameter and each buffer under the first of its names, parameters first."""
    seen: set[int] = set()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor


def matrices(module: nn.Module) -> dict[str, Tensor]:
    """Return the floating-point tensors of two or more axes."""
    return {
        name: tensor
        for name, tensor in named_tensors(module)
        if tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel()
    }
