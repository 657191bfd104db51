"""Content hashes of tensors and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["checksum", "raw_bytes", "tensors_digest"]


def tensors_digest(tensors: Iterable[Tensor]) -> str:
    """Hash the dtypes, shapes and values of tensors, in order; the memory layout has no influence."""
    digest = hashlib.blake2b(digest_size=16)
    for value in tensors:
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(raw_bytes(value))
    return digest.hexdigest()


def raw_bytes(values: Tensor) -> memoryview:
    """Return a tensor's values as bytes, in row-major order."""
    return values.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def checksum(data: bytes) -> str:
    """Return a short hash of a file's bytes, for its name."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()
