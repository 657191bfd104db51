"""Tables of sensitivity scores: predicted divergence of each (layer, encoding) alone, for each sample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError

__all__ = ["Column", "Scores", "ScoresError"]

Column = tuple[str, Encoding]
"""One (layer name, encoding)."""
_AGAIN = "`palettune search EXPERIMENT.toml` (or palettune.run_search) makes them again and goes on"


class ScoresError(UserError):
    """Scores that are missing or cannot be read."""


@dataclass(frozen=True)
class Scores:
    """Additive scores of C columns on S samples, in units of the divergence.

    Attributes:
        method: name of the sensitivity score.
        columns: the (layer, encoding) of each column.
        by_sample: (S, C) float64; column means are the scores. One row if the score uses no samples.
        signed: (S, C) first-order changes whose square is ``by_sample``, if the score has them; sums over the layers of a
            configuration include interactions between layers.
        seconds: compute time, summed over workers.
        unreached: layers that no gradient reached on any sample, so that their scores carry no information.
        refusal: error of torch where it could not compute gradients.
        methods: by layer, the name of the score of layers scored by another one.
    """

    method: str
    columns: tuple[Column, ...]
    by_sample: NDArray[np.float64]
    signed: NDArray[np.float64] | None = None
    seconds: float = 0.0
    unreached: tuple[str, ...] = ()
    refusal: str | None = None
    methods: Mapping[str, str] = field(default_factory=dict)
    _index: dict[Column, int] = field(init=False, repr=False, compare=False)
    _means: dict[int, float] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {column: i for i, column in enumerate(self.columns)})
        if self.by_sample.ndim != 2 or self.by_sample.shape[1] != len(self.columns):
            raise ValueError(
                f"scores of shape {self.by_sample.shape}; expected two axes and {len(self.columns)} columns"
            )
        bad = np.flatnonzero(~np.isfinite(self.by_sample).all(axis=0))
        if bad.size:
            layer, encoding = self.columns[int(bad[0])]
            raise ValueError(f"score of layer {layer!r} in {encoding} is not finite (stage: {self.method} scoring)")

    def index(self, layer: str, encoding: Encoding) -> int:
        """Return the column of one (layer, encoding)."""
        return self._index[layer, encoding]

    def method_of(self, layer: str) -> str:
        """Return the name of the sensitivity score of one layer."""
        return self.methods.get(layer, self.method)

    def replaced(self, other: Scores) -> Scores:
        """Return a copy with the columns of ``other`` replaced by its scores, and without signed changes.

        If ``other`` has a number of samples that does not divide that of these scores, its means fill every row.
        """
        table, rows = self.by_sample.copy(), len(self.by_sample)
        values = other.by_sample
        if rows % len(values):
            values = values.mean(axis=0, keepdims=True)
        table[:, [self._index[column] for column in other.columns]] = values.repeat(rows // len(values), axis=0)
        layers = dict.fromkeys(layer for layer, _ in other.columns)
        return replace(
            self,
            by_sample=table,
            signed=None,
            seconds=self.seconds + other.seconds,
            unreached=tuple(layer for layer in self.unreached if layer not in layers),
            methods={**self.methods, **dict.fromkeys(layers, other.method)},
        )

    def score(self, layer: str, encoding: Encoding) -> float:
        """Return the predicted divergence of one layer in one encoding, all others float."""
        index = self.index(layer, encoding)
        if index not in self._means:
            self._means[index] = float(self.by_sample[:, index].mean())
        return self._means[index]

    def predict(self, configuration: Configuration) -> float:
        """Return the predicted divergence of a configuration: the sum of its layers' scores."""
        return float(self._rows(configuration).mean())

    def standard_error(self, configuration: Configuration) -> float | None:
        """Return the standard error of ``predict`` over samples; ``None`` with fewer than two samples."""
        rows = self._rows(configuration)
        return float(rows.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else None

    def has(self, column: Column) -> bool:
        """Return whether one (layer, encoding) has a score."""
        return column in self._index

    def covers(self, configuration: Configuration) -> bool:
        """Return whether every (layer, encoding) of a configuration has a score."""
        return all(self.has(column) for column in configuration.encodings.items())

    def extended(self, other: Scores) -> Scores:
        """Return a copy with the columns of ``other`` that these scores lack; its rows are the same samples, or one."""
        rows = len(self.by_sample)
        chosen = [i for i, column in enumerate(other.columns) if not self.has(column)]
        added = other.by_sample[:, chosen]
        if len(added) != rows:
            added = added.mean(axis=0, keepdims=True).repeat(rows, axis=0)
        both = self.signed is not None and other.signed is not None and len(other.signed) == rows
        signed = np.concatenate([self.signed, other.signed[:, chosen]], 1) if both else None  # type: ignore[index]
        return replace(
            self,
            columns=(*self.columns, *(other.columns[i] for i in chosen)),
            by_sample=np.concatenate([self.by_sample, added], axis=1),
            signed=signed,
            seconds=self.seconds + other.seconds,
        )

    def _rows(self, configuration: Configuration) -> NDArray[np.float64]:
        indices = [self.index(layer, encoding) for layer, encoding in configuration.encodings.items()]
        return np.asarray(self.by_sample[:, indices].sum(axis=1))

    def save(self, path: Path) -> None:
        """Write the scores to a safetensors file, atomically."""
        tensors = {"by_sample": self.by_sample}
        if self.signed is not None:
            tensors["signed"] = self.signed
        names = "\n".join(f"{encoding}\t{layer}" for layer, encoding in self.columns)
        metadata = {"method": self.method, "columns": names, "seconds": repr(self.seconds)}
        metadata["layers"] = json.dumps({"unreached": self.unreached, "methods": dict(self.methods)})
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        save_file(tensors, temporary, metadata)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read scores written by ``save``, including files of versions that did not record unreached layers.

        Raises:
            ScoresError: the file does not exist, or no scores can be read from it.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return cls._read(metadata, tensors)
        except FileNotFoundError:
            raise ScoresError(f"{path}: the scores of the layers are not there; {_AGAIN}") from None
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ScoresError(f"{path}: damaged, no scores can be read from it ({error}); {_AGAIN}") from error

    @classmethod
    def _read(cls, metadata: Mapping[str, str], tensors: Mapping[str, NDArray[np.float64]]) -> Scores:
        lines = [line.split("\t", 1) for line in metadata["columns"].split("\n")]
        columns = tuple((layer, Encoding.parse(encoding)) for encoding, layer in lines)
        method, table, seconds = metadata["method"], tensors["by_sample"], float(metadata["seconds"])
        if "layers" not in metadata:
            unreached = _all_zero(columns, table) if method == "fisher" else ()
            return cls(method, columns, table, tensors.get("signed"), seconds, unreached)
        layers = json.loads(metadata["layers"])
        unreached = tuple(layers["unreached"])
        return cls(method, columns, table, tensors.get("signed"), seconds, unreached, None, layers["methods"])


def _all_zero(columns: tuple[Column, ...], table: NDArray[np.float64]) -> tuple[str, ...]:
    """The layers without any score above zero."""
    found = dict.fromkeys(layer for layer, _ in columns)
    for (layer, _), above in zip(columns, np.asarray(table.any(axis=0)), strict=True):
        if above:
            found.pop(layer, None)
    return tuple(found)
