"""The encodings of a search, each with its number in the page; configurations as text, one character for each layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding, Family
from palettune.space.footprint import stored_bits
from palettune.space.layer import Layer
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

__all__ = ["EncodingTable", "rounded_inputs", "spelt"]

_FIRST = 48
_FAMILIES = {
    Family.FP16: "float",
    Family.LUT: "palette",
    Family.LINEAR: "integer",
    Family.SPARSE: "sparse",
    Family.JOINT: "joint",
}


class EncodingTable:
    """Every encoding of a menu or of an experiment, most bits first; an encoding's number is its place.

    Args:
        others: what the experiment asks for or somebody brought, which menus may not offer.
    """

    def __init__(self, space: SearchSpace, others: Iterable[Encoding], target: DeploymentTarget) -> None:
        largest: dict[Encoding, Layer] = {}
        for menu in space.menus.values():
            for encoding in menu.encodings:
                held = largest.get(encoding)
                if held is None or menu.layer.parameters > held.parameters:
                    largest[encoding] = menu.layer
        bits = {e: round(stored_bits(layer, e, target), 3) for e, layer in largest.items()}
        bits |= {e: float(e.bits) for e in others if e not in bits}
        self._bits = bits
        self._all = sorted(bits, key=lambda e: (-bits[e], e.sort_key))
        self._places = {encoding: place for place, encoding in enumerate(self._all)}
        self._known: dict[int, tuple[Encoding, int]] = {}

    def place(self, encoding: Encoding) -> int:
        """Return the number of an encoding; looked up by identity first, which costs a tenth of hashing it."""
        known = self._known.get(id(encoding))
        if known is None or known[0] is not encoding:
            known = self._known[id(encoding)] = (encoding, self._places[encoding])
        return known[1]

    def rows(self) -> list[dict[str, Any]]:
        """Return name, bits per weight in the largest layer that may take it, and family of each, by number."""
        return [{"name": str(e), "bits": self._bits[e], "family": _family(e)} for e in self._all]

    def places(self, configuration: Configuration, layers: Sequence[str]) -> list[int]:
        """Return the number of each layer's encoding."""
        encodings: Mapping[str, Encoding] = configuration.encodings
        return [self.place(encodings[name]) for name in layers]


def spelt(places: Iterable[int]) -> str:
    """Encode numbers as text, one character each."""
    return "".join(chr(_FIRST + place) for place in places)


def rounded_inputs(configuration: Configuration, layers: Sequence[str]) -> str | None:
    """Return a digit for each layer, 1 where its inputs are in 8 bits; ``None`` where none are."""
    if not configuration.activations:
        return None
    return "".join("1" if configuration.activations.get(name) is Precision.INT8 else "0" for name in layers)


def _family(encoding: Encoding) -> str:
    if encoding.table is not None and encoding.table.vector > 1:
        return "vector"
    return _FAMILIES[encoding.family]
