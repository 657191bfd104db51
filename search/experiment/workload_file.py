"""The workload file that an experiment names."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["workload_digest"]


def workload_digest(path: Path) -> str:
    """Hash of a workload file's text."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
