"""Metadata of an exported package: where it comes from, what was measured of it, and on what data.

It stands in the package's user-defined metadata, under keys that begin with ``palettune.``; ``verify`` reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import coremltools

from palettune.device_bench.runtime.execution import takes
from palettune.device_bench.runtime.program import Program
from palettune.evaluators.weights.model_state import model_digest
from palettune.evaluators.workload.samples import spread_samples
from palettune.evaluators.workload.workload import Batch, Split
from palettune.search.experiment.versions import tool_versions
from palettune.search.preparation.preparation import Preparation
from palettune.search.results.packages.package_description import PackageDescription
from palettune.search.study.record import Record

__all__ = ["PackageRecord", "record_values", "weights_digest", "write_record"]

_PREFIX = "palettune."
_MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
_WEIGHTS = Path("Data/com.apple.CoreML/weights")


@dataclass(frozen=True)
class PackageRecord:
    """Record in a package's metadata; ``None`` for each value that it lacks.

    Attributes:
        divergence: measured in float32 by torch on all evaluation data.
        fitting: the same on the samples that the package takes, where those are not all.
        kind: which divergence.
        data: digest of the evaluation data.
        model: digest of the float model.
        weights: digest of the package's own weight file.
    """

    divergence: float | None = None
    fitting: float | None = None
    kind: str | None = None
    data: str | None = None
    model: str | None = None
    weights: str | None = None

    @classmethod
    def read(cls, package: Path) -> PackageRecord:
        """Read the record from a package's metadata."""
        metadata = coremltools.utils.load_spec(str(package)).description.metadata.userDefined
        given = {key.removeprefix(_PREFIX): value for key, value in metadata.items() if value}
        return cls(
            _number(given.get("divergence")),
            _number(given.get("divergence_fitting")),
            given.get("divergence_kind"),
            given.get("data"),
            given.get("model"),
            given.get("weights"),
        )


def record_values(preparation: Preparation, record: Record, program: Program) -> dict[str, str]:
    """Collect the record of a package, by key without the prefix.

    Args:
        program: the package, which takes some shapes of the data, or all.
    """
    evaluation, batches = record.evaluation, preparation.workload.batches(Split.EVALUATION)
    values = {
        "experiment": preparation.experiment.name,
        "trial": str(record.trial),
        "workflow": record.workflow,
        "configuration_hash": record.configuration.hash,
        "configuration": record.configuration.to_json(),
        "divergence": f"{evaluation.divergence:.6g}" if evaluation else "",
        "divergence_kind": preparation.kind.value,
        "data": preparation.workload.digest(Split.EVALUATION),
        "model": model_digest(preparation.workload.model),
    }
    if evaluation is not None:
        fitting = _fitting(batches, evaluation.by_sample, program)
        if fitting is not None:
            values["divergence_fitting"] = f"{fitting:.6g}"
        values |= {f"metric.{name}": f"{value:.6g}" for name, value in evaluation.metrics.items()}
    return values | {f"version.{name}": number for name, number in tool_versions().items()}


def write_record(package: Path, values: Mapping[str, str], described: PackageDescription | None = None) -> None:
    """Put a record into a saved package, in the place of any other, with the digest of its weight file.

    Args:
        described: texts for people, which are written, too.
    """
    spec = coremltools.utils.load_spec(str(package))
    texts = spec.description.metadata
    if described is not None:
        described.write(texts)
    metadata = texts.userDefined
    for stale in [key for key in metadata if key.startswith(_PREFIX)]:
        del metadata[stale]
    for key, value in {**values, "weights": weights_digest(package)}.items():
        metadata[_PREFIX + key] = value
    (package / _MODEL).write_bytes(spec.SerializeToString())


def weights_digest(package: Path) -> str:
    """Return the content hash of a package's weight files."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted((package / _WEIGHTS).rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(package / _WEIGHTS)}:".encode())
            digest.update(hashlib.blake2b(file.read_bytes()).digest())
    return digest.hexdigest()


def _fitting(batches: Sequence[Batch], by_sample: Sequence[float], program: Program) -> float | None:
    """Mean divergence of the samples that a program takes; None where it takes all, or none, or samples lie otherwise."""
    chosen: list[float] = []
    start = 0
    for batch in batches:
        spread = spread_samples([batch], 1, lambda sample: takes(program, sample))
        rows = spread.total
        if spread.fitting:
            chosen += by_sample[start : start + rows]
        start += rows
    return sum(chosen) / len(chosen) if start == len(by_sample) and 0 < len(chosen) < start else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
