"""Evaluations: measured results of configurations under a workflow, and failures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

__all__ = ["Evaluation", "Failure", "Rival", "Screened", "Stage", "Workflow", "evaluation_identity"]


_WORKER, _WORKER_LOST = "worker", "the worker was lost"


class Workflow(str):
    """Name of a workflow by which the weights for a configuration are found: ``data_free``, or that of a rung."""

    __slots__ = ()

    DATA_FREE: ClassVar[Workflow]


Workflow.DATA_FREE = Workflow("data_free")


class Stage(StrEnum):
    """Stage of an evaluation, for its times and failures."""

    WORKLOAD = "workload"
    COMPRESS = "compress"
    ASSEMBLE = "assemble"
    CALIBRATE = "calibrate"
    TRAIN = "train"
    FORWARD = "forward"
    METRICS = "metrics"
    RAISED = "raised"
    """An exception in the worker: the same evaluation raises again."""
    LOST = "lost"
    """The worker itself was lost, with its process or its machine: the same evaluation may succeed elsewhere."""


@dataclass(frozen=True)
class Evaluation:
    """Measured result of one configuration under one workflow.

    Attributes:
        divergence: mean over the samples of the evaluation data.
        by_sample: divergence of each sample, in the data's order.
        metrics: the workload's metrics by name.
        seconds: time spent, by stage.
        groups: number of each sample's source, where samples come from fewer sources: those of one source are alike.
    """

    configuration_hash: str
    workflow: Workflow
    divergence: float
    by_sample: tuple[float, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    groups: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values, without the groups, which are those of its data."""
        values = asdict(self) | {"workflow": str(self.workflow), "by_sample": list(self.by_sample)}
        del values["groups"]
        return values

    def grouped(self, groups: Sequence[int]) -> Evaluation:
        """Return the evaluation with the groups of its samples; as it is where they are not as many."""
        return replace(self, groups=tuple(groups)) if len(groups) == len(self.by_sample) else self

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Evaluation:
        """Build an evaluation from the values of ``to_json``."""
        known = dict(values) | {
            "workflow": Workflow(values["workflow"]),
            "by_sample": tuple(float(value) for value in values["by_sample"]),
        }
        return cls(**known)


@dataclass(frozen=True)
class Failure:
    """Failure of an evaluation: its stage, the layer where it is known, and the reason."""

    stage: Stage
    reason: str
    layer: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for a journal."""
        return {"stage": self.stage.value, "reason": self.reason, "layer": self.layer}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Failure:
        """Read what ``to_json`` wrote; an old ``worker`` becomes ``lost`` or ``raised``, by its reason."""
        stage, reason = values["stage"], values["reason"]
        if stage == _WORKER:
            stage = Stage.LOST if reason.startswith(_WORKER_LOST) else Stage.RAISED
        return cls(Stage(stage), reason, values["layer"])

    def __str__(self) -> str:
        where = f", layer {self.layer!r}" if self.layer else ""
        return f"{self.stage.value}{where}: {self.reason}"


@dataclass(frozen=True)
class Rival:
    """Earlier trial whose configuration costs no more, with its divergence on each sample."""

    trial: int
    by_sample: tuple[float, ...]


@dataclass(frozen=True)
class Screened:
    """Evaluation that was ended early, because it is clearly worse than a trial that costs no more.

    Attributes:
        rival: number of that trial.
        samples: number of samples compared.
        excess: mean paired difference of the divergence, this evaluation minus the rival.
        error: standard error of that difference.
    """

    rival: int
    samples: int
    excess: float
    error: float

    def __str__(self) -> str:
        return (
            f"screened out: on {self.samples} samples its divergence is {self.excess:.3g} (+- {self.error:.2g}) above "
            f"that of trial {self.rival}, which costs no more"
        )


def evaluation_identity(**parts: Any) -> str:
    """Hash everything that determines an evaluation (model, configuration, workflow, data, seed, versions)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]
