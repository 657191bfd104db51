"""A network of two layers as a whole experiment, prepared within a second."""

from dataclasses import replace
from pathlib import Path

from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.testing.evaluations_contract import NETWORK
from palettune.testing.workloads import write_workload

VALUES = {"space": {"encodings": ["fp16", "lut8", "lut4", "int8"]}, "search": {"solved_trials": 2, "score_samples": 4}}


def small_experiment(workload: object, **changes: object) -> Experiment:
    return Experiment(name="small", workload=workload, **VALUES | changes)


def small_preparation(folder: Path) -> tuple[Preparation, RunFolder]:
    """The experiment of a workload file that is written into ``folder``, and its run folder, which is there."""
    write_workload(folder, NETWORK)
    run = RunFolder(folder / "runs", "small")
    run.create()
    return prepare(small_experiment(folder / "workload.py")), run


def changed(preparation: Preparation, **changes: object) -> Preparation:
    """The same with other keys that change neither the space nor the costs."""
    return replace(preparation, experiment=small_experiment(preparation.experiment.workload, **changes))


def small_worker(preparation: Preparation, run: RunFolder) -> Worker:
    """A worker in this process."""
    return Worker(worker_settings(preparation, run, preparation.experiment.needs))


def uniform(preparation: Preparation, spelling: str) -> Configuration:
    """Every layer in one encoding."""
    return preparation.space.uniform(Encoding.parse(spelling))
