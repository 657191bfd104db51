"""Latency of a package on a device: predicted on any machine, measured on a Mac; never in one column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palettune.device_bench.cost.latency_model import LatencyEstimate, LatencyModel, prepare_latency
from palettune.device_bench.cost.placement import ComputeUnit, ComputeUnitError
from palettune.device_bench.cost.program_ops import PackageOps, ops_of_package
from palettune.device_bench.devices.device import find_device
from palettune.device_bench.measurement.measurement import Measurement, measure
from palettune.device_bench.package.package_folder import require_package
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

if TYPE_CHECKING:
    import pandas

__all__ = ["PackageLatency", "measure_latency", "predict_latency", "shapes_of"]

_MEGABYTE = 1e6


@dataclass(frozen=True, repr=False)
class PackageLatency:
    """Predicted latency of a package on a device.

    Attributes:
        device, chip: their names.
        units: the prediction and its 80 % interval, by compute unit.
        stored_bytes: bytes of the weight file by how they are stored.
        layers: how many ops hold weights; ``int8_activation_layers`` of them take activations in 8 bits.
    """

    device: str
    chip: str
    units: Mapping[ComputeUnit, LatencyEstimate]
    stored_bytes: Mapping[str, int]
    layers: int
    int8_activation_layers: int

    @property
    def fastest(self) -> tuple[ComputeUnit, LatencyEstimate]:
        """The compute unit of the least predicted latency."""
        return min(self.units.items(), key=lambda pair: pair[1].ms)

    @property
    def recognised(self) -> str:
        """One line of what was recognised in the package."""
        stored = ", ".join(f"{spelling} {size / _MEGABYTE:.3f} MB" for spelling, size in self.stored_bytes.items())
        activations = f"activations in 8 bits at {self.int8_activation_layers} of {self.layers} layers"
        return f"stored: {stored or 'no weights'}; {activations}"

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain values: an object for each compute unit."""
        return [
            {
                "device": self.device,
                "chip": self.chip,
                "compute_unit": unit.value,
                "predicted_latency_ms": estimate.ms,
                "low": estimate.low,
                "high": estimate.high,
                "stored_bytes": dict(self.stored_bytes),
                "layers": self.layers,
                "int8_activation_layers": self.int8_activation_layers,
            }
            for unit, estimate in self.units.items()
        ]

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each compute unit: milliseconds and the ends of the 80 % interval."""
        import pandas

        rows = [{"compute_unit": unit.value, **asdict(estimate)} for unit, estimate in self.units.items()]
        return pandas.DataFrame(rows).set_index("compute_unit")

    def __repr__(self) -> str:
        units = ", ".join(f"{unit.value} {e.ms:.3f} ms ({e.low:.3f} to {e.high:.3f})" for unit, e in self.units.items())
        return f"PackageLatency(predicted on {self.device}: {units}; {self.recognised})"

    def _repr_html_(self) -> str:
        return f"<p>predicted on {self.device} ({self.chip}); {self.recognised}</p>{self.to_frame().to_html()}"


def predict_latency(
    package: str | Path,
    device: str,
    *,
    unit: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> PackageLatency:
    """Predict what a package costs on a device, by compute unit.

    Args:
        device: as people call it: ``"iPhone 15 Pro"``.
        unit: the one compute unit asked for; all that the device has, without it.
        shapes: by input name, for inputs of flexible shape.

    Raises:
        UserError: an unknown device, a compute unit that it lacks, no ML program, or a shape that is not stated.
    """
    require_package(Path(package))
    found = find_device(device)
    asked = None if unit is None else ComputeUnit.parse(unit)
    given = {name: tuple(shape) for name, shape in (shapes or {}).items()}
    ops = ops_of_package(Path(package), shapes=given or None)
    models = {setting: _model(ops, device, setting, asked) for setting in (ComputeUnit if asked is None else (asked,))}
    units = {setting: model.predict(Configuration({})) for setting, model in models.items() if model is not None}
    stored, layers = dict(ops.stored_bytes), len(ops.ops.layers)
    return PackageLatency(found.name, found.chip.name, units, stored, layers, len(ops.int8_layers))


def _model(ops: PackageOps, device: str, setting: ComputeUnit, asked: ComputeUnit | None) -> LatencyModel | None:
    """The latency model of one compute unit; ``None`` where the device lacks a unit that was not asked for."""
    try:
        return prepare_latency(ops.ops, device=device, unit=setting, target=ops.target)
    except ComputeUnitError:
        if asked is not None:
            raise
        return None


def measure_latency(package: str | Path, device: str | None = None, *, unit: str | None = None) -> Measurement:
    """Measure latency on this Mac, or on an attached device by its own name, with ``ALL`` unless told otherwise."""
    require_package(Path(package))
    return measure(package, ComputeUnit.parse(unit or "ALL"), device=device)


def shapes_of(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Parse shapes such as ``NAME=1x3x224x224``; return them by input name."""
    return dict(_shape(text) for text in texts)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.partition("=")
    try:
        return name, tuple(int(size) for size in sizes.split("x"))
    except ValueError:
        raise UserError(f"--shape {text}: expected NAME=1x3x224x224") from None
