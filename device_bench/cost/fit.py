"""Fit of the latency parameters of a compute unit to measured latencies.

Maximum a posteriori in log space. Every parameter has a prior; a chip departs from its family's value by a factor with
a prior of its own; a group of measurements (one network, chip and source) shares a factor that no parameter explains,
integrated out, so that absolute level and ratios are weighed apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.observation import Observation
from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.cost.priors import (
    CHIP_DEVIATION,
    GPU_DEFAULT_TFLOPS,
    NEURAL_ENGINE_DEFAULT_TFLOPS,
    Beliefs,
    Prior,
    priors,
)
from palettune.device_bench.cost.unit_cost import UnitParameters, combined, op_milliseconds
from palettune.device_bench.devices.chip_specification import ChipFamily, ChipSpecification
from palettune.device_bench.devices.unit import Unit

__all__ = ["Fit", "fit"]

Vector = NDArray[np.float64]
GROUP_DEVIATION = 0.40
NOISE = 0.15
PROGRAM = ("floor_ms", "host_ms", "overlap", "resident_gb", "excess_cost")
_DEVIATING = ("compute", "stream", "activation")


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted parameters of one compute unit.

    Attributes:
        unit: the compute unit.
        common: parameter -> value, shared by all chips.
        families: family -> parameter -> value.
        chips: chip -> what departs (compute, stream, activation) -> factor; chips without measurements are absent.
    """

    unit: Unit
    common: Mapping[str, float]
    families: Mapping[ChipFamily, Mapping[str, float]]
    chips: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def parameters(self, chip: ChipSpecification) -> UnitParameters:
        """Return the unit's parameters on a chip; those never measured come from the chip's family."""
        return UnitParameters(**{k: v for k, v in self.values(chip).items() if k not in PROGRAM})

    def values(self, chip: ChipSpecification) -> dict[str, float]:
        """Return every parameter on a chip, with the dispatch floor and the cost of a detour over the CPU."""
        c, f, d = self.common, self.families[chip.family], self.chips.get(chip.name, {})
        stream = _narrower(c["memory_share"] * chip.memory_gbps, f["link_gbps"])
        activation = c["activation_gbps"] * (chip.memory_gbps / 60.0) ** c["activation_exponent"]
        shared = ("conv", "linear", "matmul", "depthwise")
        gain = c["int8_gain"] if chip.int8_fast_path else c["int8_gain_slow"]
        names = ("softmax_passes", "on_chip_mb", "gweights", "decode_gweights", "group_tmacs", "zero_skip")
        return {
            "peak_tmacs": _peak(chip, self.unit, c) * d.get("compute", 1.0),
            **{f"{kind}_fraction": c[f"{kind}_fraction"] for kind in shared},
            "int8_gain": gain,
            "stream_gbps": stream * d.get("stream", 1.0),
            "activation_gbps": activation * d.get("activation", 1.0),
            **{name: c[name] for name in names},
            "sharpness": c["sharpness"],
            "overlap": c["overlap"],
            "resident_gb": c["resident_gb"],
            "excess_cost": c["excess_cost"],
            **{name: f[name] for name in ("op_us", "floor_ms", "host_ms")},
        }

    def predict(self, observations: Sequence[Observation]) -> Vector:
        """Return the predicted milliseconds of each observation."""
        if not observations:
            return np.zeros(0)
        return _Problem(self.unit, observations).milliseconds(self)


def fit(unit: Unit, observations: Sequence[Observation], beliefs: Beliefs | None = None) -> Fit:
    """Fit one unit to the observations on it; without any, return the centres of the priors.

    Args:
        unit: the compute unit.
        observations: measured latencies; those on other units are passed over.
        beliefs: priors in the form of ``priors(unit)``, which is the default.
    """
    own = [o for o in observations if o.unit is unit]
    layout = _Layout(unit, own, beliefs or priors(unit))
    if not own:
        return layout.read(np.zeros(layout.size))
    from scipy.optimize import least_squares  # takes long to import, and predictions do without

    problem = _Problem(unit, own)
    solution = least_squares(
        lambda theta: np.concatenate([problem.residuals(layout.read(theta)), theta]),
        np.zeros(layout.size),
        method="trf",
        max_nfev=40,
        xtol=1e-4,
        ftol=1e-4,
    )
    return layout.read(solution.x)


