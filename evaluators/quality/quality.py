"""Quality: divergence and metrics of a module on one split of the workload's data."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from palettune.evaluators.placement import CPU, on, placed
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Rival, Screened, Stage, Workflow
from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.outputs import first_non_finite_module
from palettune.evaluators.workload.workload import Split, Workload

__all__ = ["Quality", "beaten"]


class Quality:
    """Measurement of modules against the float model, whose outputs are computed once.

    For a model with recurrent state, each pass begins from the state of the loaded model.

    Args:
        workload: the user's model and data, already checked.
        kind: the divergence.
        split: the data to measure on.
        energy: for a squared error, the scale computed from other data; by default that of this split.
        device: where the float model runs; a module is measured on the device that it is already on.
    """

    def __init__(
        self,
        workload: Workload,
        kind: DivergenceKind,
        split: Split = Split.EVALUATION,
        energy: Sequence[float] = (),
        device: torch.device = CPU,
    ) -> None:
        self.workload = workload
        self.split = split
        self.device = device
        self._course: Course = workload.sampling.course([batch.inputs for batch in workload.batches(split)])
        with torch.inference_mode():
            outputs = list(self._course.outputs(placed(workload.model, device)))
        self.reference = Reference.of(kind, outputs, workload.sampling.axes).with_energy(energy)
        self.float_metrics = workload.metrics(on(outputs, CPU), split)
        self.groups = workload.groups(split, self.reference.samples)

    def measure(
        self,
        module: nn.Module,
        configuration_hash: str,
        workflow: Workflow,
        rivals: Sequence[Rival] = (),
        screen: int = 0,
        seconds: Mapping[str, float] | None = None,
    ) -> Evaluation | Screened | Failure:
        """Measure a module in one pass over the split; a failure names its stage, and the layer where it is known.

        Args:
            configuration_hash: recorded in the evaluation.
            workflow: recorded in the evaluation.
            rivals: earlier evaluations of configurations that cost no more, for a comparison on the same samples.
            screen: number of samples after which the evaluation ends if a rival is clearly better; 0 never ends it.
            seconds: time spent before, by stage; it is added to the evaluation.
        """
        started = time.perf_counter()
        outputs: list[Any] = []
        values: list[float] = []
        try:
            with torch.inference_mode(), contextlib.closing(self._course.outputs(module)) as passes:
                for index, given in enumerate(passes):
                    outputs.append(on(given, CPU))
                    values += self.reference.by_sample(index, given).tolist()
                    if screen and index + 1 < len(self.reference.batches) and len(values) >= screen:
                        screen = 0  # once: a second look would need a stricter test
                        screened = beaten(values, rivals)
                        if screened is not None:
                            return screened
        except Exception as error:
            return Failure(Stage.FORWARD, f"{type(error).__name__}: {error}")
        if not np.isfinite(values).all():
            with self._course.state.around(module):
                layer = first_non_finite_module(module, self.workload.batches(self.split)[0].inputs)
            return Failure(Stage.FORWARD, "the compressed model's outputs are not finite", layer)
        forwarded = time.perf_counter()
        try:
            metrics = self.workload.metrics(outputs, self.split)
        except Exception as error:
            return Failure(Stage.METRICS, str(error))
        spent = {
            **(seconds or {}),
            Stage.FORWARD.value: forwarded - started,
            Stage.METRICS.value: time.perf_counter() - forwarded,
        }
        mean = max(float(np.mean(values)), 0.0)
        return Evaluation(configuration_hash, workflow, mean, tuple(values), metrics, spent, self.groups)


def beaten(values: Sequence[float], rivals: Sequence[Rival], certainty: float = 2.5) -> Screened | None:
    """Return the rival that is better by the most standard errors, if by more than ``certainty``; else ``None``.

    With fewer than eight samples, or values that are not finite, the result is ``None``."""
    count = len(values)
    best: tuple[float, Screened] | None = None
    for rival in rivals:
        difference = np.asarray(values) - np.asarray(rival.by_sample[:count])
        if not np.isfinite(difference).all() or count < 8:
            return None
        excess, error = float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(count))
        if excess > certainty * error and (best is None or excess / (error + 1e-30) > best[0]):
            best = (excess / (error + 1e-30), Screened(rival.trial, count, excess, error))
    return best[1] if best else None
