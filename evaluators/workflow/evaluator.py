"""The contract of a workflow: from a configuration to a measured model state.

``palettune.testing.workflow_contract`` tests an implementation against it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from palettune.evaluators.placement import CPU
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.model_state import ModelState
from palettune.evaluators.workflow.requirement import Requirement, unmet
from palettune.evaluators.workload.workload import Workload
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["WorkflowError", "WorkflowEvaluator", "WorkflowResult", "WorkflowSetting", "check_start"]


class WorkflowError(UserError):
    """A workload that lacks what a workflow needs, or a start with other encodings than the configuration."""


@dataclass(frozen=True)
class WorkflowResult:
    """The result of a workflow for one configuration.

    Attributes:
        evaluation: measured on the evaluation data, under this workflow.
        state: everything in which the model differs from the float one.
        gains: the gain of each method tried, kept or not, in the order they were tried.
        notes: warnings for the user.
    """

    evaluation: Evaluation
    state: ModelState
    gains: tuple[Gain, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkflowSetting:
    """The inputs that every workflow is constructed from.

    Attributes:
        workload: the user's model and data, already checked.
        weights: the data-free compressed weights of its layers, and the bank they lie in.
        kind: the divergence that is measured.
        seed: of the workflow's random numbers.
        folder: of checkpoints, from which an interrupted run continues; ``None`` writes none.
        device: where models run; the results are on the CPU.
    """

    workload: Workload
    weights: LayerWeights
    kind: DivergenceKind
    seed: int = 0
    folder: Path | None = None
    device: torch.device = CPU


class WorkflowEvaluator(ABC):
    """One way to find the weights for a configuration and to measure them on the evaluation data.

    Every implementation leaves the float model unchanged; returns the same state for the same configuration, start,
    data and seed; reads evaluation data only to measure; returns a ``Failure`` with stage and layer where something
    cannot be computed; and raises ``UserError`` for what the user can mend.

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
        """The workflow's settings and data, for ``evaluation_identity``: equal identities give equal results."""
        return {"workflow": self.name, "seed": self.setting.seed}

    @classmethod
    def missing(cls, workload: Workload) -> str | None:
        """Say what the workload lacks for this workflow; ``None`` where the workflow can run."""
        state = workload.sampling.state
        if Requirement.GRADIENTS in cls.requirements and state.recurrent:
            return (
                f"{workload.path}: the workflow {cls.name!r} trains on items in any order, and the model carries state "
                f"from one item to the next ({', '.join(state.names[:3])}); use calibration for this model"
            )
        for requirement in sorted(cls.requirements):
            lacking = unmet(requirement, workload)
            if lacking is not None:
                return f"{workload.path}: the workflow {cls.name!r} needs {lacking}"
        return None

    @abstractmethod
    def evaluate(self, configuration: Configuration, start: WorkflowResult | None = None) -> WorkflowResult | Failure:
        """Find weights for a configuration and measure them.

        Args:
            configuration: the encoding and the activation precision of each layer.
            start: a result of the same encodings to continue from; the data-free state unless given.

        Raises:
            WorkflowError: ``start`` has other encodings.
        """


def check_start(configuration: Configuration, start: WorkflowResult | None) -> None:
    """Raise WorkflowError unless ``start`` has this configuration's encodings; activations may differ."""
    if start is not None and start.state.configuration.encodings != configuration.encodings:
        raise WorkflowError(
            f"configuration {configuration.hash} cannot start from a result of {start.state.configuration.hash}: "
            "their encodings differ; pass a result of the same encodings, or none"
        )
