"""Layers as JSON, for files that must tell which elements of a model a weight is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from palettune.space.layer import Layer, LayerKind, Normalization, WeightView

__all__ = ["layer_from_json", "layer_to_json"]


def layer_to_json(layer: Layer) -> dict[str, Any]:
    """Return all that a layer is, but for its name, as values of JSON."""
    values = {key: value for key, value in asdict(layer).items() if key != "name"}
    return {key: value for key, value in values.items() if key != "normalization" or value}


def layer_from_json(name: str, values: Mapping[str, Any]) -> Layer:
    """Return the layer that ``layer_to_json`` wrote."""
    view = values["view"]
    normalization = values.get("normalization")
    axes = tuple(axis if isinstance(axis, int) else tuple(axis) for axis in view["axes"]) if view else ()
    return Layer(
        name,
        LayerKind(values["kind"]),
        tuple(values["shape"]),
        values["groups"],
        tuple((other, LayerKind(kind)) for other, kind in values["tied"]),
        values["float_bits"],
        values["parameter"],
        WeightView(view["start"], axes) if view else None,
        Normalization(**normalization) if normalization else None,
    )
