"""The contract of a workflow: from a configuration to a measured model state."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import torch

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.evaluators.sensitivity.gradients import NO_GRADIENT
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.model_state import ModelState
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.placement import CPU
from palettune.evaluators.workload.workload import Split, Workload
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = [
    "Outcome",
    "Requirement",
    "WorkflowError",
    "WorkflowEvaluator",
    "WorkflowSetting",
    "check_start",
]


class WorkflowError(UserError):
    """A workflow that the workload does not allow, or that was given what does not belong together."""


class Requirement(StrEnum):
    """What a workflow may need of the workload."""

    CALIBRATION_DATA = "calibration_data"
    TRAINING_DATA = "training_data"
    LOSS = "loss"
    GRADIENTS = "gradients"


@dataclass(frozen=True)
class Outcome:
    """What a workflow made of a configuration.

    Attributes:
        evaluation: measured on the evaluation data, under this workflow.
        state: everything in which the model differs from the float one.
        gains: what each method brought, kept or not, in the order they were tried.
        notes: warnings for the user, in words.
    """

    evaluation: Evaluation
    state: ModelState
    gains: tuple[Gain, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkflowSetting:
    """What every workflow is given.

    Attributes:
        workload: the user's model and data, already checked.
        weights: the data-free compressed weights of its layers, and the bank they lie in.
        kind: the divergence taken.
        seed: of a workflow's random numbers.
        folder: for checkpoints that a killed run goes on from; ``None`` keeps none.
        device: what models are run on; what comes of it is on the CPU.
    """

    workload: Workload
    weights: LayerWeights
    kind: DivergenceKind
    seed: int = 0
    folder: Path | None = None
    device: torch.device = CPU


class WorkflowEvaluator(ABC):
    """Finds the weights for a configuration in one way, and measures them on the evaluation data.

    Every implementation: leaves the float model as it is; gives the same state for the same configuration, start,
    data and seed; never looks at evaluation data before it measures; returns a ``Failure`` with stage and layer where
    something cannot be computed, and raises ``UserError`` for what the user can mend.

    Raises:
        WorkflowError: the workload lacks what the workflow needs.
    """

    name: ClassVar[str]
    workflow: ClassVar[Workflow]
    requirements: ClassVar[frozenset[Requirement]] = frozenset()

    def __init__(self, setting: WorkflowSetting) -> None:
        lacking = self.missing(setting.workload)
        if lacking is not None:
            raise WorkflowError(lacking)
        self.setting = setting

    @property
    def identity(self) -> Mapping[str, Any]:
        """The workflow's own settings and data, for ``evaluation_identity``: equal ones give equal outcomes."""
        return {"workflow": self.name, "seed": self.setting.seed}

    @classmethod
    def missing(cls, workload: Workload) -> str | None:
        """What the workload lacks, in words; ``None`` where the workflow can run."""
        state = workload.sampling.state
        if Requirement.GRADIENTS in cls.requirements and state.recurrent:
            return (
                f"{workload.path}: the workflow {cls.name!r} trains on items in any order, and the model carries state "
                f"from one to the next ({', '.join(state.names[:3])}): it can be calibrated, not trained"
            )
        for requirement in sorted(cls.requirements):
            lacking = _lacking(requirement, workload)
            if lacking is not None:
                return f"{workload.path}: the workflow {cls.name!r} needs {lacking}"
        return None

    @abstractmethod
    def evaluate(self, configuration: Configuration, start: Outcome | None = None) -> Outcome | Failure:
        """Find weights for a configuration and measure them.

        Args:
            configuration: what each layer becomes.
            start: an outcome of the same encodings to go on from; the data-free state unless given.

        Raises:
            WorkflowError: ``start`` has other encodings.
        """


def check_start(configuration: Configuration, start: Outcome | None) -> None:
    """Raise WorkflowError unless ``start`` has this configuration's encodings; activations may differ."""
    if start is not None and start.state.configuration.encodings != configuration.encodings:
        raise WorkflowError(
            f"configuration {configuration.hash} cannot start from an outcome of {start.state.configuration.hash}"
        )


def _lacking(requirement: Requirement, workload: Workload) -> str | None:
    if requirement is not Requirement.GRADIENTS:
        return None if workload.offers(requirement.value) else f"the function {requirement.value}(); define it"
    lacking = _lacking_gradients(workload)
    return None if lacking is None else f"a model with gradients, and {lacking}"


def _lacking_gradients(workload: Workload) -> str | None:
    """Why no output has a gradient with respect to any parameter, tried on one batch; ``None`` where one has."""
    model = copy.deepcopy(workload.model)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    try:
        with torch.enable_grad():
            outputs = floating_outputs(model(*workload.batches(Split.EVALUATION)[0].inputs))
            reached = [value.float().sum() for _, value in outputs if value.requires_grad]
            if not reached:
                return f"no gradient reaches any parameter: {NO_GRADIENT}"
            torch.stack(reached).sum().backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return f"torch refuses its gradients: {str(error).strip().splitlines()[0]}"
    return None
