"""Contents of the MLflow run of one evaluation: a name that fits the table, encodings in model order, figures, tags."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.experiment.rungs.result_words import result_words
from palettune.search.results.intervals import interval
from palettune.search.study.record import Record
from palettune.search.study.study_context import StudyContext
from palettune.space.configuration import Configuration, Precision

__all__ = [
    "ModelScale",
    "encoding_parameters",
    "measured_metrics",
    "mlflow_key",
    "run_name",
    "trial_tags",
    "unseen_metrics",
]

_LONGEST_KEY = 250  # of MLflow
_NAMED_ORIGINS = ("uniform", "recipe")


@dataclass(frozen=True)
class ModelScale:
    """Size of the float model, with which configurations are compared.

    Attributes:
        layers: names of the layers, in model order.
        weights: number of weights of all layers.
        rest_bytes: bytes in the weight file of everything that is not a layer's weight.
        float_mb: size of the fp16 model, in 10^6 bytes.
    """

    layers: tuple[str, ...] = ()
    weights: int = 0
    rest_bytes: int = 0
    float_mb: float = 0.0

    @classmethod
    def of(cls, context: StudyContext) -> ModelScale:
        """Return the scale of a study's model."""
        layers = context.space.layers
        weights = sum(layer.parameters for layer in layers)
        return cls(tuple(x.name for x in layers), weights, context.rest_bytes, context.float_costs.get("size_mb", 0.0))

    def relative(self, size_mb: float) -> dict[str, float]:
        """Return ``bits_per_weight`` of the layers, and ``compression``: how many times smaller than fp16."""
        found = {}
        if self.weights:
            found["bits_per_weight"] = _short((size_mb * MEGABYTE - self.rest_bytes) * 8 / self.weights)
        if self.float_mb and size_mb:
            found["compression"] = _short(self.float_mb / size_mb)
        return found


def run_name(record: Record) -> str:
    """Name a run by costs, quality and workflow: ``2.09 MB · 0.133 · calibrated``."""
    units = {"size_mb": "MB", "latency_ms": "ms"}
    figures = [f"{_figure(value)} {units.get(name, name)}" for name, value in record.costs.items()]
    if record.failure is not None or record.screened is not None:
        how = "failed" if record.failure is not None else "screened out"
        return " · ".join([*figures, how, f"trial {record.trial}"])
    quality = [_figure(record.values[0])] if record.values else []
    return " · ".join([*figures, *quality, _way(record)])


def _way(record: Record) -> str:
    if record.escalated_from is None and record.origin.split(" ")[0] in _NAMED_ORIGINS:
        return record.origin
    return result_words(record.workflow, record.rung)


def _short(value: float) -> float:
    """Four digits that count: MLflow shows all that there are."""
    return float(f"{value:.4g}")


def _figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def encoding_parameters(configuration: Configuration, layers: Sequence[str] = ()) -> dict[str, str]:
    """Return each layer's encoding by a key that sorts in model order, as MLflow sorts keys: ``07 blocks.1.conv``.

    Args:
        layers: names in model order; those that it lacks come after them.
    """
    known = [name for name in layers if name in configuration.encodings]
    names = [*known, *(name for name in configuration.encodings if name not in set(known))]
    width = len(str(max(len(names) - 1, 0)))
    return {mlflow_key(f"{i:0{width}d} {name}"): _spelled(configuration, name) for i, name in enumerate(names)}


def mlflow_key(text: str) -> str:
    """Turn a text into a key that MLflow takes: word characters, slashes, dashes, dots, colons and spaces."""
    key = re.sub(r"[^/\w.: -]", "_", text)[:_LONGEST_KEY]
    return key if posixpath.normpath(key) == key and not key.startswith(("/", "..")) else key.replace("/", "_")


def _spelled(configuration: Configuration, name: str) -> str:
    rounded = configuration.activations.get(name) is Precision.INT8
    return f"{configuration.encodings[name]}{', int8 input' if rounded else ''}"


def measured_metrics(record: Record, scale: ModelScale) -> dict[str, float]:
    """Return costs, the divergence with its interval, the workload's metrics, the gains of methods, and seconds."""
    values: dict[str, float] = dict(record.costs)
    if "size_mb" in values:
        values |= scale.relative(values["size_mb"])
    values["seconds"] = _short(record.span[1] - record.span[0])
    if record.evaluation is not None:
        values |= _quality(record.evaluation, "")
    for gain in record.gains:
        if gain.layer is None:
            values[f"gain.{gain.method}"] = gain.before - gain.after
    return {mlflow_key(name): value for name, value in values.items() if math.isfinite(value)}


def unseen_metrics(confirmed: Evaluation) -> dict[str, float]:
    """Return the metrics of the same model on data that the search never saw."""
    return _quality(confirmed, "unseen.")


def _quality(evaluation: Evaluation, prefix: str) -> dict[str, float]:
    found = {"divergence": evaluation.divergence}
    ends = interval(evaluation)
    if ends is not None:
        found |= {"divergence.low": _short(ends[0]), "divergence.high": _short(ends[1])}
    return {mlflow_key(prefix + name): value for name, value in (found | dict(evaluation.metrics)).items()}


def trial_tags(record: Record) -> dict[str, str]:
    """Return tags that identify a trial, its origin, and the reason why it does not count, if it does not."""
    tags = {
        "trial": str(record.trial),
        "workflow": record.workflow,
        "configuration_hash": record.configuration.hash,
        "origin": record.origin,
    }
    if record.escalated_from is not None:
        tags["escalated_from"] = str(record.escalated_from)
    reason = record.failure or record.screened or (None if record.feasible else "a constraint is not met")
    return tags | ({"status_reason": str(reason)} if reason is not None else {})
