"""Preparation: everything checked and known before anything expensive starts."""

from __future__ import annotations

import fnmatch
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from device_bench.base_program import BaseProgram, base_program
from device_bench.cost.latency_model import LatencyModel
from device_bench.cost.latency_model import prepare as prepare_latency
from device_bench.cost.latency_reach import check_latency, latency_reach
from device_bench.cost.program_ops import ops_of_base_program
from evaluators.divergence import detect_kind
from evaluators.divergence_kind import DivergenceKind
from evaluators.model_state import model_digest
from evaluators.workload import Split, Workload, load_workload
from search.experiment import Experiment, ExperimentError
from search.objectives import MEGABYTE
from search.resident import scoring_split
from search.versions import tool_versions
from space.configuration import Configuration
from space.encoding import Encoding
from space.errors import UserError
from space.footprint import layer_bytes
from space.groups import shared_groups
from space.layer import Layer
from space.modules import layers_of
from space.reach import BudgetError, Reach, check_budget, reach
from space.search_space import SearchSpace, SearchSpaceError

__all__ = ["Preparation", "prepare"]


@dataclass(frozen=True)
class Preparation:
    """A checked experiment.

    Attributes:
        layers: every layer of the model, kept ones included.
        space: the menus of the layers that may be compressed; kept layers have ``fp16`` alone.
        base: the converted program without its layers' weights.
        latency: predicts latency on the experiment's device; ``None`` without one.
        kind: the divergence taken.
    """

    experiment: Experiment
    workload: Workload
    layers: tuple[Layer, ...]
    space: SearchSpace
    base: BaseProgram
    kind: DivergenceKind
    latency: LatencyModel | None = None

    @property
    def rest(self) -> int:
        """Bytes in the weight file of everything that is not a layer's weight."""
        return self.base.rest_bytes

    def weight_bytes(self, configuration: Configuration) -> int:
        """Bytes in the package's weight file."""
        return self.rest + sum(
            layer_bytes(self.space.menus[name].layer, encoding, self.experiment.deployment_target)
            for name, encoding in configuration.encodings.items()
        )

    def costs(self, configuration: Configuration) -> dict[str, float]:
        """Costs by name, none of which needs an evaluation."""
        costs = {"size_mb": self.weight_bytes(configuration) / MEGABYTE}
        if self.latency is not None:
            costs["latency_ms"] = self.latency.predict(configuration).ms
        return costs

    def columns(self) -> list[tuple[str, Encoding]]:
        """Every (layer, encoding) that a configuration may hold."""
        return [
            (name, encoding)
            for group in self.space.groups
            for name in group
            for encoding in self.space.menus[group[0]].encodings
        ]

    @cached_property
    def reach(self) -> Reach:
        """The smallest and the largest configuration."""
        return reach(self.space, self.experiment.deployment_target, self.rest)

    def identity(self) -> dict[str, Any]:
        """Everything that determines what the search finds; two equal identities give the same trials."""
        data = {split.value: self.workload.digest(split) for split in self._splits()}
        return {
            "experiment": self.experiment.identity(),
            "workload_file": hashlib.blake2b(self.workload.path.read_bytes(), digest_size=16).hexdigest(),
            "model_weights": model_digest(self.workload.model),
            "data": data,
            "menus": {name: list(choices) for name, choices in self.space.choices.items()},
            "versions": tool_versions(),
        }

    def _splits(self) -> set[Split]:
        return {Split.EVALUATION, scoring_split(self.workload.offers)}


def prepare(experiment: Experiment) -> Preparation:
    """Load and check the workload, find the layers and their menus, and check that the constraints can be met.

    Raises:
        UserError: naming the file, function, key or layer.
    """
    workload = load_workload(experiment.workload, experiment.data.options)
    model = workload.model
    outputs = workload.check()
    targets = workload.batches(Split.EVALUATION)[0].targets
    kind = (
        detect_kind(outputs, targets)
        if experiment.objectives.divergence == "auto"
        else DivergenceKind(experiment.objectives.divergence)
    )
    _check_metrics(experiment, workload, outputs)
    layers = layers_of(model)
    if not layers:
        raise ExperimentError(f"{workload.path}: the model has no layer whose weight can be compressed")
    names, state = [layer.name for layer in layers], workload.sampling.state
    base = base_program(model, workload.example_inputs, experiment.deployment_target, names, state)
    space = _search_space(experiment, model, layers, workload, base)
    preparation = Preparation(experiment, workload, layers, space, base, kind, _latency(experiment, base, layers))
    _check_reachable(preparation)
    return preparation


def _latency(experiment: Experiment, base: BaseProgram, layers: tuple[Layer, ...]) -> LatencyModel | None:
    if experiment.device is None:
        return None
    ops = ops_of_base_program(base, layers)
    try:
        return prepare_latency(
            ops,
            device=experiment.device.name,
            unit=experiment.device.compute_unit,
            target=experiment.deployment_target,
        )
    except UserError as error:
        raise ExperimentError(f"device: {error}") from error


def _search_space(
    experiment: Experiment, model: nn.Module, layers: tuple[Layer, ...], workload: Workload, base: BaseProgram
) -> SearchSpace:
    asked = experiment.space.groups
    with workload.sampling.state.around(model):
        found = () if asked == "none" else shared_groups(model, workload.example_inputs, layers)
    try:
        return SearchSpace.build(
            layers,
            experiment.space.parsed,
            experiment.deployment_target,
            groups=() if isinstance(asked, str) else asked,
            found=found,
            keep=_kept(experiment, layers) | set(base.refusals),
        )
    except SearchSpaceError as error:
        raise ExperimentError(f"space: {error}") from error


def _kept(experiment: Experiment, layers: tuple[Layer, ...]) -> set[str]:
    kept: set[str] = set()
    for pattern in experiment.space.keep:
        matched = {layer.name for layer in layers if fnmatch.fnmatchcase(layer.name, pattern)}
        if not matched:
            names = ", ".join(layer.name for layer in layers[:5])
            raise ExperimentError(f"space.keep: {pattern!r} matches no layer; layers are named like {names}")
        kept |= matched
    return kept


def _check_metrics(experiment: Experiment, workload: Workload, outputs: Any) -> None:
    """Check on the first batch that every metric asked for is one that the workload gives."""
    wanted = {name: f"constraints.metrics.{name}" for name in experiment.constraints.metrics}
    if experiment.objectives.quality != "divergence":
        wanted[experiment.objectives.quality.metric] = "objectives.quality.metric"
    if wanted and not workload.offers("metrics"):
        raise ExperimentError(
            f"{next(iter(wanted.values()))}: a metric is asked for, but {workload.path} defines no metrics()"
        )
    given = workload.metrics([outputs], batches=workload.batches(Split.EVALUATION)[:1])
    for name, key in wanted.items():
        if name not in given:
            raise ExperimentError(f"{key}: metrics() gives no {name!r}; it gives {', '.join(given) or 'nothing'}")


def _check_reachable(preparation: Preparation) -> None:
    bounds, model = preparation.experiment.constraints, preparation.latency
    key = "max_size_mb"
    try:
        if bounds.max_size_mb is not None:
            check_budget(preparation.reach, bounds.max_size_mb * MEGABYTE)
        key = "max_latency_ms"
        if bounds.max_latency_ms is not None and model is not None:
            check_latency(latency_reach(preparation.space, model), model, bounds.max_latency_ms)
    except BudgetError as error:
        raise ExperimentError(f"constraints.{key}: {error}") from error
