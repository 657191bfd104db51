"""Placement: which processor runs which op under a Core ML compute-unit setting.

The rules are Core ML's as far as its documentation and measurements tell: https://developer.apple.com/documentation/coreml/mlcomputeunits.
``ALL`` and ``CPU_AND_NE`` run on the Neural Engine and leave it for ops and encodings that it does not take;
``ALL`` keeps a very small program on the CPU and gives what the Neural Engine refuses to the GPU, ``CPU_AND_NE`` to the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from palettune.device_bench.cost.op import CostOp, OpKind, OpList
from palettune.device_bench.devices.chip_specification import ChipSpecification
from palettune.device_bench.devices.unit import Unit
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.errors import UserError, suggestion
from palettune.space.target import DeploymentTarget

__all__ = ["QUANTIZED", "ComputeUnit", "ComputeUnitError", "Placement", "place"]

SMALL_MACS = 20e6
"""Programs below this stay on the CPU where Core ML may choose: starting the Neural Engine costs more."""
QUANTIZED = frozenset({OpKind.CONV, OpKind.DEPTHWISE, OpKind.LINEAR, OpKind.ELEMENTWISE, OpKind.POOL})
"""Kinds of ops that run on 8-bit activations where a layer asks for them."""


class ComputeUnitError(UserError):
    """A compute unit that is unknown, or that the device lacks."""


class ComputeUnit(StrEnum):
    """Core ML's compute-unit settings, by the names of ``coremltools.ComputeUnit``."""

    ALL = "ALL"
    CPU_AND_NE = "CPU_AND_NE"
    CPU_AND_GPU = "CPU_AND_GPU"
    CPU_ONLY = "CPU_ONLY"

    @classmethod
    def parse(cls, text: str) -> ComputeUnit:
        """Read a setting, in any case; raise ComputeUnitError with the nearest known one."""
        try:
            return cls(text.strip().upper())
        except ValueError:
            near = suggestion(text.upper(), [unit.value for unit in cls])
            known = ", ".join(unit.value for unit in cls)
            raise ComputeUnitError(f"compute unit {text!r} is not known{near}; use one of {known}") from None


@dataclass(frozen=True, slots=True)
class Placement:
    """Processors that run a program.

    Attributes:
        unit: the processor that runs most of it.
        fallback: the processor that takes what the first refuses.
        streams: whether compressed weights stay compressed in memory while it runs.
    """

    unit: Unit
    fallback: Unit
    streams: bool

    def takes(self, weight: StoredWeight) -> bool:
        """Return whether the first processor runs a layer with this weight; the Neural Engine takes no block scales."""
        return self.unit is not Unit.NEURAL_ENGINE or not weight.blocks

    def detours(self, ops: OpList) -> int:
        """Count the runs of ops that the first processor does not take.

        On the CPU nothing is left, but ops without a fast implementation wait for the same general one.
        """
        away = [op.kind is OpKind.HOST or refuses(self.unit, op) for op in ops]
        return sum(now and not before for before, now in zip([False, *away], away, strict=False))

    def held(self, weight: StoredWeight, unit: Unit, chip: ChipSpecification) -> StoredWeight:
        """Return a weight as a processor reads it at run time: expanded to fp16 where it cannot decode on the fly."""
        late = unit is Unit.NEURAL_ENGINE and weight.linear and not chip.streams_linear
        return weight.expanded() if unit is Unit.CPU or late or not self.streams else weight


def refuses(unit: Unit, op: CostOp) -> bool:
    """Return whether a processor cannot run an op at all; the Neural Engine computes in fp16 alone."""
    if unit is Unit.NEURAL_ENGINE and op.float32:
        return True
    return unit is not Unit.CPU and op.kind in (OpKind.HOST, OpKind.RECURRENT)


def place(
    ops: OpList, setting: ComputeUnit, target: DeploymentTarget | None = None, lacks: tuple[str, ...] = ()
) -> Placement:
    """Return where a program runs under a setting; before iOS 17 and macOS 14 weights are expanded at load.

    Args:
        ops: the program.
        setting: Core ML's compute units.
        target: the oldest system; the newest when None.
        lacks: processors that the device does not have.

    Raises:
        ComputeUnitError: the setting names a processor that the device lacks.
    """
    streams = target is None or target.generation >= 17
    for unit, named in ((Unit.NEURAL_ENGINE, ComputeUnit.CPU_AND_NE), (Unit.GPU, ComputeUnit.CPU_AND_GPU)):
        if setting is named and unit in lacks:
            raise ComputeUnitError(f"compute unit {setting}: the device has no {unit.replace('_', ' ')}; use ALL")
    if setting is ComputeUnit.ALL and Unit.NEURAL_ENGINE in lacks:
        setting = ComputeUnit.CPU_ONLY if Unit.GPU in lacks else ComputeUnit.CPU_AND_GPU
    if setting is ComputeUnit.CPU_ONLY or (setting is ComputeUnit.ALL and ops.macs < SMALL_MACS):
        return Placement(Unit.CPU, Unit.CPU, streams)
    if setting is ComputeUnit.CPU_AND_GPU:
        return Placement(Unit.GPU, Unit.CPU, streams)
    fallback = Unit.GPU if setting is ComputeUnit.ALL else Unit.CPU
    if ops and all(op.float32 for op in ops):  # nothing is left for the Neural Engine
        return Placement(fallback, Unit.CPU, streams)
    return Placement(Unit.NEURAL_ENGINE, fallback, streams)
