"""Whether the converted program computes what the model does, asked before anything is searched.

A program that was traced is the course of the example inputs alone. Where the model's course depends on its data, it
goes another way for other inputs, and every package of every configuration would be wrong for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.front_end import FrontEnd
from palettune.device_bench.interface.shape_points import in_words
from palettune.device_bench.model.shared_copy import shared_copy
from palettune.device_bench.proof.image_inputs import ToInputs
from palettune.device_bench.proof.shape_check import shaped_examples
from palettune.device_bench.runtime import ExecutionError, Program, ProgramError, as_stored, compare
from palettune.device_bench.runtime.comparison import THRESHOLD_DB, Comparison
from palettune.device_bench.runtime.execution import takes, within
from palettune.device_bench.runtime.own_noise import allowing_own_noise
from palettune.device_bench.runtime.signal import signal_to_noise
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.samples import SpreadSamples, spread_samples
from palettune.evaluators.workload.workload import Split
from palettune.search.preparation.preparation import Preparation
from palettune.space.errors import UserError

__all__ = [
    "ProgramCheckError",
    "check_at_shapes",
    "check_course",
    "check_frozen",
    "check_program",
    "program_samples",
]

SAMPLES, _SECONDS = 16, 60.0
_EVERY = 10**9


class ProgramCheckError(UserError):
    """A model that its own converted program does not compute; names the lines that were frozen."""


def check_frozen(preparation: Preparation) -> None:
    """Run the float model beside its trace, without any conversion, on all of the evaluation data, if values were frozen.

    Raises:
        ProgramCheckError: they differ on some sample.
    """
    if not preparation.base.front_end.frozen_text:
        return
    workload = preparation.workload
    shapes = [value.shape for value in workload.example_inputs]
    batches = workload.batches(Split.EVALUATION)
    every = spread_samples(
        batches, _EVERY, lambda sample: [value.shape for value in sample] == shapes, workload.sampling
    )
    check_course(workload.model, workload.example_inputs, every, preparation.base.front_end)


def check_course(
    model: nn.Module, example_inputs: tuple[Tensor, ...], spread: SpreadSamples, front_end: FrontEnd
) -> None:
    """Run the float model beside its trace of the example, as far as a minute goes.

    Raises:
        ProgramCheckError: they differ on some sample, or the trace fails on it.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_FloatingOutputs(model), example_inputs, check_trace=False)  # type: ignore[no-untyped-call]
        plain = _FloatingOutputs(model)
        run = differing = 0
        for sample in within(spread.samples, _SECONDS):
            run += 1
            differing += not _same(traced, plain, sample)
    if differing:
        raise ProgramCheckError(_message(f"it goes another way on {differing} of {run} evaluation samples", front_end))


class _FloatingOutputs(nn.Module):
    """A module whose floating-point outputs come as one tuple; with buffers of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = shared_copy(model, {id(buffer): buffer.clone() for buffer in model.buffers()})

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(value for _, value in floating_outputs(self.model(*inputs)))


def _same(traced: Any, plain: nn.Module, sample: Sequence[Tensor]) -> bool:
    wanted = plain(*sample)
    try:
        given = traced(*sample)
    except RuntimeError:  # a size that was frozen
        return False
    return len(given) == len(wanted) and all(
        value.shape == expected.shape and signal_to_noise(value, expected) >= THRESHOLD_DB
        for value, expected in zip(given, wanted, strict=True)
    )


def program_samples(preparation: Preparation, program: Program) -> SpreadSamples:
    """Draw samples from all over the evaluation data, of shapes that a program takes."""
    batches = preparation.workload.batches(Split.EVALUATION)
    return spread_samples(batches, SAMPLES, lambda sample: takes(program, sample), preparation.workload.sampling)


def check_at_shapes(
    program: Program,
    model: nn.Module,
    example: tuple[Tensor, ...],
    front_end: FrontEnd,
    to_inputs: ToInputs | None = None,
) -> None:
    """Run the float model and its program, in float32, at several of the shapes that the program takes, if it is flexible.

    Raises:
        ProgramCheckError: they differ at some shape; names it, and the lines where sizes were frozen.
    """
    for sample in shaped_examples(program.inputs, example):
        words = in_words(list(program.inputs), [tuple(value.shape) for value in sample])
        try:
            check_program(program, model, SpreadSamples((sample,), 1, 1), front_end, to_inputs)
        except ProgramCheckError as error:
            sizes = front_end.sizes_text
            taken = f" The program holds one course alone: {sizes}." if sizes else ""
            raise ProgramCheckError(
                f"[inputs] allows {words}, and there {error}.{taken} Write forward() so that all sizes go one way (x.shape, "
                "reshape(..., -1), a mask), or declare the sizes of one course alone"
            ) from error


def check_program(
    program: Program,
    model: nn.Module,
    spread: SpreadSamples,
    front_end: FrontEnd,
    to_inputs: ToInputs | None = None,
) -> Comparison | None:
    """Run the float model and its program, in float32, on the same samples.

    Args:
        to_inputs: makes the program's inputs from a sample, where they are not the same.

    Returns:
        What was found, where they agree, or where the program's outputs are not finite, which is a matter of precision;
        None where no sample fits.

    Raises:
        ProgramCheckError: they differ on some sample.
    """
    if not spread.samples:
        return None
    stored = as_stored(model)
    try:
        comparison = compare(program, stored, within(spread.samples, _SECONDS), to_inputs=to_inputs)
    except (ProgramError, ExecutionError) as error:
        raise ProgramCheckError(_message(str(error), front_end)) from error
    if not comparison.finite or (comparison.passed and comparison.worst_sample_db >= THRESHOLD_DB):
        return comparison
    allowed = allowing_own_noise(comparison, stored, spread.samples)
    if allowed.passed and allowed.threshold_db < THRESHOLD_DB:
        return allowed
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
