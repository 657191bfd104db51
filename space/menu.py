"""Menus: the encodings that one layer can take on one deployment target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from palettune.space.encoding import FP16, Encoding
from palettune.space.layer import Layer
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget

__all__ = ["Menu", "menu"]


@dataclass(frozen=True)
class Menu:
    """Encodings that one layer can take, and those refused.

    Attributes:
        layer: the layer.
        encodings: legal encodings in canonical order; ``fp16`` is always the first.
        refused: encodings that were asked for and are not legal, each with the reason.
    """

    layer: Layer
    encodings: tuple[Encoding, ...]
    refused: Mapping[Encoding, str]

    def __reduce__(self) -> tuple[type[Menu], tuple[Layer, tuple[Encoding, ...], dict[Encoding, str]]]:
        return Menu, (self.layer, self.encodings, dict(self.refused))


def menu(layer: Layer, encodings: Iterable[Encoding], target: DeploymentTarget, *, min_elements: int = 0) -> Menu:
    """Sort encodings into legal and refused ones for a layer; ``min_elements`` as in ``refusal``."""
    legal, refused = {FP16}, {}
    for encoding in sorted(set(encodings), key=lambda e: e.sort_key):
        reason = refusal(layer, encoding, target, min_elements=min_elements)
        if reason is None:
            legal.add(encoding)
        else:
            refused[encoding] = reason
    return Menu(layer, tuple(sorted(legal, key=lambda e: e.sort_key)), MappingProxyType(refused))
