"""Layers of a torch module: its distinct compressible weights."""

from __future__ import annotations

from torch import nn

from palettune.space.layer import Layer, LayerKind

__all__ = ["kind_of", "layers_of", "weightless"]

_KINDS: tuple[tuple[type[nn.Module], LayerKind], ...] = (
    (nn.Linear, LayerKind.LINEAR),
    (nn.Conv1d, LayerKind.CONV1D),
    (nn.Conv2d, LayerKind.CONV2D),
    (nn.Conv3d, LayerKind.CONV3D),
    (nn.ConvTranspose1d, LayerKind.CONV_TRANSPOSE1D),
    (nn.ConvTranspose2d, LayerKind.CONV_TRANSPOSE2D),
    (nn.ConvTranspose3d, LayerKind.CONV_TRANSPOSE3D),
    (nn.Embedding, LayerKind.EMBEDDING),
)


def kind_of(module: nn.Module) -> LayerKind | None:
    """Return the layer kind of a module, subclasses included; None where its weight cannot be compressed.

    Modules that stand for ops of a Core ML program have an attribute ``layer_kind``, which is taken instead.
    """
    said = getattr(module, "layer_kind", None)
    if isinstance(said, LayerKind):
        return said
    return next((kind for cls, kind in _KINDS if isinstance(module, cls)), None)


def layers_of(module: nn.Module) -> tuple[Layer, ...]:
    """Return every distinct compressible weight of a model, in the order its modules were registered.

    A module registered twice is one layer under its first name. Modules that hold the same parameter (a decoder
    tied to its embedding) are one layer, named by the first, that lists the others as ``tied``. Only parameters count,
    which the model holds for good: a computed or replaced weight may be another tensor at the next call
    (``weightless``).
    """
    holders: dict[int, list[tuple[str, LayerKind, nn.Module]]] = {}
    for name, child in module.named_modules():
        kind, weight = kind_of(child), _weight(child)
        if kind is not None and weight is not None:
            holders.setdefault(id(weight), []).append((name, kind, child))
    return tuple(_layer(same) for same in holders.values())


def weightless(module: nn.Module) -> dict[str, str]:
    """Return, by module name, why modules of a layer's kind are no layers: no floating-point parameter ``weight``."""
    return {
        name: _reason(child)
        for name, child in module.named_modules()
        if kind_of(child) is not None and _weight(child) is None
    }


def _reason(module: nn.Module) -> str:
    held = _held(module)
    if held is not None:
        return f"its weight is {str(held.dtype).removeprefix('torch.')}, not floating-point"
    return "its weight is not a parameter: it is computed, set in each forward pass, or missing"


def _layer(holders: list[tuple[str, LayerKind, nn.Module]]) -> Layer:
    name, kind, module = holders[0]
    weight = _weight(module)
    assert weight is not None
    groups = getattr(module, "groups", 1)
    tied = tuple((other, other_kind) for other, other_kind, _ in holders[1:])
    float_bits = getattr(module, "float_bits", 16)
    return Layer(name, kind, tuple(weight.shape), int(groups), tied, int(float_bits))


def _weight(module: nn.Module) -> nn.Parameter | None:
    """The parameter ``weight`` that a module holds; never one that an attribute would make up when asked."""
    weight = _held(module)
    return weight if weight is not None and weight.is_floating_point() else None


def _held(module: nn.Module) -> nn.Parameter | None:
    return dict(module.named_parameters(recurse=False, remove_duplicate=False)).get("weight")
