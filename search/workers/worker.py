"""What a worker holds and answers: the workload, the bank, an evaluator and a scorer."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.package_archive import pack
from palettune.evaluators.adapters.evaluator import AdapterEvaluator
from palettune.evaluators.adapters.setting import AdapterSetting
from palettune.evaluators.data_free import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Rival, Screened, Stage, Workflow
from palettune.evaluators.sensitivity.base import Part, ScoringSetting
from palettune.evaluators.sensitivity.registry import registry as scorers
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.weights.assembly import Assembler, LayerWeights
from palettune.evaluators.weights.model_state import ModelState
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow import Outcome, WorkflowEvaluator, WorkflowSetting
from palettune.evaluators.workflows import registry as workflows
from palettune.evaluators.workload.placement import moved, worker_device
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Split, load_workload
from palettune.search.study.escalation import Climbed
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.modules import compute_in_float32, layers_of
from palettune.space.target import DeploymentTarget

if TYPE_CHECKING:
    from palettune.search.workers.worker_pool import WorkerSettings

__all__ = ["Resident"]


class Resident:
    """The calls a worker answers. Values in and out are plain or our own frozen dataclasses."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.device = worker_device(settings.gpus)
        self.workload = load_workload(settings.workload, settings.data)
        compute_in_float32(self.workload.model, settings.float32_layers)
        chosen = set(settings.layers)
        layers = tuple(layer for layer in layers_of(self.workload.model) if layer.name in chosen)
        bank = WeightBank(settings.bank, settings.other_banks)
        self.weights = LayerWeights(self.workload.model, layers, bank, settings.seed)
        self.setting = WorkflowSetting(self.workload, self.weights, settings.kind, settings.seed, device=self.device)
        self._workflows: dict[str, WorkflowEvaluator] = {}

    @cached_property
    def evaluator(self) -> DataFreeEvaluator:
        """Made at the first evaluation: it runs the float model once."""
        return DataFreeEvaluator(self.setting)

    @cached_property
    def confirmer(self) -> DataFreeEvaluator:
        """The same on the confirmation data."""
        return DataFreeEvaluator(self.setting, Split.CONFIRMATION)

    def describe(self) -> dict[str, Any]:
        """What is known of the float model on the evaluation data."""
        reference = self.evaluator.reference
        return {"chance": reference.chance, "float_metrics": self.evaluator.float_metrics, "energy": reference.energy}

    def climb(self, workflow: str, configuration: str, start: tuple[dict[str, Any], str] | None) -> Climbed | Failure:
        """One configuration under a dearer workflow.

        Args:
            start: the evaluation (JSON) and the state's file that the climb begins from; the data-free state without.
        """
        begun = None
        if start is not None:
            begun = Outcome(Evaluation.from_json(start[0]), ModelState.load(self._states / start[1]))
        outcome = self._workflow(workflow).evaluate(Configuration.from_json(configuration), begun)
        if isinstance(outcome, Failure):
            return outcome
        state = outcome.state
        return Climbed(
            outcome.evaluation, state.save(self._states).name, outcome.gains, outcome.notes, state.branch_bytes
        )

    def confirm_state(self, state: str, workflow: str) -> Evaluation | Screened | Failure:
        """A model that climbed, on data that the search never sees."""
        found = ModelState.load(self._states / state)
        module = moved(found.apply(self.workload.model, metadata=False), self.device)
        return self.confirmer.quality.measure(module, found.configuration.hash, Workflow(workflow))

    @property
    def _states(self) -> Path:
        assert self.settings.states is not None
        return self.settings.states

    def _workflow(self, name: str) -> WorkflowEvaluator:
        if name not in self._workflows:
            ladder = self.settings.ladder
            setting = replace(self.setting, folder=self.settings.checkpoints)
            if name == Workflow.FINE_TUNING and ladder.adapter_rank:
                tuning = replace(AdapterSetting().tuning, steps=ladder.steps)
                adapters = AdapterSetting(ladder.adapter_rank, ladder.adapter_placement, tuning=tuning)
                self._workflows[name] = AdapterEvaluator(setting, adapters)
            elif name == Workflow.FINE_TUNING:
                tuning = FineTuningSetting(vector_steps=ladder.vector_steps, steps=ladder.steps)
                self._workflows[name] = FineTuningEvaluator(setting, tuning)
            else:
                self._workflows[name] = workflows()[name](setting)
        return self._workflows[name]

    def compress(self, layer: str, encodings: tuple[str, ...]) -> list[Failure]:
        """Compress one layer in several encodings into the bank; what coremltools would not do comes back."""
        failures = []
        for spelling in encodings:
            encoding = Encoding.parse(spelling)
            key = self.weights.key(layer, encoding)
            try:
                if key not in self.weights.bank:
                    self.weights.bank.put(key, self.weights.build(layer, encoding))
            except ValueError as error:
                failures.append(Failure(Stage.COMPRESS, f"{spelling}: {error}", layer))
        return failures

    def score(self, method: str, columns: tuple[tuple[str, str], ...], part: Part, energy: tuple[float, ...]) -> Scores:
        """Sensitivity scores of one part of the columns and of the scoring data."""
        sampling = self.workload.sampling
        batches = self.workload.batches(scoring_split(self.workload.offers))
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
        chosen = [
            (layer, Encoding.parse(spelling)) for layer, spelling in columns[part.columns.start : part.columns.stop]
        ]
        scorer = scorers()[method](setting)
        first = part.samples.start
        return scorer.score(chosen, samples[first:], first, samples[sampling.begin(first) : first])

    def evaluate(
        self, configuration: str, rivals: tuple[Rival, ...] = (), screen: int = 0
    ) -> Evaluation | Screened | Failure:
        """One configuration, given as JSON, on the evaluation data; ended early if a rival is surely better."""
        return self.evaluator.measure(Configuration.from_json(configuration), rivals, screen)

    def confirm(self, configuration: str) -> Evaluation | Screened | Failure:
        """One configuration on data that the search never sees."""
        return self.confirmer.measure(Configuration.from_json(configuration))

    @cached_property
    def assembler(self) -> Assembler:
        """Assembles modules for conversion."""
        return Assembler(self.workload.model, self.weights)

    def package(self, configuration: str, target: str, state: str | None = None) -> bytes:
        """One configuration, given as JSON, as a package in bytes, to be measured elsewhere.

        Args:
            state: file of what a climb made of the model; the data-free weights without.
        """
        if state is not None:
            module = ModelState.load(self._states / state).apply(self.workload.model)
        else:
            module = self.assembler.with_metadata(Configuration.from_json(configuration))
        carried, float32 = self.workload.sampling.state, self.settings.float32
        inputs = self.workload.example_inputs
        model = convert(module, inputs, DeploymentTarget(target), float32=float32, state=carried)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "package.mlpackage"
            model.save(str(path))
            return pack(path)


def scoring_split(offers: Any) -> Split:
    """Scores are taken on calibration data where there are some, so that evaluation data stay unseen."""
    return Split.CALIBRATION if offers(Split.CALIBRATION.value) else Split.EVALUATION
