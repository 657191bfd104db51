"""Encodings: the ways Core ML stores one weight, with one canonical spelling each.

An encoding combines pruning (``Sparsity``) with a storage of the values (``Table`` or ``Linear``; fp16 without either).
Joint forms have both. The operations behind them are described at
https://apple.github.io/coremltools/docs-guides/source/opt-overview.html and in
``coremltools.converters.mil.mil.ops.defs.iOS16`` and ``iOS18``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from palettune.space.encoding_parts import Axis, Entries, Granularity, Linear, Scheme, Sparsity, Table
from palettune.space.encoding_spelling import EncodingError, parse_sparsity, parse_values, spell

__all__ = [
    "FP16",
    "Axis",
    "Encoding",
    "EncodingError",
    "Entries",
    "Family",
    "Granularity",
    "Linear",
    "Scheme",
    "Sparsity",
    "Table",
]


class Family(StrEnum):
    """Families of encodings."""

    FP16 = "fp16"
    LUT = "lut"
    LINEAR = "linear"
    SPARSE = "sparse"
    JOINT = "joint"


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to store one weight. ``Encoding()`` is plain fp16."""

    values: Table | Linear | None = None
    sparsity: Sparsity | None = None

    @property
    def family(self) -> Family:
        """Family of the encoding."""
        if self.sparsity is not None:
            return Family.SPARSE if self.values is None else Family.JOINT
        if self.values is None:
            return Family.FP16
        return Family.LUT if isinstance(self.values, Table) else Family.LINEAR

    @property
    def table(self) -> Table | None:
        """Table, where values are stored as table indices; None otherwise."""
        return self.values if isinstance(self.values, Table) else None

    @property
    def linear(self) -> Linear | None:
        """Linear quantization, where values are stored as integers; None otherwise."""
        return self.values if isinstance(self.values, Linear) else None

    @property
    def bits(self) -> int:
        """Bits of one stored value."""
        return 16 if self.values is None else self.values.bits

    @property
    def sort_key(self) -> tuple[object, ...]:
        """Key of the canonical order: families, simple before combined, more bits first, then spelling."""
        spelling = str(self)
        return (list(Family).index(self.family), spelling.count("-"), -self.bits, len(spelling), spelling)

    @classmethod
    def parse(cls, text: str) -> Encoding:
        """Read a spelling; raise EncodingError with what is wrong or the nearest spelling."""
        first, plus, second = text.strip().lower().partition("+")
        if not plus and not first.startswith("sparse"):
            return cls(parse_values(first, text))
        sparsity = parse_sparsity(first, text)
        if not plus:
            return cls(None, sparsity)
        values = parse_values(second, text)
        if values is None:
            raise EncodingError(f"encoding {text!r}: '+fp16' has no effect; write {first!r} alone")
        if isinstance(values, Table) and (values.vector > 1 or values.entries is not Entries.FP16):
            raise EncodingError(f"encoding {text!r}: coremltools converts no sparse weight with '{second}'")
        return cls(values, sparsity)

    def __str__(self) -> str:
        """Return the canonical spelling."""
        return spell(self.values, self.sparsity)


FP16 = Encoding()
