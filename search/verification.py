"""Verification: any package, run by the reference runtime on the evaluation data of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools
import torch
from torch import Tensor

from device_bench.runtime import Program, load
from evaluators.divergence import Reference, detect_kind
from evaluators.divergence_kind import DivergenceKind
from evaluators.outputs import flatten
from evaluators.sample_axes import FIRST, SampleAxes
from evaluators.samples import Inputs, one_by_one
from evaluators.workload import Batch, Split, Workload, load_workload
from search.experiment import Experiment
from space.errors import UserError

__all__ = ["Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """What a package gives on the evaluation data.

    Attributes:
        divergence: from the float model.
        claimed: the divergence that the package's own metadata record; ``None`` where they have none.
    """

    divergence: float
    metrics: Mapping[str, float]
    samples: int
    claimed: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "divergence": self.divergence,
            "claimed_divergence": self.claimed,
            "metrics": dict(self.metrics),
            "samples": self.samples,
        }


def verify(package: Path, experiment: Experiment) -> Verification:
    """Run a package on the evaluation data, batch by batch.

    Raises:
        UserError: if it is no package, or does not fit the workload's inputs and outputs.
    """
    if not package.is_dir():
        raise UserError(f"{package}: no such package; expected the path of an .mlpackage folder")
    program = load(package)
    workload = load_workload(experiment.workload, experiment.data.options)
    first = workload.check()
    batches = workload.batches(Split.EVALUATION)
    asked = experiment.objectives.divergence
    kind = detect_kind(first, batches[0].targets) if asked == "auto" else DivergenceKind(asked)
    with torch.inference_mode():
        sampling = workload.sampling
        floats = sampling.course([batch.inputs for batch in batches]).outputs(workload.model)
        reference = Reference.of(kind, list(floats), sampling.axes)
        outputs, state = [], program.new_state()
        for position, batch in enumerate(batches):
            if sampling.begin(position) == position:
                state = program.new_state()
            outputs.append(_run(program, batch, first, package, state, sampling.axes))
        by_sample = torch.cat([reference.by_sample(i, output) for i, output in enumerate(outputs)])
    if not bool(torch.isfinite(by_sample).all()):
        raise UserError(f"{package}: gives outputs that are not finite on the evaluation data")
    claimed = _metadata(package).get("palettune.divergence") or None
    return Verification(
        max(float(by_sample.mean()), 0.0),
        _metrics(workload, outputs),
        len(by_sample),
        float(claimed) if claimed else None,
    )


def _run(program: Program, batch: Batch, like: Any, package: Path, state: dict[str, Tensor], axes: SampleAxes) -> Any:
    """The package's outputs in the structure of the torch model's."""
    names = list(program.inputs)
    if len(batch.inputs) > len(names):
        raise UserError(
            f"{package}: takes {len(names)} inputs ({', '.join(names)}), the workload gives {len(batch.inputs)}; "
            "is it a package of this model?"
        )

    def run(inputs: Inputs) -> dict[str, Tensor]:
        return program.run_tensors(dict(zip(names, inputs, strict=False)), state=state)

    values = one_by_one(run, batch.inputs, axes)
    if isinstance(like, Mapping) and set(like) == set(values):
        values = {name: values[name] for name in like}
    found, wanted = list(values.values()), flatten(like)
    if len(found) != len(wanted):
        raise UserError(
            f"{package}: gives {len(found)} outputs, the workload's model {len(wanted)}; is it a package of it?"
        )
    for value, (name, expected) in zip(found, wanted, strict=True):
        if axes == FIRST and value.shape[1:] != expected.shape[1:]:
            raise UserError(
                f"{package}: {name} has shape {tuple(value.shape[1:])} a sample, the workload's model gives "
                f"{tuple(expected.shape[1:])}; is it a package of it?"
            )
    if isinstance(like, torch.Tensor):
        return found[0]
    if isinstance(like, Mapping):
        return dict(zip(like, found, strict=True))
    return tuple(found)


def _metrics(workload: Workload, outputs: list[Any]) -> Mapping[str, float]:
    return workload.metrics(outputs)


def _metadata(package: Path) -> Mapping[str, str]:
    spec = coremltools.utils.load_spec(str(package))
    return dict(spec.description.metadata.userDefined)
