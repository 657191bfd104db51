"""The two models that the cost model must beat, each with one factor fitted to the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.observation import Observation
from palettune.device_bench.devices.unit import Unit

Vector = NDArray[np.float64]
Model = Callable[[Sequence[Observation], Sequence[Observation]], Vector]


def bytes_only(training: Sequence[Observation], held_out: Sequence[Observation]) -> Vector:
    """Latency is proportional to weight bytes over memory bandwidth."""
    return _scaled(_weight_time, training, held_out)


def roofline(training: Sequence[Observation], held_out: Sequence[Observation]) -> Vector:
    """Latency is proportional to the larger of arithmetic at peak and all bytes at memory bandwidth."""
    return _scaled(_roof_time, training, held_out)


def _scaled(
    raw: Callable[[Observation], float], training: Sequence[Observation], held_out: Sequence[Observation]
) -> Vector:
    level = [np.log(o.ms / raw(o)) for o in training if o.absolute]
    factor = float(np.exp(np.median(level))) if level else 1.0
    return np.array([factor * raw(o) for o in held_out])


def _weight_time(o: Observation) -> float:
    return float((o.table.weight_bytes * o.table.count).sum()) / (o.chip.memory_gbps * 1e6) + 1e-6


def _roof_time(o: Observation) -> float:
    moved = (o.table.weight_bytes + o.table.activation_bytes) * o.table.count
    peak = {Unit.NEURAL_ENGINE: o.chip.neural_engine_tflops or 17.5, Unit.GPU: o.chip.gpu_tflops or 5.0, Unit.CPU: 1.2}
    gain = np.where((o.table.int8 > 0) & o.chip.int8_fast_path, 2.0, 1.0)
    macs = float((o.table.macs * o.table.count / gain).sum())
    return max(macs / (peak[o.unit] / 2 * 1e9), float(moved.sum()) / (o.chip.memory_gbps * 1e6))
