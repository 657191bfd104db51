"""Published advice on which encodings suit which processor, each with its source; shown, never enforced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from palettune.space.encoding import Encoding, Granularity
from palettune.space.encoding_parts import Axis, Linear, Sparsity, Table
from palettune.space.footprint import table_count
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

__all__ = ["Advice", "Processor", "advice"]

_GUIDE = "https://apple.github.io/coremltools/docs-guides/source"
_TABLES = f"{_GUIDE}/opt-palettization-perf.html"
_OPT = f"{_GUIDE}/opt-opt1_3.html"
_PRUNING = f"{_GUIDE}/opt-pruning-perf.html"
_NEWS = f"{_GUIDE}/opt-whats-new.html"
_BLOCKS = "https://github.com/apple/coremltools/issues/2510"
_SCALED = "https://github.com/apple/coremltools/pull/2688"
_LLAMA = "https://machinelearning.apple.com/research/core-ml-on-device-llama"

_FEWEST_CHANNELS_A_TABLE = 8


class Processor(StrEnum):
    """A processor that Core ML may run a layer on."""

    CPU = "CPU"
    GPU = "GPU"
    NEURAL_ENGINE = "Neural Engine"

    @classmethod
    def of(cls, compute_unit: str) -> tuple[Processor, ...]:
        """Return the processors that a Core ML compute-unit setting allows, the preferred one first."""
        return {
            "ALL": (cls.NEURAL_ENGINE, cls.GPU, cls.CPU),
            "CPU_AND_NE": (cls.NEURAL_ENGINE, cls.CPU),
            "CPU_AND_GPU": (cls.GPU, cls.CPU),
            "CPU_ONLY": (cls.CPU,),
        }[compute_unit]


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice.

    Attributes:
        suits: False for a warning.
        text: in words.
        source: address of the page or thread that says so.
    """

    suits: bool
    text: str
    source: str


def advice(layer: Layer, encoding: Encoding, target: DeploymentTarget, processor: Processor) -> tuple[Advice, ...]:
    """Return what is published about one layer in one encoding on one processor; empty where nothing is."""
    return tuple(_advice(layer, encoding, target, processor))


def _advice(layer: Layer, encoding: Encoding, target: DeploymentTarget, processor: Processor) -> Iterator[Advice]:
    if encoding != Encoding() and target.generation < 17:
        yield Advice(False, "expanded to fp16 when the model loads: smaller on disk, not in memory or time", _NEWS)
    if encoding.table is not None:
        yield from _on_table(layer, encoding.table, encoding.sparsity is not None, processor)
    if encoding.linear is not None:
        yield from _on_linear(encoding.linear, processor)
    if encoding.sparsity is not None:
        yield from _on_sparsity(layer, encoding.sparsity, processor)


def _on_table(layer: Layer, table: Table, sparse: bool, processor: Processor) -> Iterator[Advice]:
    if processor is not Processor.NEURAL_ENGINE:
        yield Advice(False, f"tables are likely to be expanded before use on the {processor}: size, not time", _TABLES)
        return
    if table.group is not None and table.group < _FEWEST_CHANNELS_A_TABLE:
        tables = table_count(layer, table)
        yield Advice(
            False, f"{tables} tables: time grows with their number; groups of 8 or 16 channels do well", _TABLES
        )
    if table.scaled and not sparse:
        text = (
            "coremltools writes scaled tables as one table per output channel, four times slower than one in OPT-1.3B"
        )
        yield Advice(False, text, _OPT)
    if table.scaled:
        yield Advice(False, "tables with scales per channel crashed on an M4 with macOS 26", _SCALED)
    if table.group is None and not table.scaled:
        yield Advice(True, "one table per weight streams through the Neural Engine from iOS17 on", _TABLES)


def _on_linear(linear: Linear, processor: Processor) -> Iterator[Advice]:
    if linear.granularity is Granularity.BLOCK and processor is Processor.NEURAL_ENGINE:
        yield Advice(False, "scales per block keep the layer off the Neural Engine", _BLOCKS)
    if linear.granularity is Granularity.BLOCK and linear.bits == 4 and processor is Processor.GPU:
        yield Advice(True, "int4 per block halved the decoding time of Llama 3.1 8B on an M1 Max", _LLAMA)


def _on_sparsity(layer: Layer, sparsity: Sparsity, processor: Processor) -> Iterator[Advice]:
    if processor is Processor.NEURAL_ENGINE:
        if sparsity.granularity is not Granularity.SCALAR:
            yield Advice(True, "the Neural Engine may skip blocks of zeros", _PRUNING)
        elif sparsity.share < 0.75:
            yield Advice(False, "scattered zeros save computation on the Neural Engine from about 75 % on", _PRUNING)
        else:
            yield Advice(True, "the Neural Engine may skip strings of zeros at 75 % and above", _PRUNING)
    if processor is Processor.CPU and sparsity.n_of_m is not None and layer.kind is LayerKind.LINEAR:
        n, m = sparsity.n_of_m
        fits = 16 % m == 0 and 2 * n >= m and sparsity.axis is Axis.INPUT
        text = "n:m zeros along the input axis, m a factor of 16 and at least half of them, speed up newer CPUs"
        yield Advice(fits, text if fits else f"{text}; {n}:{m} does not fit", _PRUNING)
