"""A worker: what it holds (the workload, the bank, the evaluators), and the work that takes more than one call."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.package_archive import pack
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.placement import moved, worker_device
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Stage, Workflow
from palettune.evaluators.sensitivity.base import ScoringPart, ScoringSetting
from palettune.evaluators.sensitivity.registry import registered_scores as scorers
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.evaluators.weights.assembly import Assembler, LayerWeights
from palettune.evaluators.weights.model_state import ModelState, StateError
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowResult, WorkflowSetting
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Split, load_workload
from palettune.search.study.escalation import EscalationOrder, EscalationResult
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget

__all__ = ["Worker"]


class Worker:
    """Worker that holds one model in memory; its arguments and results are plain values or frozen dataclasses."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.device = worker_device(settings.gpus)
        self.workload = load_workload(settings.workload, settings.data, operands=settings.operands)
        bank = WeightBank(settings.bank, settings.other_banks)
        self.weights = LayerWeights(self.workload.model, settings.layers, bank, settings.seed)
        self.setting = WorkflowSetting(self.workload, self.weights, settings.kind, settings.seed, device=self.device)
        self._evaluators: dict[str, WorkflowEvaluator] = {}

    @cached_property
    def evaluator(self) -> DataFreeEvaluator:
        """Made at the first evaluation: it runs the float model once."""
        return DataFreeEvaluator(self.setting)

    @cached_property
    def confirmer(self) -> DataFreeEvaluator:
        """Evaluator on the confirmation data."""
        return DataFreeEvaluator(self.setting, Split.CONFIRMATION)

    def escalate(self, order: EscalationOrder) -> EscalationResult | Failure:
        """Evaluate one configuration under a rung's workflow and settings."""
        begun = self._begin(order)
        if isinstance(begun, Failure):
            return begun
        outcome = self._evaluator(order.rung).evaluate(order.configuration, begun)
        if isinstance(outcome, Failure):
            return outcome
        state = outcome.state
        return EscalationResult(
            outcome.evaluation, state.save(self._states).name, outcome.gains, outcome.notes, state.branch_bytes
        )

    def _begin(self, order: EscalationOrder) -> WorkflowResult | Failure | None:
        """What an escalation begins from; made again, and its file with it, where the file is gone or damaged."""
        if order.start is None or order.state is None or order.evaluation is None:
            return None
        path = self._states / order.state
        try:
            return WorkflowResult(order.evaluation, ModelState.load(path))
        except StateError as error:
            below = self._begin(order.start)
            if isinstance(below, Failure):
                return below
            outcome = self._evaluator(order.start.rung).evaluate(order.start.configuration, below)
            if isinstance(outcome, Failure):
                return replace(outcome, reason=f"{error}; made again, it failed: {outcome.reason}")
            if f"{outcome.state.digest}.safetensors" == path.name:
                path.unlink(missing_ok=True)  # a damaged file is never written over
                outcome.state.save(self._states)
            return outcome

    def confirm(self, configuration: Configuration, state: tuple[str, Workflow] | None) -> Evaluation | Failure:
        """Evaluate one configuration on confirmation data: with data-free weights, or with a state and its workflow."""
        if state is None:
            found = self.confirmer.measure(configuration)
        else:
            try:
                kept = ModelState.load(self._states / state[0])
            except StateError as error:
                return Failure(Stage.ASSEMBLE, str(error))
            module = moved(kept.apply(self.workload.model, metadata=False), self.device)
            found = self.confirmer.quality.measure(module, kept.configuration.hash, state[1])
        assert not isinstance(found, Screened)  # no rival was given
        return found

    @property
    def _states(self) -> Path:
        assert self.settings.states is not None
        return self.settings.states

    def _evaluator(self, rung: str) -> WorkflowEvaluator:
        """The evaluator of a rung; rungs of one workflow and equal settings share it."""
        found = self.settings.escalation.rung(rung)
        assert found is not None, rung
        key = json.dumps([found.workflow, dict(found.identity)], sort_keys=True)
        if key not in self._evaluators:
            self._evaluators[key] = found.evaluator(replace(self.setting, folder=self.settings.checkpoints))
        return self._evaluators[key]

    def compress(self, layer: str, encodings: tuple[Encoding, ...]) -> tuple[Failure, ...]:
        """Compress one layer in several encodings into the bank; what coremltools would not do comes back."""
        failures = []
        for encoding in encodings:
            key = self.weights.key(layer, encoding)
            try:
                if key not in self.weights.bank:
                    self.weights.bank.put(key, self.weights.build(layer, encoding))
            except ValueError as error:
                failures.append(Failure(Stage.COMPRESS, f"{encoding}: {error}", layer))
        return tuple(failures)

    def score(self, method: str, columns: tuple[Column, ...], part: ScoringPart, energy: tuple[float, ...]) -> Scores:
        """Score one part of the columns on one part of the scoring data."""
        sampling = self.workload.sampling
        batches = self.workload.batches(self.workload.scoring_split)
        samples = single_samples(batches, part.samples.stop, sampling.axes)
        setting = ScoringSetting(
            self.workload.model,
            self.weights,
            self.settings.kind,
            energy,
            self.settings.seed,
            sampling=sampling,
            device=self.device,
        )
        chosen = columns[part.columns.start : part.columns.stop]
        scorer = scorers()[method](setting)
        first = part.samples.start
        return scorer.score(chosen, samples[first:], first, samples[sampling.begin(first) : first])

    @cached_property
    def assembler(self) -> Assembler:
        """Assembler of modules for conversion."""
        return Assembler(self.workload.model, self.weights)

    def convert(self, configuration: Configuration, target: DeploymentTarget, state: str | None = None) -> bytes:
        """Convert one configuration to a package in bytes, to be measured elsewhere at the shapes of the example.

        Args:
            state: file of an escalated model's state; the data-free weights without.
        """
        if state is not None:
            module = ModelState.load(self._states / state).apply(self.workload.model)
        else:
            module = self.assembler.with_metadata(configuration)
        carried, float32 = self.workload.sampling.state, self.settings.float32
        inputs, interface = self.workload.example_inputs, self.settings.interface.fixed()
        model = convert(module, inputs, target, float32=float32, state=carried, interface=interface)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "package.mlpackage"
            model.save(str(path))
            return pack(path)
