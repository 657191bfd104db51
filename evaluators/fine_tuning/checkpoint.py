"""Checkpoints of a training: tensors and JSON values in one safetensors file.

A file is named ``<identity>.<checksum>.safetensors``: the identity hashes all that determines the training, the checksum
the file's bytes. A damaged file is ignored.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from palettune.evaluators.weights.content_hash import checksum

__all__ = ["Checkpoint", "CheckpointFolder"]

_HEADER = "palettune_training"


@dataclass(frozen=True)
class Checkpoint:
    """State of a training.

    Attributes:
        values: JSON values.
        tensors: by name.
    """

    values: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


class CheckpointFolder:
    """Folder with the checkpoints of one training; with the folder ``None``, none are written."""

    def __init__(self, folder: Path | None, identity: str) -> None:
        self.folder = folder
        self.identity = identity

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint atomically, then remove earlier ones."""
        if self.folder is None:
            return
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in checkpoint.tensors.items()}
        data = save_tensors(tensors, {_HEADER: json.dumps(checkpoint.values, sort_keys=True)})
        self.folder.mkdir(parents=True, exist_ok=True)
        earlier = self._files()
        path = self.folder / f"{self.identity}.{checksum(data)}.safetensors"
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
        for file_before in earlier:
            if file_before != path:
                file_before.unlink(missing_ok=True)

    def load(self) -> Checkpoint | None:
        """Read the newest undamaged checkpoint; ``None`` without one."""
        for path in sorted(self._files(), key=lambda found: found.stat().st_mtime_ns, reverse=True):
            try:
                if checksum(path.read_bytes()) == path.name.split(".")[1]:
                    with safe_open(path, framework="pt") as file:
                        values = json.loads(file.metadata()[_HEADER])
                        return Checkpoint(values, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            except (OSError, SafetensorError, KeyError, TypeError, ValueError):
                continue
        return None

    def clear(self) -> None:
        """Remove all checkpoints of the training."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [] if self.folder is None else list(self.folder.glob(f"{self.identity}.*.safetensors"))
