"""Content hashes: what tensors and files are known by, so that equal content is never computed or kept twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["checksum", "raw_bytes", "tensors_digest"]


def tensors_digest(tensors: Iterable[Tensor]) -> str:
    """Hash of dtypes, shapes and values, in order; memory layout does not count."""
    digest = hashlib.blake2b(digest_size=16)
    for value in tensors:
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(raw_bytes(value))
    return digest.hexdigest()


def raw_bytes(values: Tensor) -> memoryview:
    """The values alone, in row-major order."""
    return values.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def checksum(data: bytes) -> str:
    """Short hash of a file's bytes, written into its name."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()
