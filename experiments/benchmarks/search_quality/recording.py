"""The landscape of a real network: every evaluation is recorded once and replayed afterwards.

Two Ray workers hold the network and half of the samples each. A record is one line of a file; what it holds is never
evaluated again, so that a stopped recording goes on, and a changed strategy pays only for what is new.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from emulation import Emulated, signal_to_noise
from landscape import Landscape, Measured, Row
from safetensors.torch import load_file, save_file
from torch import Tensor

from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.fisher import FisherScore
from palettune.evaluators.sensitivity.scores import Column
from palettune.evaluators.weights.assembly import Assembler, LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Split, load_workload
from palettune.search.experiment.experiment import Experiment, load_experiment
from palettune.search.experiment.objectives import hypervolume
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.weights_and_scores import fill_bank, score_layers
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.proposing.allocation import allocation_problem
from palettune.search.proposing.solver import Problem
from palettune.search.workers.allocator import keep_freed_memory
from palettune.search.workers.ray_evaluations import RayEvaluations, connect_to_ray
from palettune.search.workers.requests import Describe
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.configuration import Configuration
from palettune.space.layer import Layer

__all__ = ["Recorded", "Recording", "open_recording"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Half:
    """A worker with some of the samples, whole in one batch."""

    def __init__(self, workload: Path, layers: tuple[Layer, ...], bank: Path, seed: int, picked: Sequence[int]) -> None:
        keep_freed_memory()
        torch.set_num_threads(1)
        self._workload = load_workload(workload)
        model = self._workload.model
        self._assembler = Assembler(model, LayerWeights(model, layers, WeightBank(bank), seed))
        samples = single_samples(self._workload.batches(Split.EVALUATION), 10**9)
        self._inputs = tuple(torch.cat(values) for values in zip(*(samples[i] for i in picked), strict=True))

    def outputs(self, configuration: str | None) -> tuple[list[Any], float]:
        """Outputs of a configuration (JSON), or of the float model, and the seconds taken."""
        started = time.perf_counter()
        if configuration is None:
            module = self._workload.model
        else:
            module = self._assembler.assemble(Configuration.from_json(configuration))
        with torch.inference_mode():
            found = [value.float().numpy() for _, value in floating_outputs(module(*self._inputs))]
        return found, time.perf_counter() - started

    def scoring(self, columns: Sequence[Column], kind: DivergenceKind, energy: Sequence[float], count: int) -> float:
        """What Fisher scoring takes, in forward passes over the same samples, one by one, side by side."""
        samples = single_samples(self._workload.batches(self._workload.scoring_split), count)
        scorer = FisherScore(ScoringSetting(self._workload.model, self._assembler.weights, kind, energy))
        started = time.perf_counter()
        with torch.inference_mode():
            for sample in samples:
                self._workload.model(*sample)
        passed = time.perf_counter()
        scorer.score(columns, samples)
        return (time.perf_counter() - passed) / (passed - started)


class Recording:
    """Evaluations by configuration, in a gzipped file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[str, tuple[float, float]] = {}
        if path.exists():
            for line in gzip.decompress(path.read_bytes()).decode().splitlines():
                item = json.loads(line)
                self._kept[item["choices"]] = (item["divergence"], item["signal"])

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, row: Row) -> Measured | None:
        """What is recorded of a configuration."""
        kept = self._kept.get(_key(row))
        return Measured(*kept) if kept else None

    def items(self) -> list[tuple[Row, Measured]]:
        """Everything recorded."""
        return [(np.array([_DIGITS.index(c) for c in key]), Measured(*kept)) for key, kept in self._kept.items()]

    def put(self, row: Row, measured: Measured) -> None:
        """Record one evaluation; a gzip file may be a chain of members, so a line is appended."""
        key = _key(row)
        self._kept[key] = (measured.divergence, measured.signal)
        line = json.dumps({"choices": key, "divergence": measured.divergence, "signal": measured.signal}) + "\n"
        with self.path.open("ab") as file:
            file.write(gzip.compress(line.encode(), mtime=0))

    def pack(self) -> None:
        """Write the file as one member, in order, which is a tenth of the size."""
        lines = [
            json.dumps({"choices": key, "divergence": kept[0], "signal": kept[1]})
            for key, kept in sorted(self._kept.items())
        ]
        self.path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def _key(row: Row) -> str:
    return "".join(_DIGITS[int(i)] for i in row)