class _Layout:
    """Where each parameter stands in the vector; entries are standard deviations from the prior's centre."""

    def __init__(self, unit: Unit, observations: Sequence[Observation], beliefs: Beliefs) -> None:
        self.unit = unit
        self.common, self.family = beliefs
        self.chips = sorted({o.chip.name for o in observations})
        self.size = len(self.common) + len(ChipFamily) * len(self.family) + len(self.chips) * len(_DEVIATING)

    def read(self, theta: Vector) -> Fit:
        """The fit that a vector stands for."""
        values = iter(theta.tolist())
        common = {name: prior.at(next(values)) for name, prior in self.common.items()}
        families = {
            family: {name: prior[family].at(next(values)) for name, prior in self.family.items()}
            for family in ChipFamily
        }
        spread = Prior(1.0, CHIP_DEVIATION)
        chips = {chip: {name: spread.at(next(values)) for name in _DEVIATING} for chip in self.chips}
        return Fit(self.unit, common, families, chips)


class _Problem:
    """Observations stacked into one table, so that one call prices them all."""

    def __init__(self, unit: Unit, observations: Sequence[Observation]) -> None:
        self._unit = unit
        self._table = OpTable.joined(o.table for o in observations)
        lengths = np.array([len(o.table) for o in observations])
        self._row = np.repeat(np.arange(len(observations)), lengths)
        self._chips = list({o.chip.name: o.chip for o in observations}.values())
        index = {chip.name: i for i, chip in enumerate(self._chips)}
        self._chip = np.array([index[o.chip.name] for o in observations])
        self._dispatch = np.array([float(o.dispatch) for o in observations])
        self._calls = np.array([float(o.calls) for o in observations])
        self._hosts = np.array([float(o.hosts) for o in observations])
        self._log_ms = np.log([o.ms for o in observations])
        groups: dict[tuple[str, ...], int] = {}
        self._group = np.array([groups.setdefault(o.group, len(groups)) for o in observations])
        self._sizes = np.bincount(self._group)
        counts = np.zeros(len(groups))
        for observation, group in zip(observations, self._group, strict=True):
            counts[group] = float(observation.absolute)
        self._absolute = counts

    def milliseconds(self, found: Fit) -> Vector:
        """Predicted milliseconds of each observation."""
        values = [found.values(chip) for chip in self._chips]
        per_chip = {name: np.array([value[name] for value in values]) for name in values[0]}
        of_op = self._chip[self._row]
        names = [n for n in per_chip if n not in PROGRAM]
        unit = UnitParameters(**{name: per_chip[name][of_op] for name in names})
        busy, stream = (np.bincount(self._row, weights=part) for part in op_milliseconds(self._table, unit))
        of = {name: per_chip[name][self._chip] for name in (*PROGRAM, "stream_gbps")}
        resident = of["resident_gb"] / of["stream_gbps"] * 1e3 * self._calls
        stream = stream + np.maximum(stream - resident, 0) * (of["excess_cost"] - 1)
        ops = combined(busy, stream, of["overlap"])
        return np.asarray(ops + of["floor_ms"] * self._dispatch * self._calls + of["host_ms"] * self._hosts)

    def residuals(self, found: Fit) -> Vector:
        """Deviations within groups, then of groups, in standard deviations, large ones softened."""
        error = np.log(self.milliseconds(found)) - self._log_ms
        mean = np.bincount(self._group, weights=error) / self._sizes
        within = (error - mean[self._group]) / NOISE
        between = self._absolute * mean / np.sqrt(GROUP_DEVIATION**2 + NOISE**2 / self._sizes)
        return np.concatenate([_soften(within), _soften(between)])


def _soften(residual: Vector) -> Vector:
    """Residuals whose squares grow like a pseudo-Huber loss."""
    return np.asarray(np.sign(residual) * np.sqrt(2 * (np.sqrt(1 + residual**2) - 1)))


def _narrower(a: float, b: float) -> float:
    """A smooth minimum of two bandwidths in series."""
    return float((a**-4 + b**-4) ** -0.25)


def _peak(chip: ChipSpecification, unit: Unit, common: Mapping[str, float]) -> float:
    if unit is Unit.CPU:
        return common["cpu_tmacs"]
    if unit is Unit.GPU:
        return (chip.gpu_tflops or GPU_DEFAULT_TFLOPS[chip.family]) / 2
    return (chip.neural_engine_tflops or NEURAL_ENGINE_DEFAULT_TFLOPS) / 2
