"""Evaluator of the fine-tuning workflow: normalizations and biases first, then all parameters."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.evaluators.calibration.activation_ranges import ActivationRangeError, activation_ranges
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.fine_tuning.checkpoint import CheckpointFolder
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.fine_tuning.trained_model import TrainedModel, TrainedPart
from palettune.evaluators.fine_tuning.trainee import ModelError
from palettune.evaluators.fine_tuning.training import NoGradientError, Training, TrainingError
from palettune.evaluators.fine_tuning.training_data import TrainingData, batch_parts, batch_samples
from palettune.evaluators.fine_tuning.training_loss import TrainingLoss
from palettune.evaluators.placement import CPU, moved
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow, evaluation_identity
from palettune.evaluators.quality.gain import Gain, paired
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.weights.model_state import DATA_FREE, ModelState, StateError, model_digest
from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowResult, WorkflowSetting, check_start
from palettune.evaluators.workflow.requirement import Requirement
from palettune.evaluators.workload.halving import with_room
from palettune.evaluators.workload.workload import Split, Workload
from palettune.space.configuration import Configuration

__all__ = ["FineTuningEvaluator"]

_RANGE_BATCHES = 8


class FineTuningEvaluator(WorkflowEvaluator):
    """Workflow that trains all compressed weights of a configuration together, each in the form of its encoding.

    Training data are the workload's training data, or its calibration data where it has no other. A result is kept if the
    held-out part of these data improves; evaluation data are used only to measure the result.

    Args:
        setting: the workload, its compressed weights and the divergence; ``folder`` holds checkpoints.
        tuning: number of steps, rates and other settings.
    """

    name = "fine_tuning"
    workflow = Workflow("fine_tuning")
    requirements = frozenset({Requirement.GRADIENTS})

    def __init__(self, setting: WorkflowSetting, tuning: FineTuningSetting | None = None) -> None:
        super().__init__(setting)
        self.tuning = tuning or FineTuningSetting()
        self.device = _device(self.tuning.device, setting.device)
        self._written: list[CheckpointFolder] = []

    @property
    def identity(self) -> Mapping[str, Any]:
        """Settings, content hash of the held-out data, and kind of device."""
        own = {"tuning": self.tuning.identity, "data": self._data.digest, "device": self.device.type}
        return {**super().identity, **own}

    @classmethod
    def missing(cls, workload: Workload) -> str | None:
        """Say what the workload lacks for this workflow; ``None`` where the workflow can run."""
        if not any(workload.offers(split.value) for split in (Split.TRAINING, Split.CALIBRATION)):
            return f"{workload.path}: the workflow {cls.name!r} needs training_data() or calibration_data(); define one"
        return super().missing(workload)

    def evaluate(self, configuration: Configuration, start: WorkflowResult | None = None) -> WorkflowResult | Failure:
        """Train one configuration and measure it; a failure names its stage, and the layer where it is known."""
        check_start(configuration, start)
        started = time.perf_counter()
        state = self._start(configuration, start)
        if isinstance(state, Failure):
            return state
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.setting.seed)
            trained = self._train(state)
        for checkpoints in self._written:
            checkpoints.clear()
        self._written.clear()
        if isinstance(trained, Failure):
            return trained
        state, gains, notes = trained
        seconds = {Stage.TRAIN.value: time.perf_counter() - started}
        module = self._module(state)
        measured = self._quality.measure(module, configuration.hash, self.workflow, seconds=seconds)
        if not isinstance(measured, Evaluation):
            return measured if isinstance(measured, Failure) else Failure(Stage.FORWARD, str(measured))
        return WorkflowResult(measured, state, tuple(gains), (*self._data.notes, *notes))

    def _start(self, configuration: Configuration, start: WorkflowResult | None) -> ModelState | Failure:
        """The state to train from, with activation ranges where the configuration asks for 8 bits."""
        weights_only = Configuration(configuration.encodings)
        try:
            state = start.state if start else ModelState.data_free(weights_only, self.setting.weights, self._model)
            if state.configuration.activations == configuration.activations:
                return state
            state = replace(state, configuration=weights_only, activations={})
            module = self._module(state)
            layers = self.setting.weights.layers
            return state.rounded(configuration, self._ranges(module, configuration), layers)
        except CompressionError as error:
            return Failure(Stage.COMPRESS, error.reason, error.layer)
        except ActivationRangeError as error:
            return Failure(Stage.CALIBRATE, str(error), error.layer)

    def _ranges(self, module: nn.Module, configuration: Configuration) -> dict[str, ActivationQuantization]:
        """Return the ranges on the first training batches, in parts where these do not fit in memory."""
        axes = self.setting.workload.sampling.axes
        asked = [self.setting.weights.layers[name] for name in configuration.activations]
        batches = list(itertools.islice(self._data.stream(), _RANGE_BATCHES))

        def found(size: int) -> dict[str, ActivationQuantization]:
            inputs = [part.inputs for batch in batches for part in batch_parts(batch, size, axes)]
            return activation_ranges(module, asked, inputs)

        return with_room(found, max(batch_samples(batch, axes) for batch in batches))

    def _train(self, state: ModelState) -> tuple[ModelState, list[Gain], list[str]] | Failure:
        gains: list[Gain] = []
        notes: list[str] = []
        stages = ((TrainedPart.VECTORS, self.tuning.vector_steps), (TrainedPart.EVERYTHING, self.tuning.steps))
        planned = [(part, steps) for part, steps in stages if steps]
        for part, steps in planned:
            try:
                found, gain, said = self._stage(state, part, steps)
            except NoGradientError as error:  # nothing of this part; the other one may have some
                notes.append(f"{part.value}: {error.reason}")
                if len(notes) == len(planned) and not gains:
                    return Failure(Stage.TRAIN, notes[0])
                continue
            except TrainingError as error:
                return Failure(Stage.TRAIN, f"{part.value}: {error.reason}", error.layer)
            except (CompressionError, ModelError, StateError) as error:
                return Failure(Stage.TRAIN, f"{part.value}: {error}", getattr(error, "layer", None))
            gains.append(gain)
            notes += [f"{part.value}: {words}" for words in said]
            state = found if gain.kept else state
        return state, gains, notes

    def _stage(self, state: ModelState, part: TrainedPart, steps: int) -> tuple[ModelState, Gain, list[str]]:
        """Train one part from a state, and compare on the held-out samples."""
        untouched = all(method == DATA_FREE for method in state.methods.values())
        layers = self.setting.weights.layers
        model = TrainedModel(
            self.setting.workload.model, state, layers, part, self.tuning.gradual and untouched, self.device
        )
        before = TrainedModel(self.setting.workload.model, state, layers, TrainedPart.VECTORS, False, self.device)
        values = before.by_sample(self._loss, self._data.held_out)
        if not model.parameters():
            return state, paired(part.value, [], []), ["the model has no such parameters"]
        checkpoints = CheckpointFolder(self.setting.folder, self._identity(state, part))
        training = Training(model, self._loss, self._data, self.tuning, steps, checkpoints)
        training.run()
        found = model.state()
        gain = paired(part.value, values, model.by_sample(self._loss, self._data.held_out))
        self._written.append(checkpoints)
        return found, gain, training.notes

    def _identity(self, state: ModelState, part: TrainedPart) -> str:
        return evaluation_identity(**self.identity, start=state.digest, part=part.value, torch=torch.__version__)

    def _module(self, state: ModelState) -> nn.Module:
        """Return a copy of the model with a state applied, on the device."""
        return moved(state.apply(self.setting.workload.model, metadata=False), self.device)

    @cached_property
    def _data(self) -> TrainingData:
        return TrainingData(self.setting.workload, self.tuning.held_out)

    @cached_property
    def _loss(self) -> TrainingLoss:
        return TrainingLoss(
            self.setting.workload, self.setting.kind, self._data.held_out, self.tuning.distillation, self.device
        )

    @cached_property
    def _quality(self) -> Quality:
        return Quality(self.setting.workload, self.setting.kind, device=self.device)

    @cached_property
    def _model(self) -> str:
        return model_digest(self.setting.workload.model)


def _device(asked: str, given: torch.device) -> torch.device:
    """Return the device to train on: the setting's own if it names one, then the workflow's, then a GPU if there is one."""
    if asked != "auto":
        return torch.device(asked)
    return given if given != CPU or not torch.cuda.is_available() else torch.device("cuda")
