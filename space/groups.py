"""Groups of layers that should share an encoding: projections that read the same input.

Query, key and value projections of an attention, or gate and up projections of a feed-forward block, read one tensor;
Core ML can run them as one op when they are stored alike. Which tensors a layer reads is found by running the model
(``evaluators.workload.layer_inputs``). Tied weights need no group: they are one layer (``Layer.tied``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from palettune.space.layer import Layer, LayerKind

__all__ = ["groupable_layers", "shared_groups"]


def groupable_layers(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return the linear layers and matrix products among ``layers``, in their order."""
    return tuple(layer for layer in layers if layer.kind in (LayerKind.LINEAR, LayerKind.MATMUL))


def shared_groups(inputs: Mapping[str, Sequence[Hashable]]) -> tuple[tuple[str, ...], ...]:
    """Group the layers that read the very same tensors, two or more a group, in the order of ``inputs``.

    Args:
        inputs: layer name -> identities of the tensors that the layer reads in one forward pass, in the order of its
            calls; equal identities are the same tensor. A layer that reads none is in no group.
    """
    groups: dict[tuple[Hashable, ...], list[str]] = {}
    for name, identities in inputs.items():
        if identities:
            groups.setdefault(tuple(identities), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
