"""Predicted latency of all configurations of a program on one device.

A program takes ``floor + max(busy, stream)``: the processor's own time and the time to fetch weights, each a sum over
layers, joined by a smooth maximum because weights are fetched while earlier ops compute. A prediction is two sums and
that maximum; ``linearized`` gives the exact sum of per-layer costs that touches it at one configuration.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.fit import PROGRAM
from palettune.device_bench.cost.fitted import Spread, fitted_model, parameters
from palettune.device_bench.cost.latency_calibration import calibrate_latency
from palettune.device_bench.cost.op import CostOp, OpList
from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.cost.placement import QUANTIZED, ComputeUnit, Placement, place, refuses
from palettune.device_bench.cost.unit_cost import UnitParameters, combined, op_milliseconds
from palettune.device_bench.devices.chip_specification import ChipSpecification
from palettune.device_bench.devices.device import Device, find_device
from palettune.device_bench.devices.unit import Unit
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget

__all__ = ["LatencyEstimate", "LatencyModel", "LatencyTerms", "LinearLatency", "prepare_latency"]

_KEPT_OBJECTS = 65536
Z80 = 1.2815515655446004
"""Standard deviations from the middle of a normal distribution to the ends of its central 80 %."""


class LatencyModelError(UserError):
    """A configuration that names layers which the program does not have."""


@dataclass(frozen=True, slots=True)
class LatencyEstimate:
    """Predicted latency in milliseconds, with the ends of an 80 % interval."""

    ms: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LatencyTerms:
    """Terms that make a latency of two sums: ``fixed_ms`` and the power mean of ``busy`` and ``stream``, by ``overlap``.

    Attributes:
        fixed_ms: milliseconds of every configuration.
        overlap: power of the mean.
        resident_ms: fetching beyond that takes ``excess`` times as long.
        low, high: factors of a latency at the ends of its 80 % interval.
    """

    fixed_ms: float
    overlap: float
    resident_ms: float
    excess: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LinearLatency:
    """Latency as a constant plus a cost per layer: exact at one configuration, a lower bound elsewhere.

    The bound holds because the smooth maximum is convex in its two sums.
    """

    model: LatencyModel
    constant_ms: float
    busy_weight: float
    stream_weight: float

    def cost(self, layer: str, encoding: Encoding, precision: Precision = Precision.FP16) -> float:
        """Return the milliseconds that a layer adds under an encoding."""
        busy, stream = self.model.layer_times(layer, encoding, precision)
        return self.busy_weight * busy + self.stream_weight * stream

    def layer_costs(self, layer: str, encodings: Iterable[Encoding]) -> dict[Encoding, float]:
        """Return the milliseconds that a layer adds, by encoding."""
        return {encoding: self.cost(layer, encoding) for encoding in encodings}


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """Latency of every configuration of one program on one device and compute unit.

    Attributes:
        device: where.
        setting: Core ML's compute units.
        placement: which processors that means.
        ops: the program.
        layers: names of the layers that a configuration can change, in program order.
        spread: half widths of intervals.
        scale: factor that measurements have taught; 1 without any.
        stream: factor of the weights' time that they have taught, likewise.
        measured: how many measurements taught it.
    """

    device: Device
    setting: ComputeUnit
    placement: Placement
    ops: OpList
    spread: Spread
    scale: float = 1.0
    stream: float = 1.0
    measured: int = 0
    _prices: _Prices = field(repr=False, default=None)  # type: ignore[assignment]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that a configuration can change, in program order."""
        return self.ops.layers

    def predict(self, configuration: Configuration) -> LatencyEstimate:
        """Predict the latency of a configuration; layers that it does not name are fp16.

        Raises:
            LatencyModelError: it names a layer that the program does not have.
        """
        busy, stream = self._prices.sums(configuration)
        return self._estimate(self.scale * self._prices.total(busy, self.stream * stream))

    def layer_times(self, layer: str, encoding: Encoding, precision: Precision = Precision.FP16) -> tuple[float, float]:
        """Return the milliseconds that a layer keeps the processor busy, and that its weight takes to fetch."""
        busy, stream = self._prices.of(layer, encoding, precision is Precision.INT8)
        return self.scale * busy, self.scale * self.stream * stream

    @property
    def rest_times(self) -> tuple[float, float]:
        """Busy and fetching milliseconds of all ops that belong to no layer."""
        busy, stream = self._prices.rest
        return self.scale * busy, self.scale * self.stream * stream

    @property
    def terms(self) -> LatencyTerms:
        """Terms that make a latency of the sums of ``layer_times`` and ``rest_times``."""
        fixed, overlap, resident, excess = self._prices.terms
        width = math.exp(self.spread.level)
        return LatencyTerms(self.scale * fixed, overlap, self.scale * resident, excess, 1 / width, width)

    def milliseconds(self, busy: NDArray[np.float64], stream: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the latencies of many configurations from their busy and fetching times, equal to those of ``predict``.

        Args:
            busy, stream: for each, the sums of ``layer_times`` over all layers and of ``rest_times``.
        """
        return np.asarray(self.scale * self._prices.totals(busy / self.scale, stream / self.scale))

    def linearized(self, at: Configuration) -> LinearLatency:
        """Return additive costs that equal the prediction at a configuration."""
        busy, stream = self._prices.sums(at)
        total, by_busy, by_stream = self._prices.slopes(busy, self.stream * stream)
        rest = sum(
            by_busy * b + by_stream * self.stream * s
            for b, s in (
                self._prices.of(name, at.encodings[name], at.activations.get(name) is Precision.INT8)
                if name in at.encodings
                else self._prices.default(name)
                for name in self.layers
            )
        )
        return LinearLatency(self, self.scale * (total - rest), by_busy, by_stream)

    def calibrated(self, measurements: Sequence[tuple[Configuration, float]]) -> LatencyModel:
        """Return this model corrected by latencies measured on the device itself.

        A factor of the whole latency, shared by all of its configurations, and one of its weights' time are learnt; what
        uncertainty remains becomes the interval.

        Args:
            measurements: configurations with their measured milliseconds.
        """
        if not measurements:
            return self
        sums = np.array([self._prices.sums(configuration) for configuration, _ in measurements])
        measured = np.array([ms for _, ms in measurements])
        noise = self.spread.ratio / Z80

        def milliseconds(factor: float) -> NDArray[np.float64]:
            return np.asarray(self.scale * self._prices.totals(sums[:, 0], self.stream * factor * sums[:, 1]))

        learnt = calibrate_latency(milliseconds, measured, self.spread.level / Z80, noise)
        level = min(Z80 * math.hypot(learnt.deviation, noise), self.spread.level)
        return replace(
            self,
            scale=self.scale * learnt.scale,
            stream=self.stream * learnt.stream,
            spread=Spread(level, self.spread.ratio),
            measured=self.measured + len(measurements),
        )

    def _estimate(self, ms: float) -> LatencyEstimate:
        width = math.exp(self.spread.level)
        return LatencyEstimate(ms, ms / width, ms * width)


def prepare_latency(
    ops: OpList,
    *,
    device: str,
    unit: str | ComputeUnit = ComputeUnit.ALL,
    target: DeploymentTarget | None = None,
    weights: Mapping[str, StoredWeight] | None = None,
) -> LatencyModel:
    """Price a program once, so that each configuration of it is predicted in microseconds.

    Args:
        ops: from ``ops_of_base_program``, ``ops_of_package`` or ``ShapeBuilder``.
        device: name of a device or chip.
        unit: Core ML's compute units.
        target: deployment target; before iOS 17 and macOS 14 compressed weights are expanded at load.
        weights: layer -> what a package already stores; stands for the layers that a configuration does not name and
            whose ops do not say it themselves.

    Raises:
        DeviceError: an unknown device.
        ComputeUnitError: an unknown setting, or a processor that the device lacks.
    """
    found = find_device(device)
    setting = ComputeUnit.parse(unit)
    placement = place(ops, setting, target, found.chip.lacks)
    spread = fitted_model().spreads[placement.unit]
    prices = _Prices(ops, found.chip, placement, weights or {}, target or DeploymentTarget.IOS18)
    return LatencyModel(found, setting, placement, ops, spread, _prices=prices)


class _Prices:
    """Milliseconds of layers and of everything else, found once for each (layer, encoding, precision)."""

    def __init__(
        self,
        ops: OpList,
        chip: ChipSpecification,
        placement: Placement,
        weights: Mapping[str, StoredWeight],
        target: DeploymentTarget,
    ) -> None:
        self._chip, self._placement, self._target = chip, placement, target
        self._weights = weights
        self._values = {unit: parameters(unit, chip) for unit in Unit}
        self._units = {
            unit: UnitParameters(**{k: v for k, v in values.items() if k not in PROGRAM})
            for unit, values in self._values.items()
        }
        self._program = self._values[placement.unit]
        self._ops: dict[str, list[CostOp]] = {name: [] for name in ops.layers}
        for op in ops:
            if op.layer is not None:
                self._ops[op.layer].append(op)
        self._rest = self._sum([op for op in ops if op.layer is None])
        self._detours = placement.detours(ops) * self._program["host_ms"]
        self._known: dict[tuple[str, Encoding, bool], tuple[float, float]] = {}
        self._objects: dict[tuple[str, int, bool], tuple[Encoding, float, float]] = {}
        self._default = {name: self._price(name, self._stored_default(name), False) for name in self._ops}
        self._base = self._fixed(self._default)

    def sums(self, configuration: Configuration) -> tuple[float, float]:
        """Busy and stream milliseconds of a program."""
        busy, stream = self._base
        objects, default = self._objects, self._default
        int8 = configuration.activations
        for name, encoding in configuration.encodings.items():
            eighth = bool(int8) and int8.get(name) is Precision.INT8
            found = objects.get((name, id(encoding), eighth))
            if found is None or found[0] is not encoding:
                found = self._remember(name, encoding, eighth)
            plain = default[name]
            busy += found[1] - plain[0]
            stream += found[2] - plain[1]
        return max(busy, 0.0), max(stream, 0.0)  # what is left when everything cancels may be -1e-17

    def of(self, layer: str, encoding: Encoding, int8: bool) -> tuple[float, float]:
        """Busy and stream milliseconds of one layer."""
        key = (layer, encoding, int8)
        found = self._known.get(key)
        if found is None:
            if layer not in self._ops:
                raise LatencyModelError(f"layer {layer!r} is not in the program; it has {', '.join(self._ops)}")
            stored = self._stored(layer, encoding)
            found = self._known[key] = self._price(layer, stored, int8)
        return found

    def default(self, layer: str) -> tuple[float, float]:
        """Busy and stream milliseconds of a layer that no configuration names."""
        return self._default[layer]

    def total(self, busy: float, stream: float) -> float:
        """Milliseconds of a program from its two sums."""
        return self.slopes(busy, stream)[0]

    @property
    def rest(self) -> tuple[float, float]:
        """Busy and stream milliseconds of what is no layer."""
        return self._rest

    @property
    def terms(self) -> tuple[float, float, float, float]:
        """Fixed milliseconds, sharpness of the overlap, milliseconds of resident weights, and the cost beyond these."""
        p = self._program
        resident = p["resident_gb"] / p["stream_gbps"] * 1e3
        return p["floor_ms"] + self._detours, p["overlap"], resident, p["excess_cost"]

    def totals(self, busy: NDArray[np.float64], stream: NDArray[np.float64]) -> NDArray[np.float64]:
        """``total`` of many programs."""
        p = self._program
        resident = p["resident_gb"] / p["stream_gbps"] * 1e3
        slowed = stream + np.maximum(stream - resident, 0.0) * (p["excess_cost"] - 1)
        joined = combined(np.maximum(busy, 0.0), np.maximum(slowed, 0.0), p["overlap"])
        return np.asarray(p["floor_ms"] + self._detours + joined)

    def slopes(self, busy: float, stream: float) -> tuple[float, float, float]:
        """Milliseconds of a program, and how fast they grow with each sum."""
        p = self._program
        resident = p["resident_gb"] / p["stream_gbps"] * 1e3
        excess = p["excess_cost"] if stream > resident else 1.0
        slowed = stream + max(stream - resident, 0.0) * (p["excess_cost"] - 1)
        power = p["overlap"]
        joined = float(combined(busy, slowed, power))
        if joined <= 0:
            return p["floor_ms"] + self._detours, 1.0, 1.0
        by_busy = (busy / joined) ** (power - 1)
        by_stream = (slowed / joined) ** (power - 1) * excess
        return p["floor_ms"] + self._detours + joined, by_busy, by_stream

    def _remember(self, layer: str, encoding: Encoding, int8: bool) -> tuple[Encoding, float, float]:
        """Encodings are looked up by identity, which costs a tenth of hashing them; the object is kept alive here."""
        if len(self._objects) > _KEPT_OBJECTS:
            self._objects.clear()
        found = self._objects[layer, id(encoding), int8] = (encoding, *self.of(layer, encoding, int8))
        return found

    def _stored(self, layer: str, encoding: Encoding) -> dict[int, StoredWeight]:
        return {
            i: StoredWeight.of(encoding, op.weight_shape, self._target, op.float_bits)
            for i, op in enumerate(self._ops[layer])
        }

    def _stored_default(self, layer: str) -> dict[int, StoredWeight]:
        given = self._weights.get(layer)
        plain = [op.stored or given or StoredWeight.fp16(op.weight_elements) for op in self._ops[layer]]
        return dict(enumerate(plain))

    def _price(self, layer: str, stored: Mapping[int, StoredWeight], int8: bool) -> tuple[float, float]:
        busy = stream = 0.0
        for i, op in enumerate(self._ops[layer]):
            b, s = self._op(op, stored[i], int8)
            busy, stream = busy + b, stream + s
        return busy, stream

    def _op(self, op: CostOp, weight: StoredWeight, int8: bool) -> tuple[float, float]:
        """Busy and stream milliseconds of an op; ``int8`` where a configuration asks for 8-bit activations."""
        unit, eighth = self._placement.unit, _in_int8(op, weight, int8)
        if refuses(unit, op):
            return self._away(op, weight, eighth), 0.0
        if not self._placement.takes(weight):
            return self._away(op, weight, eighth) + self._program["host_ms"] * op.count, 0.0
        return self._table(unit, [(op, weight, eighth)])

    def _away(self, op: CostOp, weight: StoredWeight, int8: bool) -> float:
        """An op on the fallback processor, which waits for it."""
        unit = Unit.CPU if refuses(self._placement.fallback, op) else self._placement.fallback
        busy, stream = self._table(unit, [(op, weight, int8)])
        return float(combined(busy, stream, self._values[unit]["overlap"]))

    def _sum(self, ops: Sequence[CostOp]) -> tuple[float, float]:
        """Busy and stream milliseconds of ops that are no layer's; most have no weight and are priced at once."""
        alone = [op for op in ops if op.stored is not None or refuses(self._placement.unit, op)]
        here = [op for op in ops if op.stored is None and not refuses(self._placement.unit, op)]
        times = [self._op(op, op.stored or StoredWeight.fp16(op.weight_elements), False) for op in alone]
        if here:
            times.append(self._table(self._placement.unit, [(op, None, _in_int8(op, None, False)) for op in here]))
        return sum(busy for busy, _ in times), sum(stream for _, stream in times)

    def _table(self, unit: Unit, entries: Sequence[tuple[CostOp, StoredWeight | None, bool]]) -> tuple[float, float]:
        held = [
            (op, _in_floats(op, weight if weight is None else self._placement.held(weight, unit, self._chip)), int8)
            for op, weight, int8 in entries
        ]
        busy, stream = op_milliseconds(OpTable.of(held), self._units[unit])
        return float(busy.sum()), float(stream.sum())

    def _fixed(self, layers: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        return (
            self._rest[0] + sum(busy for busy, _ in layers.values()),
            self._rest[1] + sum(stream for _, stream in layers.values()),
        )


def _in_int8(op: CostOp, weight: StoredWeight | None, asked: bool) -> bool:
    """Whether an op computes in 8 bits: its activations are, and so can its weight be, for floats are multiplied as such."""
    if op.kind not in QUANTIZED or not (asked or op.int8):
        return False
    return not op.weight_elements or (weight is not None and weight.coded)


def _in_floats(op: CostOp, weight: StoredWeight | None) -> StoredWeight | None:
    """A weight as an op reads it: what is not compressed any more has the size of the op's floats."""
    if not op.float32 or (weight is not None and weight.compressed):
        return weight
    plain = weight or StoredWeight.fp16(op.weight_elements)
    return replace(plain, bytes=2 * plain.bytes)
