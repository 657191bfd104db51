"""Weight bank: compressed weights on disk, content-addressed, with checksums.

A file is ``<key[:2]>/<key>.<checksum>.safetensors``: the key hashes everything that determines the weight, the checksum
the file's bytes. A damaged file is detected when it is read, and its entry is built again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import coremltools
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.weights.content_hash import checksum, tensors_digest
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["WeightBank", "weight_digest"]

FORMAT = 1
_WEIGHT = "weight"
_BUFFER = "buffer:"
_SCALE = "scale"


def weight_digest(weight: Tensor) -> str:
    """Hash a float weight: dtype, shape and values."""
    return tensors_digest([weight])


class WeightBank:
    """Compressed weights in a folder, and read-only in the folders of other runs.

    Args:
        folder: of this run; new entries are written to it.
        others: folders of other runs' banks, whose entries are read in place.

    Attributes:
        damaged: damaged files found so far.
    """

    def __init__(self, folder: Path, others: Sequence[Path] = ()) -> None:
        self.folder = Path(folder)
        self.others = tuple(Path(other) for other in others)
        self._index: dict[str, Path] = {}
        self.damaged: list[Path] = []
        self._useless: set[Path] = set()  # damaged files that are not this run's to remove
        for place in (*reversed(self.others), self.folder):
            self._index.update(_scan(place))

    def key(
        self, digest: str, layer: Layer, encoding: Encoding, method: str, settings: Mapping[str, object] | None = None
    ) -> str:
        """Hash what determines a compressed weight: float weight, layer, encoding, method, settings and tool versions.

        Args:
            digest: ``weight_digest`` of the layer's float weight.
            layer: kind and groups of the layer enter the key; its name does not.
            encoding: of the weight.
            method: name of the method that finds the weight, e.g. ``data_free``.
            settings: the method's settings.
        """
        parts = (
            FORMAT,
            digest,
            layer.kind.value,
            layer.groups,
            str(encoding),
            method,
            sorted((settings or {}).items()),
            coremltools.__version__,
            torch.__version__,
            *((layer.float_bits,) if layer.float_bits != 16 else ()),  # banks from before it are still good
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=20).hexdigest()

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def get(self, key: str) -> CompressedWeight | None:
        """Read an entry; ``None`` if it is absent or damaged.

        Damaged files are listed in ``damaged``, and deleted in this run's folder."""
        while (path := self._find(key)) is not None:
            data = self._read(key, path)
            if data is None:
                continue
            try:
                return _unpack(load_tensors(data))
            except (SafetensorError, KeyError):
                self._discard(key, path)
        return None

    def put(self, key: str, compressed: CompressedWeight) -> None:
        """Write one entry atomically."""
        data = save_tensors(_pack(compressed))
        path = self.folder / key[:2] / f"{key}.{checksum(data)}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
        self._useless.discard(path)
        self._index[key] = path

    def obtain(self, key: str, build: Callable[[], CompressedWeight]) -> CompressedWeight:
        """Read an entry; if it is absent or damaged, build and write it first."""
        found = self.get(key)
        if found is None:
            found = build()
            self.put(key, found)
        return found

    def verify(self, keys: Iterable[str]) -> list[str]:
        """Return the keys whose entries are absent or damaged.

        Damaged files are listed in ``damaged``, and deleted in this run's folder."""
        return [key for key in keys if not self._intact(key)]

    def _intact(self, key: str) -> bool:
        while (path := self._find(key)) is not None:
            if self._read(key, path) is not None:
                return True
        return False

    def _read(self, key: str, path: Path) -> bytes | None:
        """Read a file; ``None`` if it was deleted since it was listed, or is damaged."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # another process found it damaged, or its run was deleted
            self._index.pop(key, None)
            return None
        except OSError:
            data = b""
        if checksum(data) == path.name.split(".")[1]:
            return data
        self._discard(key, path)
        return None

    def _discard(self, key: str, path: Path) -> None:
        """Record a damaged file and ignore it from now on; delete it only in this run's folder."""
        self.damaged.append(path)
        self._index.pop(key, None)
        self._useless.add(path)
        if path.is_relative_to(self.folder):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                self._useless.discard(path)

    def _find(self, key: str) -> Path | None:
        path = self._index.get(key)
        if path is None:  # another worker may have written it since
            written = (p for p in _entries(self.folder / key[:2]) if p.name.startswith(f"{key}."))
            path = next((p for p in written if p not in self._useless), None)
            if path is not None:
                self._index[key] = path
        return path


def _scan(folder: Path) -> dict[str, Path]:
    return {path.name.split(".")[0]: path for part in _entries(folder, "") for path in _entries(part)}


def _entries(folder: Path, suffix: str = ".safetensors") -> list[Path]:
    """List a folder; empty if another process has deleted it."""
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(suffix)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _pack(compressed: CompressedWeight) -> dict[str, Tensor]:
    weight = compressed.weight.detach().contiguous()
    half = weight.half()
    # fp16 where it loses nothing: half the disk, and what the package stores anyway
    tensors = {_WEIGHT: half if torch.equal(half.float(), weight) else weight}
    tensors |= {_BUFFER + key: value.detach().contiguous() for key, value in compressed.buffers.items()}
    return tensors if compressed.scale is None else tensors | {_SCALE: compressed.scale.detach().contiguous()}


def _unpack(tensors: Mapping[str, Tensor]) -> CompressedWeight:
    buffers = {key.removeprefix(_BUFFER): value for key, value in tensors.items() if key.startswith(_BUFFER)}
    return CompressedWeight(tensors[_WEIGHT].float(), buffers, tensors.get(_SCALE))
