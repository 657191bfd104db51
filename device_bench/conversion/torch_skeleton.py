"""Skeletons of torch modules: every weight that the converted program holds is found, and has a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from palettune.device_bench.conversion.conversion import ConversionError
from palettune.device_bench.conversion.skeleton import NO_PLACE, Setting, Skeleton, check_count, skeleton_of
from palettune.device_bench.conversion.weights.coded_uses import at_line
from palettune.device_bench.conversion.weights.discovered_layers import discovered_layers
from palettune.device_bench.conversion.weights.stand_in import StandIn
from palettune.device_bench.conversion.weights.stored_weights import coded_copy, coded_layers, numbered
from palettune.device_bench.conversion.weights.weight_choice import FoundWeight
from palettune.device_bench.conversion.weights.weight_codes import WeightCodes
from palettune.device_bench.conversion.weights.weight_tables import CodedProgram, coded_program
from palettune.device_bench.model.compressed_weight import clear, installed
from palettune.device_bench.model.layer_weight import elements_of, held_tensor
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.model.named_tensors import matrices
from palettune.device_bench.package_model.rounded_products import rounded_products
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

__all__ = ["TorchSkeleton"]

_LARGEST_HALF = torch.finfo(torch.float16).max
_VALUES = "the model converts only with the actual values of its weight: they are computed with before use"
_TOO_OLD = (
    'recurrent ops take no compressed weights before iOS17 and macOS14; set deployment_target = "iOS17" or a later one'
)


@dataclass(frozen=True)
class TorchSkeleton:
    """A torch module that is converted with stand-ins for its weights."""

    setting: Setting

    def found(self, wanted: tuple[Layer, ...] | None, refused: Mapping[str, str]) -> Skeleton:
        """Convert with stand-ins for these layers, or for all that the program holds.

        Args:
            wanted: layers of the module; all of them without.
            refused: by tensor, why it keeps its own values.
        """
        reasons = dict(refused)
        tensors = self._tensors(wanted)
        while True:
            coded = self._coded({name: tensor for name, tensor in tensors.items() if name not in reasons}, wanted)
            try:
                skeleton = self._converted(coded)
            except ConversionError:
                culprit = self._culprit(list(coded.tensors), tensors, wanted)
                if culprit is None:
                    raise
                reasons[culprit] = _VALUES
                continue
            again = {**coded.computed, **_zeros(coded)}
            if not again:
                break
            reasons.update(again)
        reasons.update(coded.refused)
        return self._named(skeleton, coded, wanted, reasons)

    def _named(
        self,
        skeleton: Skeleton,
        coded: CodedProgram,
        wanted: tuple[Layer, ...] | None,
        reasons: Mapping[str, str],
    ) -> Skeleton:
        known = self._known(wanted)
        if wanted is None:
            layers = discovered_layers(self.setting.module, [weight for weight, _ in coded.weights], known)
        else:
            by_name = {layer.name: layer for layer in wanted}
            layers = tuple(by_name[stand_in.layer] for _, stand_in in coded.weights)
        found = {layer.name for layer in layers}
        held = {layer.tensor for layer in layers}
        absent = [layer for layer in known if layer.name not in found and (wanted or layer.tensor not in held)]
        return replace(
            skeleton,
            layers=layers,
            by_size={
                stand_in.size: replace(stand_in, layer=layer.name)
                for (_, stand_in), layer in zip(coded.weights, layers, strict=True)
            },
            refusals={layer.name: reasons.get(layer.tensor, NO_PLACE) for layer in absent},
            reasons=dict(reasons),
        )

    def _known(self, wanted: tuple[Layer, ...] | None) -> tuple[Layer, ...]:
        return layers_of(self.setting.module) if wanted is None else wanted

    def _tensors(self, wanted: tuple[Layer, ...] | None) -> dict[str, Tensor]:
        """The tensors that are tried: of these layers, or all of two or more axes that no forward pass changes."""
        module = self.setting.module
        if wanted is not None:
            return {layer.tensor: held_tensor(module, layer.tensor).detach() for layer in wanted}
        own = {id(held_tensor(module, layer.tensor)): layer.tensor for layer in layers_of(module)}
        changed = {str(place) for place in self.setting.state.values}
        return {
            own.get(id(tensor), name): tensor.detach()
            for name, tensor in matrices(module).items()
            if name not in changed
        }

    def _coded(self, tensors: Mapping[str, Tensor], wanted: tuple[Layer, ...] | None) -> CodedProgram:
        if wanted is not None:
            check_count(len(wanted))
            return coded_layers(numbered(wanted), tensors, rounded_products(self.setting.module))
        coded = CodedProgram(WeightCodes(tensors), tensors, lambda weight: _next(weight, coded, self.setting))
        return coded

    def _converted(self, coded: CodedProgram) -> Skeleton:
        module = coded_copy(self.setting.module, coded.codes, coded.tensors)
        for name in list(installed(module)):
            clear(module, name)
        with coded_program(coded):
            return skeleton_of(module, self.setting)

    def _culprit(self, names: list[str], tensors: Mapping[str, Tensor], wanted: tuple[Layer, ...] | None) -> str | None:
        """A tensor whose codes make the conversion fail, by halving; None where it fails without any."""
        if not self._converts([], tensors, wanted):
            return None
        good, bad = 0, len(names)
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self._converts(names[:middle], tensors, wanted) else (good, middle)
        return names[bad - 1]

    def _converts(self, names: list[str], tensors: Mapping[str, Tensor], wanted: tuple[Layer, ...] | None) -> bool:
        try:
            self._converted(self._coded({name: tensors[name] for name in names}, wanted))
        except ConversionError:
            return False
        return True


def _zeros(coded: CodedProgram) -> dict[str, str]:
    """Tensors of zeros that are no layers, with the reason: a front end may leave out what it computes with zeros."""
    held = {weight.part.tensor for weight, _ in coded.weights}
    return {
        name: reason
        for name, reason in coded.refused.items()
        if name not in held and not bool(coded.tensors[name].any())
    }


def _next(weight: FoundWeight, coded: CodedProgram, setting: Setting) -> StandIn | None:
    """The stand-in of one weight more; None where the target cannot hold it compressed."""
    reason = _TOO_OLD if _is_too_new(weight, setting.target) else _operand_reason(weight, coded, setting)
    if reason is not None:
        coded.refused[weight.part.tensor] = reason
        return None
    number = len(coded.weights)
    check_count(number + 1)
    return StandIn(weight.part.tensor, weight.part.shape, number)


def _is_too_new(weight: FoundWeight, target: DeploymentTarget) -> bool:
    return LayerKind.RECURRENT in weight.kinds and DeploymentTarget(target).generation < 17


def _operand_reason(weight: FoundWeight, coded: CodedProgram, setting: Setting) -> str | None:
    """Why a tensor that an op takes as it is, such as a mask, is no layer; None where it is one, or is a weight."""
    use = next((use for use in weight.uses if use.kind is LayerKind.OPERAND), None)
    if use is None:
        return None
    if not setting.operands:
        taken = f"operand {use.operand!r} of {use.op.op_type}, which is not a weight operand (op {use.op.name!r})"
        return f"{taken}{at_line(use.op)}"
    values = elements_of(coded.tensors[weight.part.tensor], weight.part.view, weight.part.shape)
    largest = float(values.abs().max())
    return None if largest <= _LARGEST_HALF else f"largest value {largest:g}, beyond what fp16 holds"
