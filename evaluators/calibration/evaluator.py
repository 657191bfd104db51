"""The calibration workflow: better weights, matched moments and activation ranges, each kept only where it gains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from palettune.evaluators.calibration.activation_ranges import ActivationRangeError, activation_ranges
from palettune.evaluators.calibration.judge import Judge, NonFiniteError
from palettune.evaluators.calibration.layer_choices import LayerChoices
from palettune.evaluators.calibration.moment_matching import MomentMatching
from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.quality.evaluation import Failure, Screened, Stage, Workflow
from palettune.evaluators.quality.gain import Gain, paired
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.weights.model_state import DATA_FREE, ModelState, StateError, model_digest
from palettune.evaluators.workflow import Outcome, Requirement, WorkflowEvaluator, WorkflowSetting, check_start
from palettune.evaluators.workload.halving import with_room
from palettune.evaluators.workload.placement import CPU, moved, placed
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["CalibrationEvaluator"]

LAYER_WEIGHTS = "layer_weights"
ACTIVATIONS = "activation_ranges"


@dataclass(frozen=True)
class _Draft:
    """A state on its way, judged."""

    state: ModelState
    by_sample: tuple[float, ...]


class CalibrationEvaluator(WorkflowEvaluator):
    """Tries each method on top of what was kept so far, and compares on calibration samples that none was fitted on.

    The order is: moment matching; weights found layer by layer, with moments matched again; activation ranges where
    the configuration asks for 8 bits, with moments matched under the rounding.

    Args:
        setting: the workload, its data-free weights and the divergence taken.
        most: calibration samples used at most.
        layer_methods: whether weights are sought layer by layer; moments alone take a tenth of the time.

    Raises:
        WorkloadError: too few samples.
    """

    name = "calibration"
    workflow = Workflow.CALIBRATION
    requirements = frozenset({Requirement.CALIBRATION_DATA})

    def __init__(self, setting: WorkflowSetting, most: int = 256, *, layer_methods: bool = True) -> None:
        super().__init__(setting)
        self._model = setting.workload.model
        self._digest = model_digest(self._model)
        self.samples = calibration_samples(setting.workload, most)
        self._most = most
        there = placed(self._model, setting.device)
        self._judge = Judge(there, self.samples.judging(), setting.kind)
        self._moments = MomentMatching(there, self.samples.fitting())
        self._choices = LayerChoices(setting, self.samples) if layer_methods else None
        self._quality = Quality(setting.workload, setting.kind, device=setting.device)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Adds the calibration data and what was done with them."""
        methods = self._choices is not None
        own = {"data": self.samples.digest, "most": self._most, "layer_methods": methods}
        return {
            **super().identity,
            **own,
            **({} if self.setting.device == CPU else {"device": self.setting.device.type}),
        }

    def evaluate(self, configuration: Configuration, start: Outcome | None = None) -> Outcome | Failure:
        """Calibrate one configuration. A failure names its stage, and the layer where one can be told."""
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
            raise AssertionError("screened without a rival")
        return Outcome(measured, state, tuple(gains), self.samples.notes)

    def _calibrated(self, configuration: Configuration, start: Outcome | None, gains: list[Gain]) -> ModelState:
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
        """Each layer's best weight by its output error, taken together if the whole model gains."""
        assert self._choices is not None
        weights, methods = dict(first.weights), dict(first.methods)
        for name, encoding in first.configuration.encodings.items():
            if methods[name] != DATA_FREE:
                continue  # what training found is better than what a layer alone can know
            choice = self._choices.choose(name, encoding, weights[name])
            gains += choice.gains
            weights[name], methods[name] = choice.weight, choice.method
        if methods == dict(first.methods):
            return draft
        better = replace(first, weights=weights, methods=methods)
        return self._keep(LAYER_WEIGHTS, draft, self._matched(better) if matched else self._draft(better), gains)

    def _with_activations(self, configuration: Configuration, draft: _Draft, gains: list[Gain]) -> _Draft:
        """Rounding was asked for, so it is kept whatever it costs; matching moments under it only if that gains."""
        module = self._module(draft.state)
        fitting = self.samples.fitting()
        ranges = with_room(lambda n: activation_ranges(module, configuration.activations, fitting.together(n)), 16)
        rounded = self._draft(replace(draft.state, configuration=configuration, activations=ranges))
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
        """The model with a state in it, on the device."""
        return moved(state.apply(self._model, metadata=False), self.setting.device)
