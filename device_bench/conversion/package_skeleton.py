"""Skeletons of packages, which are written again with stand-ins: their layers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from palettune.device_bench.conversion.skeleton import Setting, Skeleton, check_count, skeleton_of
from palettune.device_bench.conversion.weights.stand_in import StandIn
from palettune.device_bench.model.compressed_weight import clear
from palettune.device_bench.model.layer_weight import held_tensor
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.model.shared_copy import shared_copy
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.space.layer import Layer

__all__ = ["PackageSkeleton"]


@dataclass(frozen=True)
class PackageSkeleton:
    """A package that is written again with stand-ins for some of its weights."""

    setting: Setting

    def found(self, wanted: tuple[Layer, ...] | None, refused: Mapping[str, str]) -> Skeleton:
        """Write the package with stand-ins for these layers, or for all of its own; refused tensors keep their values."""
        module = self.setting.module
        assert isinstance(module, PackageModule)
        known = layers_of(module) if wanted is None else wanted
        layers = [layer for layer in known if layer.tensor not in refused]
        check_count(len(layers))
        stand_ins = [StandIn(layer.name, layer.shape, number) for number, layer in enumerate(layers)]
        parameters = {
            id(held_tensor(module, layer.tensor)): stand_in.parameter()
            for layer, stand_in in zip(layers, stand_ins, strict=True)
        }
        copied = shared_copy(module, parameters)
        for layer in layers:
            clear(copied, layer.name)
        return replace(
            skeleton_of(copied, self.setting),
            layers=tuple(layers),
            by_size={one.size: one for one in stand_ins},
            refusals={layer.name: refused[layer.tensor] for layer in known if layer.tensor in refused},
            reasons={**refused, **module.kept},
        )
