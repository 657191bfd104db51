"""Scores: the predicted divergence of every (layer, encoding) alone, with its uncertainty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

__all__ = ["Column", "Scores"]

Column = tuple[str, Encoding]
"""One (layer name, encoding)."""


@dataclass(frozen=True)
class Scores:
    """Additive scores, in units of the divergence.

    Attributes:
        method: the name of the method that found them.
        columns: what was scored, C of them.
        by_sample: (S, C) float64; column means are the scores. One row where the method has no samples.
        signed: (S, C) first-order changes whose square is the score up to ``factor``, where the method has them:
            their sum over the layers of a configuration also holds the interactions between layers.
        seconds: compute spent, summed over workers.
        unreached: layers that the method can say nothing of: no sample gave their weights a gradient.
        refusal: what torch said where it refused gradients, if it did.
        methods: by layer, the method of those scored by another one.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {column: i for i, column in enumerate(self.columns)})
        if self.by_sample.ndim != 2 or self.by_sample.shape[1] != len(self.columns):
            raise ValueError(f"scores of shape {self.by_sample.shape} for {len(self.columns)} columns")
        bad = np.flatnonzero(~np.isfinite(self.by_sample).all(axis=0))
        if bad.size:
            layer, encoding = self.columns[int(bad[0])]
            raise ValueError(f"score of layer {layer!r} in {encoding} is not finite (stage: {self.method} scoring)")

    def index(self, layer: str, encoding: Encoding) -> int:
        """The column of one (layer, encoding)."""
        return self._index[layer, encoding]

    def method_of(self, layer: str) -> str:
        """The name of the method that scored a layer."""
        return self.methods.get(layer, self.method)

    def replaced(self, other: Scores) -> Scores:
        """These scores with another method's in the columns that it scored; there are no signed changes then.

        Where the other one has another number of samples, its means stand in every row.
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
        """Predicted divergence of one layer in one encoding, all others float."""
        return float(self.by_sample[:, self.index(layer, encoding)].mean())

    def predict(self, configuration: Configuration) -> float:
        """Predicted divergence of a configuration: the sum of its layers' scores."""
        return float(self._rows(configuration).mean())

    def standard_error(self, configuration: Configuration) -> float | None:
        """Standard error of ``predict`` over samples; ``None`` with fewer than two samples."""
        rows = self._rows(configuration)
        return float(rows.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else None

    def _rows(self, configuration: Configuration) -> NDArray[np.float64]:
        indices = [self.index(layer, encoding) for layer, encoding in configuration.encodings.items()]
        return np.asarray(self.by_sample[:, indices].sum(axis=1))

    def save(self, path: Path) -> None:
        """Write to a safetensors file, whole or not at all."""
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
        """Read what ``save`` wrote, also before it wrote which layers no gradient reached."""
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
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