class Recorded(Landscape):
    """A real network.

    Args:
        samples: of the evaluation data, evenly picked; ``None`` for all.
    """

    def __init__(self, experiment: Experiment, root: Path, record: Path, samples: int | None) -> None:
        self.name = experiment.name if samples else f"{experiment.name}, all samples"
        space = experiment.space.model_copy(update={"free_scales": False})  # as in the evaluations recorded before
        preparation = prepare(experiment.model_copy(update={"space": space}))
        folder = RunFolder(root, experiment.name)
        folder.create()
        self.recording = Recording(record)
        self._preparation, self._folder = preparation, folder
        self._start(preparation, folder, samples)
        self._describe(preparation)

    def close(self) -> None:
        """Give the workers back; what is on record can still be read."""
        for half in self._halves:
            ray.kill(half)

    def best_volume(self) -> float:
        """Hypervolume of everything on record."""
        return hypervolume(np.array([self.losses(row, m.divergence) for row, m in self.recording.items()]))

    # -- set-up -------------------------------------------------------------------------------------------------

    def _start(self, preparation: Preparation, folder: RunFolder, samples: int | None) -> None:
        experiment = preparation.experiment
        layers = preparation.layers
        settings = WorkerSettings(
            experiment.workload, layers, preparation.kind, experiment.seed, folder.bank.resolve(), (), 1
        )
        connect_to_ray(None)
        evaluations, reporter = RayEvaluations(settings, experiment.needs), Reporter()
        evaluations.start()
        try:
            fill_bank(preparation, folder, evaluations, reporter)
            energy = evaluations.result(Describe()).energy
            identity = preparation.identity()
            self.fisher, _ = score_layers(preparation, identity, folder, evaluations, energy, reporter)
        finally:
            evaluations.stop()
        count = sum(batch.inputs[0].shape[0] for batch in preparation.workload.batches(Split.EVALUATION))
        self.samples = samples or count
        picked = [count * i // self.samples for i in range(self.samples)]
        worker = ray.remote(num_cpus=1)(Half)
        self._halves = [
            worker.remote(experiment.workload, layers, folder.bank.resolve(), experiment.seed, picked[part::2])
            for part in range(2)
        ]
        self._float = self._outputs(None)[0]
        self.reference = Reference.of(preparation.kind, [self._float]).with_energy(
            energy if preparation.kind.value != "kl" else ()
        )

    def _describe(self, preparation: Preparation) -> None:
        space, experiment = preparation.space, preparation.experiment
        self.space, self.encodings = space, experiment.space.parsed
        self.elements = tuple(sum(space.menus[name].layer.parameters for name in group) for group in space.groups)
        problem = allocation_problem(space, experiment.deployment_target, preparation.rest, self.fisher)
        self.costs = Problem(tuple(np.zeros(len(menu)) for menu in self.menus), problem.costs, problem.constants)
        self.chance = self.reference.chance
        self.float_costs = preparation.costs(space.uniform(self.encodings[0]))
        self.scores = {"fisher": problem.losses}
        timed = [self._outputs(self.configuration(row).to_json())[1] for row in list(self.uniform.values())[:5]]
        self.seconds = float(np.median(timed))
        self.scoring_passes = self._scoring_passes()
        self.scoring = {"fisher": self.scoring_passes * len(self.fisher.by_sample) / self.samples}

    def _scoring_passes(self) -> float:
        """Fisher scoring in forward passes of the scoring data, the weight bank not counted; measured once and kept."""
        path = self._folder.path / "scoring.json"
        if not path.exists():
            count, kind = len(self.fisher.by_sample), self._preparation.kind
            asked = self._halves[0].scoring.remote(self.fisher.columns, kind, self.reference.energy, count)
            path.write_text(json.dumps(float(ray.get(asked))))
        return float(json.loads(path.read_text()))

    # -- measuring ----------------------------------------------------------------------------------------------

    def measure(self, row: Row) -> Measured:
        """From the record, or on the workers."""
        known = self.recording.get(row)
        if known is not None:
            return known
        outputs, _ = self._outputs(self.configuration(row).to_json())
        divergence = float(self.reference.by_sample(0, outputs).mean())
        measured = Measured(max(divergence, 0.0), signal_to_noise(self.reference.batches[0], outputs))
        self.recording.put(row, measured)
        return measured

    def _outputs(self, configuration: str | None) -> tuple[tuple[Tensor, ...], float]:
        answers = ray.get([half.outputs.remote(configuration) for half in self._halves])
        parts = [outputs for outputs, _ in answers]
        joined = tuple(torch.from_numpy(np.concatenate(values)) for values in zip(*parts, strict=True))
        return joined, max(seconds for _, seconds in answers)

    def emulated(self) -> Emulated:
        """The additive emulator of this network; every (group, choice) is applied alone, once, and kept."""
        path = self._folder.path / "changes.safetensors"
        kept = load_file(path) if path.exists() else {}
        changes: list[list[list[Tensor]]] = []
        for group, menu in enumerate(self.menus):
            changes.append([])
            for choice in range(len(menu)):
                names = [f"{group}.{choice}.{i}" for i in range(len(self._float))]
                if names[0] not in kept:
                    row = self.alone(group, choice)
                    outputs, _ = self._outputs(self.configuration(row).to_json())
                    kept.update({name: (o - f) for name, o, f in zip(names, outputs, self._float, strict=True)})
                changes[-1].append([kept[name] for name in names])
            if group % 10 == 9 or group + 1 == len(self.menus):
                save_file(kept, path)
        self._isolate(changes)
        return Emulated(self, self.reference, changes)

    def _isolate(self, changes: list[list[list[Tensor]]]) -> None:
        """Isolated scores, and records, from the same single changes."""
        losses = []
        for group, menu in enumerate(self.menus):
            values = []
            for choice in range(len(menu)):
                outputs = tuple(f + c for f, c in zip(self._float, changes[group][choice], strict=True))
                divergence = max(float(self.reference.by_sample(0, outputs).mean()), 0.0)
                values.append(divergence)
                if self.recording.get(self.alone(group, choice)) is None:
                    signal = signal_to_noise(self.reference.batches[0], outputs)
                    self.recording.put(self.alone(group, choice), Measured(divergence, signal))
            losses.append(np.array(values))
        self.scores = {**self.scores, "isolated": tuple(losses)}
        self.scoring = {**self.scoring, "isolated": float(sum(len(menu) - 1 for menu in self.menus))}


def open_recording(experiment: Path, root: Path, record: Path, samples: int | None) -> Recorded:
    """The landscape of an experiment file, on so many of its evaluation samples or on all."""
    return Recorded(load_experiment(experiment), root, record, samples)
