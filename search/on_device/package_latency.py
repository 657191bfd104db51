"""What a package costs on a device: predicted on any machine, measured on a Mac; never in one column."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.placement import ComputeUnit, ComputeUnitError
from palettune.device_bench.cost.program_ops import ops_of_package
from palettune.device_bench.devices.device import find_device
from palettune.device_bench.measurement.measurement import measure
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["holds", "measured", "predicted", "predicted_table"]

_MEGABYTE = 1e6


def predicted(package: Path, device: str, shapes: list[str], unit: str | None = None) -> list[dict[str, Any]]:
    """Predicted latency by compute unit, each with its 80 % interval and with what was recognised in the package.

    What is recognised: ``stored_bytes``, bytes of the weight file by how they are stored; ``layers``, ops' weights;
    ``int8_activation_layers``, those whose activations are 8-bit.

    Args:
        shapes: ``NAME=1x3x224x224`` for inputs of flexible shape.
        unit: the one compute unit asked for; all that the device has, without it.

    Raises:
        UserError: an unknown device, a compute unit that it lacks, no ML program, or a shape that is not stated.
    """
    find_device(device)
    asked = None if unit is None else ComputeUnit.parse(unit)
    ops = ops_of_package(package, shapes=dict(_shape(text) for text in shapes) or None)
    recognised = {
        "stored_bytes": dict(ops.stored_bytes),
        "layers": len(ops.ops.layers),
        "int8_activation_layers": len(ops.int8_layers),
    }
    rows = []
    for setting in ComputeUnit if asked is None else (asked,):
        try:
            model = prepare_latency(ops.ops, device=device, unit=setting, target=ops.target)
        except ComputeUnitError:
            if asked is not None:
                raise
            continue
        estimate = model.predict(Configuration({}))
        rows.append(
            {
                "device": model.device.name,
                "chip": model.device.chip.name,
                "compute_unit": setting.value,
                "predicted_latency_ms": estimate.ms,
                "low": estimate.low,
                "high": estimate.high,
                **recognised,
            }
        )
    return rows


def predicted_table(rows: list[dict[str, Any]]) -> Table:
    """The same for people."""
    table = Table(title=f"predicted on {rows[0]['device']} ({rows[0]['chip']})", header_style="bold")
    for column in ("compute unit", "predicted ms", "80 % interval"):
        table.add_column(column, justify="left" if column == "compute unit" else "right")
    for row in rows:
        table.add_row(
            row["compute_unit"], f"{row['predicted_latency_ms']:.3f}", f"{row['low']:.3f} - {row['high']:.3f}"
        )
    return table


def holds(rows: list[dict[str, Any]]) -> str:
    """One line of what was recognised in the package."""
    found = rows[0]
    stored = ", ".join(f"{spelling} {size / _MEGABYTE:.3f} MB" for spelling, size in found["stored_bytes"].items())
    activations = f"activations in 8 bits at {found['int8_activation_layers']} of {found['layers']} layers"
    return f"stored: {stored or 'no weights'}; {activations}"


def measured(package: Path, device: str | None, unit: str | None) -> dict[str, Any]:
    """Measured latency on this Mac, or on an attached device, with ``ALL`` unless told otherwise."""
    values = asdict(measure(package, ComputeUnit.parse(unit or "ALL"), device=device))
    return {key: str(value) if isinstance(value, ComputeUnit) else value for key, value in values.items()}


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.partition("=")
    try:
        return name, tuple(int(size) for size in sizes.split("x"))
    except ValueError:
        raise UserError(f"--shape {text}: expected NAME=1x3x224x224") from None
