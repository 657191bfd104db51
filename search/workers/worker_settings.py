"""Settings of the workers of one run, the same wherever they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from palettune.device_bench.interface.program_interface import PLAIN, ProgramInterface
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.data_options import DataOptions
from palettune.evaluators.workload.workload_object import WorkloadSource
from palettune.search.experiment.experiment import EscalationSettings, Needs
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation
from palettune.space.layer import Layer

__all__ = ["WorkerSettings", "worker_settings"]


@dataclass(frozen=True)
class WorkerSettings:
    """Everything a worker needs to hold the model.

    Attributes:
        workload: path of the workload file, readable where the worker runs; or functions in memory.
        layers: those that may be compressed.
        bank: folder of the weight bank, and those of other runs.
        threads: torch threads of one worker.
        states, checkpoints: folders of the states of escalated models, and of trainings under way.
        escalation: the settings of the workflows that evaluations are escalated to.
        float32: patterns of the ops that compute in float32.
        data: what the experiment says of the data.
        interface: of the packages that the worker converts.
        operands: whether large tensors that ops take as they are, such as a table that is added, are layers, too.
        gpus: share of a GPU that one worker is given; with any share above 0 it computes on the GPU.
    """

    workload: WorkloadSource
    layers: tuple[Layer, ...]
    kind: DivergenceKind
    seed: int
    bank: Path
    other_banks: tuple[Path, ...]
    threads: int
    states: Path | None = None
    checkpoints: Path | None = None
    escalation: EscalationSettings = field(default_factory=EscalationSettings)
    float32: tuple[str, ...] = ()
    data: DataOptions = field(default_factory=DataOptions)
    interface: ProgramInterface = PLAIN
    operands: bool = True
    gpus: float = 0


def worker_settings(preparation: Preparation, folder: RunFolder, needs: Needs) -> WorkerSettings:
    """Collect the settings of a prepared experiment's workers."""
    experiment = preparation.experiment
    return WorkerSettings(
        workload=experiment.workload,
        layers=preparation.layers,
        kind=preparation.kind,
        seed=experiment.seed,
        bank=folder.bank.resolve(),
        other_banks=tuple(path.resolve() for path in folder.other_banks),
        threads=max(1, int(needs.cpus)),
        states=folder.states.resolve(),
        checkpoints=folder.checkpoints.resolve(),
        escalation=experiment.escalation,
        float32=experiment.space.float32,
        data=experiment.data.options,
        interface=preparation.interface,
        operands=experiment.space.operands,
        gpus=needs.gpus,
    )
