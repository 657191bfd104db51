"""Checks of what a command is given, before anything is imported that takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from palettune.evaluators.workload.workload_object import require_workload_file

if TYPE_CHECKING:
    from palettune.search.experiment.experiment import Experiment

__all__ = ["checked_experiment"]


def checked_experiment(path: Path) -> Experiment:
    """Read an experiment file, and see that its workload file is there.

    Raises:
        UserError: naming the file or the key.
    """
    from palettune.search.experiment.experiment import Experiment  # loads pydantic, of which completion needs none

    experiment = Experiment.load(path)
    if isinstance(experiment.workload, Path):
        require_workload_file(experiment.workload)
    return experiment
