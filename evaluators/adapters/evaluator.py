"""Evaluator of the adapter workflow: low-rank branches trained beside a frozen compressed model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from palettune.device_bench.package_model.quantized_activation import roundable
from palettune.evaluators.adapters.adapted_model import AdaptedModel, adaptable, unadapted
from palettune.evaluators.adapters.setting import AdapterPlacement, AdapterSetting
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.fine_tuning.checkpoint import CheckpointFolder
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.trainable_layers import reencoded
from palettune.evaluators.fine_tuning.trained_model import TrainedModel, TrainedPart
from palettune.evaluators.fine_tuning.trainee import ModelError
from palettune.evaluators.fine_tuning.training import Training, TrainingError
from palettune.evaluators.placement import on, placed
from palettune.evaluators.quality.evaluation import Failure, Stage, Workflow, evaluation_identity
from palettune.evaluators.quality.gain import Gain, paired
from palettune.evaluators.quality.left_out import left_out
from palettune.evaluators.weights.model_state import ModelState, StateError
from palettune.evaluators.workflow.evaluator import WorkflowSetting

__all__ = ["AdapterEvaluator"]

METHOD = "adapters"


class AdapterEvaluator(FineTuningEvaluator):
    """Workflow that trains adapters beside a state's weights and keeps them if held-out samples improve.

    It needs less memory than fine-tuning: only the adapters have gradients and optimizer state.

    Args:
        setting: the workload, its compressed weights and the divergence; ``folder`` holds checkpoints.
        adapters: rank, placement and training.
    """

    name = "adapters"
    workflow = Workflow("fine_tuning")

    def __init__(self, setting: WorkflowSetting, adapters: AdapterSetting | None = None) -> None:
        self.adapters = adapters or AdapterSetting()
        super().__init__(setting, self.adapters.tuning)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Settings, and content hash of the held-out data."""
        return {**super().identity, "adapters": self.adapters.identity}

    @cached_property
    def adapted(self) -> tuple[str, ...]:
        """Names of the layers that get an adapter."""
        return adaptable(self.setting.weights.layers, self.adapters.rank, self.adapters.layers, self._called)

    @cached_property
    def _called(self) -> frozenset[str]:
        """Names of the modules that a forward pass calls."""
        workload, device = self.setting.workload, self.setting.device
        modules = [layer.module for layer in self.setting.weights.layers.values() if layer.module is not None]
        model = placed(workload.model, device)
        with workload.sampling.state.around(model):
            return roundable(model, on(workload.example_inputs, device), modules)

    @property
    def _without(self) -> tuple[str, ...]:
        """Which layers get no adapter, in words, unless the experiment names those that do."""
        if self.adapters.layers is not None:
            return ()
        layers = self.setting.weights.layers.items()
        reasons = {name: unadapted(layer, self.adapters.rank, self._called) for name, layer in layers}
        return left_out("no adapter beside", {name: why for name, why in reasons.items() if why is not None})

    def _train(self, state: ModelState) -> tuple[ModelState, list[Gain], list[str]] | Failure:
        if not self.adapted:
            gain = replace(
                paired(METHOD, [], []),
                reason="no layer is large enough for an adapter of this rank; lower `rank` or name layers",
            )
            return state, [gain], [*self._without]
        try:
            return self._adapt(state)
        except TrainingError as error:
            return Failure(Stage.TRAIN, f"{METHOD}: {error.reason}", error.layer)
        except (CompressionError, ModelError, StateError) as error:
            return Failure(Stage.TRAIN, f"{METHOD}: {error}", getattr(error, "layer", None))

    def _adapt(self, state: ModelState) -> tuple[ModelState, list[Gain], list[str]]:
        float_model = self.setting.workload.model
        model = AdaptedModel(float_model, state, self.adapted, self.adapters.rank, self.device)
        checkpoints = CheckpointFolder(self.setting.folder, self._identity_of(state))
        training = Training(model, self._loss, self._data, self.tuning, self.tuning.steps, checkpoints)
        training.run()
        self._written.append(checkpoints)
        if self.adapters.placement is AdapterPlacement.SEPARATE:
            found = replace(state, branches={**state.branches, **model.branches()})
        else:
            found = self._merged(state, model.merged())
        gain = paired(METHOD, self._values(state), self._values(found))
        return (
            found if gain.kept else state,
            [gain],
            [*self._without, *(f"{METHOD}: {words}" for words in training.notes)],
        )

    def _merged(self, state: ModelState, added: Mapping[str, Tensor]) -> ModelState:
        weights, methods = dict(state.weights), dict(state.methods)
        for name, more in added.items():
            layer, encoding = self.setting.weights.layers[name], state.configuration.encodings[name]
            before = weights[name]
            merged = before.over_scale(before.effective + more)
            weights[name] = replace(reencoded(layer, encoding, before, merged), scale=before.scale)
            methods[name] = METHOD
        return replace(state, weights=weights, methods=methods)

    def _values(self, state: ModelState) -> list[float]:
        """By held-out sample, of the state as it is exported."""
        frozen = TrainedModel(
            self.setting.workload.model, state, self.setting.weights.layers, TrainedPart.VECTORS, False, self.device
        )
        return frozen.by_sample(self._loss, self._data.held_out)

    def _identity_of(self, state: ModelState) -> str:
        return evaluation_identity(**self.identity, start=state.digest, part=METHOD, torch=torch.__version__)
