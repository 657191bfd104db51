"""Preparation: everything checked and known before anything expensive starts."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from palettune.device_bench.conversion.base_program import BaseProgram, base_program
from palettune.device_bench.conversion.float32_ops import UnmatchedPatternError
from palettune.device_bench.cost.latency_model import LatencyModel, prepare_latency
from palettune.device_bench.cost.latency_reach import check_latency, latency_reach
from palettune.device_bench.cost.program_ops import ops_of_base_program
from palettune.device_bench.interface.program_interface import PLAIN, ProgramInterface
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.evaluators.quality.divergence import detect_kind
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.weights.model_state import model_digest
from palettune.evaluators.weights.normalizations import with_normalizations
from palettune.evaluators.workload.layer_inputs import layer_inputs
from palettune.evaluators.workload.state_check import seeded
from palettune.evaluators.workload.workload import Split, Workload, load_workload
from palettune.search.experiment.experiment import Experiment, ExperimentError
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.experiment.versions import tool_versions
from palettune.search.experiment.workload_file import workload_digest
from palettune.search.preparation.declared_interface import declared_interface
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.errors import UserError
from palettune.space.footprint import layer_bytes
from palettune.space.groups import groupable_layers, shared_groups
from palettune.space.layer import Layer
from palettune.space.reach import BudgetError, Reach, check_budget, reachable_sizes
from palettune.space.search_space import SearchSpace, SearchSpaceError

__all__ = ["Preparation", "prepare"]

_SHOWN = 3


@dataclass(frozen=True)
class Preparation:
    """A checked experiment.

    Attributes:
        layers: every layer of the model, kept ones included; those that ``base`` refuses are part of the rest.
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
    interface: ProgramInterface = PLAIN

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on how the experiment and the workload were read."""
        return (*self.experiment.notes, *self.workload.notes)

    @property
    def scaled(self) -> list[str]:
        """Names of the layers whose normalization takes back scales of their output channels."""
        return [layer.name for layer in self.layers if layer.normalization is not None]

    @property
    def rest(self) -> int:
        """Bytes in the weight file of everything that is not a layer's weight."""
        return self.base.rest_bytes

    def weight_bytes(self, configuration: Configuration) -> int:
        """Return the bytes of a configuration in the package's weight file."""
        return self.rest + sum(
            layer_bytes(self.space.menus[name].layer, encoding, self.experiment.deployment_target)
            for name, encoding in configuration.encodings.items()
        )

    def costs(self, configuration: Configuration) -> dict[str, float]:
        """Return the costs of a configuration by name; none of them needs an evaluation."""
        costs = {"size_mb": self.weight_bytes(configuration) / MEGABYTE}
        if self.latency is not None:
            costs["latency_ms"] = self.latency.predict(configuration).ms
        return costs

    def columns(self) -> list[tuple[str, Encoding]]:
        """Return every (layer, encoding) that a configuration may hold."""
        return [
            (name, encoding)
            for group in self.space.groups
            for name in group
            for encoding in self.space.menus[group[0]].encodings
        ]

    @cached_property
    def coverage(self) -> float:
        """Bytes of the layers, in fp16, over those of all floating-point constants of two or more axes.

        Constants that are compressed already count in fp16, too.
        """
        layers = sum(layer_bytes(layer, FP16, self.experiment.deployment_target) for layer in self.layers)
        others = sum(constant.float_bytes for constant in self.base.others)
        return layers / (layers + others) if layers + others else 1.0

    @cached_property
    def reach(self) -> Reach:
        """The smallest and the largest configuration."""
        return reachable_sizes(self.space, self.experiment.deployment_target, self.rest)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines what the search finds; two equal identities give the same trials."""
        data = {split.value: self.workload.digest(split) for split in self._splits()}
        return {
            "experiment": self.experiment.identity(),
            **self._workload_identity(),
            "model_weights": model_digest(self.workload.model),
            "data": data,
            "menus": {name: list(choices) for name, choices in self.space.choices.items()},
            "versions": tool_versions(),
            # earlier studies of models without any are gone on with; those with some had other sizes
            **({"refused": sorted(self.base.refusals)} if self.base.refusals else {}),
            **({"free_scales": self.scaled} if self.scaled else {}),
        }

    def _workload_identity(self) -> dict[str, Any]:
        """A file is known by its text; functions in memory by their data and targets, beside the model's weights."""
        if isinstance(self.workload.source, Path):
            return {"workload_file": workload_digest(self.workload.source)}
        held = [s for s in Split if s is not Split.TRAINING and self.workload.offers(s.value)]
        digests = {s.value: [self.workload.digest(s), self.workload.targets_digest(s)] for s in held}
        return {"workload_data": digests}

    def _splits(self) -> set[Split]:
        return {Split.EVALUATION, self.workload.scoring_split}


