"""Whether the converted program computes what the model does, asked before anything is searched.

A program that was traced is the course of the example inputs alone. Where the model's course depends on its data, it
goes another way for other inputs, and every package of every configuration would be wrong for them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import nn

from device_bench.conversion import converted, unhindered
from device_bench.front_end import FrontEnd
from device_bench.runtime import ExecutionError, Program, ProgramError, as_stored, compare, load
from device_bench.runtime.comparison import THRESHOLD_DB, Comparison
from device_bench.runtime.execution import takes, within
from evaluators.samples import SpreadSamples, spread_samples
from evaluators.workload import Split
from search.preparation import Preparation
from space.errors import UserError

__all__ = ["ProgramCheckError", "check_program", "check_traced_program", "program_samples"]

SAMPLES, _SECONDS = 16, 60.0


class ProgramCheckError(UserError):
    """A model that its own converted program does not compute; names the lines that were frozen."""


def check_traced_program(preparation: Preparation) -> None:
    """Convert the float model and run it beside its program, if tracing was needed; else there is nothing to do.

    Raises:
        ProgramCheckError: they differ on some sample.
    """
    if not preparation.base.front_end.traced:
        return
    workload = preparation.workload
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.mlpackage"
        with unhindered():
            conversion = converted(workload.model, workload.example_inputs, preparation.experiment.deployment_target)
            conversion.model.save(str(path))
        program = load(path)
        check_program(program, workload.model, program_samples(preparation, program), conversion.front_end)


def program_samples(preparation: Preparation, program: Program) -> SpreadSamples:
    """Samples from all over the evaluation data that a program takes."""
    batches = preparation.workload.batches(Split.EVALUATION)
    return spread_samples(batches, SAMPLES, lambda sample: takes(program, sample))


def check_program(program: Program, model: nn.Module, spread: SpreadSamples, front_end: FrontEnd) -> Comparison | None:
    """Run the float model and its program, in float32, on the same samples.

    Returns:
        What was found, where they agree, or where the program's outputs are not finite, which is a matter of precision;
        None where no sample fits.

    Raises:
        ProgramCheckError: they differ on some sample.
    """
    if not spread.samples:
        return None
    try:
        comparison = compare(program, as_stored(model), within(spread.samples, _SECONDS))
    except (ProgramError, ExecutionError) as error:
        raise ProgramCheckError(_message(str(error), front_end)) from error
    if not comparison.finite or (comparison.passed and comparison.worst_sample_db >= THRESHOLD_DB):
        return comparison
    worst = min(comparison.worst_sample_db, comparison.snr_db)
    found = f"{worst:.1f} dB on the worst of {comparison.samples} evaluation samples, {THRESHOLD_DB:g} dB are needed"
    raise ProgramCheckError(_message(found, front_end))


def _message(found: str, front_end: FrontEnd) -> str:
    text = f"the converted program does not compute what model() does: {found}. "
    if front_end.frozen_text:
        return (
            f"{text}Python takes values out of tensors there, and the program keeps those of example_inputs(): "
            f"{front_end.frozen_text}. Write it with tensors (torch.where, a mask, torch.clamp), so that one program holds "
            f"every course, or split the model; torch.export failed: {front_end.refusal}"
        )
    if front_end.traced:
        return f"{text}It was converted by torch.jit.trace because torch.export failed: {front_end.refusal}"
    return f"{text}Rewrite what the converter gets wrong; example_inputs() alone decide the program's shapes and course"
