"""Measured latencies in the form that the fit takes."""

from __future__ import annotations

from dataclasses import dataclass

from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.devices.chip_specification import ChipSpecification
from palettune.device_bench.devices.unit import Unit

__all__ = ["Observation"]


@dataclass(frozen=True, eq=False)
class Observation:
    """One measured latency.

    Attributes:
        source: where it was published; left out together.
        network: what ran.
        chip: on what.
        unit: the processor that ran most of it.
        table: its ops, priced on that processor.
        hosts: how often the program leaves that processor for the CPU.
        ms: milliseconds.
        dispatch: whether the time includes the call itself.
        calls: how many predictions the time covers.
        absolute: whether the time counts, or only its ratio to others of the same group.
    """

    source: str
    network: str
    chip: ChipSpecification
    unit: Unit
    table: OpTable
    hosts: int
    ms: float
    dispatch: bool = True
    absolute: bool = True
    calls: int = 1

    @property
    def group(self) -> tuple[str, str, str, str]:
        """Key of the observations that share every systematic error."""
        return (self.source, self.network, self.chip.name, self.unit.value)
