"""Evaluator of the calibration workflow: layer methods, moment matching and activation ranges."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from palettune.evaluators.calibration.activation_ranges import ActivationRangeError, activation_ranges
from palettune.evaluators.calibration.held_out_divergence import HeldOutDivergence, NonFiniteError
from palettune.evaluators.calibration.layer_choices import LayerChoices
from palettune.evaluators.calibration.moment_matching import MomentMatching
from palettune.evaluators.calibration.rounded_inputs import inputs_in_fp16
from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.placement import CPU, moved, placed
from palettune.evaluators.quality.evaluation import Failure, Screened, Stage, Workflow
from palettune.evaluators.quality.gain import Gain, paired
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.weights.model_state import DATA_FREE, ModelState, StateError, model_digest
from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowResult, WorkflowSetting, check_start
from palettune.evaluators.workflow.requirement import Requirement
from palettune.evaluators.workload.halving import with_room
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["CalibrationEvaluator"]

LAYER_WEIGHTS = "layer_weights"
ACTIVATIONS = "activation_ranges"


@dataclass(frozen=True)
class _Draft:
    """A candidate state and its divergence on the held-out samples."""

    state: ModelState
    by_sample: tuple[float, ...]


class CalibrationEvaluator(WorkflowEvaluator):
    """Workflow that applies calibration methods in turn and keeps each one if held-out samples improve.

    The order is: moment matching; weights found layer by layer, then moment matching again; activation ranges where
    the configuration asks for 8 bits, then moment matching with quantized activations. Held-out samples are
    calibration samples that no method is fitted on.

    Args:
        setting: the workload, its data-free weights and the divergence.
        most: largest number of calibration samples to use.
        layer_methods: whether to look for better weights layer by layer; moment matching alone takes a tenth of the
            time.

    Raises:
        WorkloadError: too few samples.
    """

    name = "calibration"
    workflow = Workflow("calibration")
    requirements = frozenset({Requirement.CALIBRATION_DATA})

    def __init__(self, setting: WorkflowSetting, most: int = 256, *, layer_methods: bool = True) -> None:
        super().__init__(setting)
        self._model = setting.workload.model
        self._digest = model_digest(self._model)
        self.samples = calibration_samples(setting.workload, most)
        self._most = most
        there = placed(self._model, setting.device)
        self._judge = HeldOutDivergence(there, self.samples.judging(), setting.kind)
        self._moments = MomentMatching(there, self.samples.fitting())
        self._choices = LayerChoices(setting, self.samples) if layer_methods else None
        self._quality = Quality(setting.workload, setting.kind, device=setting.device)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Settings, and content hash of the calibration data."""
        methods = self._choices is not None
        own = {"data": self.samples.digest, "most": self._most, "layer_methods": methods}
        return {
            **super().identity,
            **own,
            **({} if self.setting.device == CPU else {"device": self.setting.device.type}),
        }

    def evaluate(self, configuration: Configuration, start: WorkflowResult | None = None) -> WorkflowResult | Failure:
        """Calibrate one configuration and measure it; a failure names its stage, and the layer where it is known."""
        check_start(configuration, start)
        started = time.perf_counter()
        gains: list[Gain] = []
        try:
            state = self._calibrated(configuration, start, gains)
        except CompressionError as error:
            return Failure(Stage.COMPRESS, error.reason, error.layer)
        except (NonFiniteError, ActivationRangeError) as error:
            return Failure(Stage.CALIBRATE, str(error), error.layer)
        except StateError as error:
            return Failure(Stage.CALIBRATE, str(error))
        except UserError:
            raise
        except Exception as error:
            return Failure(Stage.CALIBRATE, f"{type(error).__name__}: {error}")
        seconds = {Stage.CALIBRATE.value: time.perf_counter() - started}
        module = self._module(state)
        measured = self._quality.measure(module, configuration.hash, self.workflow, seconds=seconds)
        if isinstance(measured, Failure):
            return measured
        if isinstance(measured, Screened):
            raise AssertionError("an evaluation without rivals was screened out")
        notes = (*self.samples.notes, *self._moments.notes, *inputs_in_fp16(configuration, self.setting.weights.layers))
        return WorkflowResult(measured, state, tuple(gains), notes)

    def _calibrated(self, configuration: Configuration, start: WorkflowResult | None, gains: list[Gain]) -> ModelState:
        weights_only = Configuration(configuration.encodings)
        if start is None:
            first = ModelState.data_free(weights_only, self.setting.weights, self._digest)
        else:
            first = replace(start.state, configuration=weights_only, activations={})
        draft = self._draft(first)
        draft = self._keep(MomentMatching.name, draft, self._matched(first), gains)
        matched = draft.state is not first
        if self._choices is not None:
            draft = self._with_layer_weights(first, draft, matched, gains)
        if configuration.activations:
            draft = self._with_activations(configuration, draft, gains)
        return draft.state

    def _with_layer_weights(self, first: ModelState, draft: _Draft, matched: bool, gains: list[Gain]) -> _Draft:
        """Take each layer's weight of least output error, all of them together if the whole model improves."""
        assert self._choices is not None
        weights, methods = dict(first.weights), dict(first.methods)
        for name, encoding in first.configuration.encodings.items():
            if methods[name] != DATA_FREE:
                continue  # keep trained weights: a layer method looks at one layer only
            choice = self._choices.choose(name, encoding, weights[name])
            gains += choice.gains
            weights[name], methods[name] = choice.weight, choice.method
        if methods == dict(first.methods):
            return draft
        better = replace(first, weights=weights, methods=methods)
        return self._keep(LAYER_WEIGHTS, draft, self._matched(better) if matched else self._draft(better), gains)

    def _with_activations(self, configuration: Configuration, draft: _Draft, gains: list[Gain]) -> _Draft:
        """Quantize activations as the configuration asks, then match moments if that improves the result."""
        module = self._module(draft.state)
        fitting = self.samples.fitting()
        layers = self.setting.weights.layers
        asked = [layers[name] for name in configuration.activations]
        ranges = with_room(lambda n: activation_ranges(module, asked, fitting.together(n)), 16)
        rounded = self._draft(draft.state.rounded(configuration, ranges, layers))
        gains.append(replace(paired(ACTIVATIONS, draft.by_sample, rounded.by_sample), kept=True))
        return self._keep(MomentMatching.name, rounded, self._matched(rounded.state), gains)

    def _keep(self, method: str, draft: _Draft, tried: _Draft, gains: list[Gain]) -> _Draft:
        gains.append(paired(method, draft.by_sample, tried.by_sample))
        return tried if gains[-1].kept else draft

    def _matched(self, state: ModelState) -> _Draft:
        module = self._module(state)
        tensors = {**state.tensors, **self._moments.apply(module)}
        return _Draft(replace(state, tensors=tensors), self._judge.by_sample(module))

    def _draft(self, state: ModelState) -> _Draft:
        return _Draft(state, self._judge.by_sample(self._module(state)))

    def _module(self, state: ModelState) -> nn.Module:
        """Return a copy of the model with a state applied, on the device."""
        return moved(state.apply(self._model, metadata=False), self.setting.device)