def prepare(experiment: Experiment, only: Collection[str] | None = None) -> Preparation:
    """Load and check the workload, find the layers and their menus, and check that the constraints can be met.

    Args:
        experiment: the experiment.
        only: names of the layers to choose encodings for, others stay in fp16; all unless given.

    Raises:
        UserError: naming the file, function, key or layer.
    """
    workload = load_workload(experiment.workload, experiment.data.options, operands=experiment.space.operands)
    model = workload.model
    outputs = workload.check()
    interface = declared_interface(experiment, workload)
    targets = workload.batches(Split.EVALUATION)[0].targets
    kind = (
        detect_kind(outputs, targets)
        if experiment.objectives.divergence == "auto"
        else DivergenceKind(experiment.objectives.divergence)
    )
    _check_metrics(experiment, workload, outputs)
    if isinstance(model, PackageModule) and not layers_of(model):
        raise _without_layers(workload, model.kept)
    base = _base(experiment, workload, interface)
    if only is not None and not {layer.name for layer in base.layers} <= set(only):
        base = _base(experiment, workload, interface, tuple(one for one in base.layers if one.name in only))
    layers = _with_normalizations(workload, base.layers) if experiment.space.free_scales else base.layers
    if not layers:
        raise _without_layers(workload, {**workload.kept, **base.reasons, **base.refusals})
    space = _search_space(experiment, model, layers, workload, base)
    latency = _latency(experiment, _fixed_base(experiment, workload, interface, base), layers)
    preparation = Preparation(experiment, workload, layers, space, base, kind, latency, interface)
    _check_reachable(preparation)
    return preparation


def _without_layers(workload: Workload, reasons: Mapping[str, str]) -> ExperimentError:
    model = type(workload.model).__name__
    return ExperimentError(
        f"{workload.path}: the model ({model}) has no layer whose weight can be compressed{_reasons(reasons)}"
    )


def _reasons(kept: Mapping[str, str]) -> str:
    """The first few reasons why weights are no layers, in brackets."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in list(kept.items())[:_SHOWN])
    return f" ({shown})" if shown else ""


def _base(
    experiment: Experiment,
    workload: Workload,
    interface: ProgramInterface,
    layers: tuple[Layer, ...] | None = None,
) -> BaseProgram:
    float32 = experiment.space.float32
    if float32 and isinstance(workload.model, PackageModule):
        raise ExperimentError(
            "space.float32: the model is a package, whose ops compute in the precision that it says; leave the key out, "
            "or convert the package again with ct.transform.FP16ComputePrecision(op_selector=...)"
        )
    try:
        target = experiment.deployment_target
        state = workload.sampling.state
        inputs = workload.example_inputs
        return base_program(
            workload.model,
            inputs,
            target,
            layers,
            state,
            float32=float32,
            interface=interface,
            operands=experiment.space.operands,
        )
    except UnmatchedPatternError as error:
        raise ExperimentError(f"space.float32: {error}") from error


def _fixed_base(
    experiment: Experiment, workload: Workload, interface: ProgramInterface, base: BaseProgram
) -> BaseProgram:
    """The program at the shapes of the example, which is what latency is predicted for."""
    if experiment.device is None or not interface.flexible:
        return base
    return _base(experiment, workload, interface.fixed(), base.layers)


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


def _with_normalizations(workload: Workload, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    def run(model: nn.Module) -> Any:
        with seeded(), workload.sampling.state.around(model):
            return model(*workload.example_inputs)

    return with_normalizations(workload.model, layers, run)


def _search_space(
    experiment: Experiment, model: nn.Module, layers: tuple[Layer, ...], workload: Workload, base: BaseProgram
) -> SearchSpace:
    asked = experiment.space.groups
    with workload.sampling.state.around(model):
        some = () if asked == "none" else groupable_layers(layers)
        found = shared_groups(layer_inputs(model, workload.example_inputs, some)) if some else ()
    try:
        return SearchSpace.build(
            layers,
            experiment.space.parsed,
            experiment.deployment_target,
            groups=() if isinstance(asked, str) else _without(asked, base.refusals),
            found=found,
            keep=_kept(experiment, layers, {*workload.kept, *base.refusals}),
        )
    except SearchSpaceError as error:
        raise ExperimentError(f"space: {error}") from error


def _without(groups: Iterable[Sequence[str]], refused: Collection[str]) -> list[list[str]]:
    """The user's groups less the layers that cannot be compressed, as of those that are kept."""
    left = [[name for name in group if name not in refused] for group in groups]
    return [group for group in left if group]


def _kept(experiment: Experiment, layers: tuple[Layer, ...], refused: Collection[str]) -> set[str]:
    """The layers that the experiment keeps; a pattern may match refused ones alone."""
    names = [layer.name for layer in layers]
    kept: set[str] = set()
    for pattern in experiment.space.keep:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in (*names, *refused)):
            raise ExperimentError(
                f"space.keep: {pattern!r} matches no layer; layers are named like {', '.join(names[:5])}"
            )
        kept |= {name for name in names if fnmatch.fnmatchcase(name, pattern)}
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
