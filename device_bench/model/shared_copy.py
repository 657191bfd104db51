"""Copies of a module that share its tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

__all__ = ["shared_copy"]


def shared_copy(module: nn.Module, replacements: Mapping[int, Tensor] | None = None) -> nn.Module:
    """Copy the module structure; tensors are shared, or replaced by ``id`` of the original."""
    tensors = [*module.parameters(), *module.buffers()]
    memo: dict[int, Any] = {id(tensor): tensor for tensor in tensors}
    memo.update(replacements or {})
    return copy.deepcopy(module, memo)
