"""The published rows as observations."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from experiments.benchmarks.latency_validation.networks import network
from palettune.device_bench.cost.observation import Observation
from palettune.device_bench.cost.op import CostOp, OpKind
from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.cost.placement import QUANTIZED, ComputeUnit, Placement, place
from palettune.device_bench.devices import specifications
from palettune.device_bench.devices.chip_specification import ChipSpecification
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.encoding import Encoding, Table

__all__ = ["KEPT", "Row", "observation", "origin", "rows"]

_TABLE = Path(__file__).parents[3] / "device_bench" / "reference" / "published_latency.csv"
KEPT = {"opt-1.3b": ("lm_head",)}
"""Layers that a source left uncompressed: OPT's head is tied to its embedding."""

_ORIGINS = {
    "ct_perf_ios17b1": "ct_perf_ios17",
    "anemll_bench_results": "anemll_bench_issues",
    "mobius_parakeet_v3_ne": "mobius_parakeet_v3_all",
    **dict.fromkeys(("mlsd_readme_aug23", "mlsd_readme_jun23", "mlsd_readme_sdxl_ios", "mlsd_readme_nov22"), "mlsd"),
    "mlsd_readme_sdxl_mac": "mlsd",
}


def origin(source: str) -> str:
    """Sources that repeat each other's measurements, or re-measure the same networks, come from one origin."""
    return _ORIGINS.get(source, source)


@dataclass(frozen=True)
class Row:
    """One published latency."""

    source: str
    network: str
    device: str
    chip: str
    os: str
    unit: str
    encoding: str
    activations: str
    latency_ms: float
    timed: str
    use: str
    reason: str

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rows repeats of each other."""
        return (self.source, self.network, self.chip, self.unit, self.encoding, self.activations)


def rows(uses: tuple[str, ...] = ("fit", "ratio")) -> list[Row]:
    """Rows that count, repeats replaced by their median."""
    with _TABLE.open(newline="") as file:
        found = [Row(**{**line, "latency_ms": float(line["latency_ms"])}) for line in csv.DictReader(file)]  # type: ignore[arg-type]
    repeats: dict[tuple[str, ...], list[Row]] = {}
    for row in found:
        if row.use in uses:
            repeats.setdefault(row.key, []).append(row)
    return [replace(same[0], latency_ms=_median([row.latency_ms for row in same])) for same in repeats.values()]


def observation(row: Row) -> Observation:
    """A row with its op list, on the processor that runs it."""
    ops = network(row.network)
    chip = specifications()[row.chip]
    placement = replace(place(ops, ComputeUnit(row.unit)), streams=_streams(row))
    table = _table(row.network, row.encoding, row.activations == "int8", placement, chip)
    return Observation(
        source=row.source,
        network=row.network,
        chip=chip,
        unit=placement.unit,
        table=table,
        hosts=placement.detours(ops),
        ms=row.latency_ms,
        dispatch="no dispatch" not in row.timed,
        absolute=row.use == "fit",
        calls=51 if "50 steps" in row.timed else 1,
    )


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _streams(row: Row) -> bool:
    """Whether compressed weights stay compressed in memory: from iOS 17 and macOS 14 on."""
    found = re.search(r"(iOS|macOS)\D*(\d+)", row.os)
    return not found or int(found[2]) >= {"iOS": 17, "macOS": 14}[found[1]]


@cache
def _table(name: str, encoding: str, int8: bool, placement: Placement, chip: ChipSpecification) -> OpTable:
    kept: Mapping[str, None] = dict.fromkeys(KEPT.get(name, ()))
    entries = []
    for op in network(name):
        weight = None
        if op.weight_elements and op.layer not in kept and op.kind is not OpKind.EMBEDDING:
            weight = placement.held(_stored(encoding, op), placement.unit, chip)
        entries.append((op, weight, int8 and op.kind in QUANTIZED))
    return OpTable.of(entries).merged()


def _stored(encoding: str, op: CostOp) -> StoredWeight:
    if match := re.fullmatch(r"mixed([\d.]+)", encoding):
        return StoredWeight(op.weight_elements, op.weight_elements * float(match[1]) / 8)
    if match := re.fullmatch(r"lut(\d+)-v(\d+)", encoding):
        return StoredWeight.of(Encoding(Table(int(match[1]), vector=int(match[2]))), op.weight_shape)
    return StoredWeight.of(Encoding.parse(encoding), op.weight_shape)
