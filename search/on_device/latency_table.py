"""Predicted latency of a package as people read it in a terminal."""

from __future__ import annotations

from rich.table import Table

from palettune.search.on_device.package_latency import PackageLatency

__all__ = ["latency_table"]


def latency_table(found: PackageLatency) -> Table:
    """Return a table with a row for each compute unit: the latency and its 80 % interval."""
    table = Table(title=f"predicted on {found.device} ({found.chip})", header_style="bold")
    for column in ("compute unit", "predicted ms", "80 % interval"):
        table.add_column(column, justify="left" if column == "compute unit" else "right")
    for unit, estimate in found.units.items():
        table.add_row(unit.value, f"{estimate.ms:.3f}", f"{estimate.low:.3f} - {estimate.high:.3f}")
    return table
