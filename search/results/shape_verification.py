"""Verification of a package of flexible inputs at its smallest, its largest and a middle shape.

At each the package runs beside the float model. How far it is from the model depends on its encodings; at no shape may
it be much farther than at that of the example.
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor, nn

from palettune.device_bench.interface.shape_points import in_words
from palettune.device_bench.proof.image_inputs import ToInputs
from palettune.device_bench.proof.shape_check import shaped_examples
from palettune.device_bench.runtime import ExecutionError, Precisions, ProgramError, as_stored
from palettune.device_bench.runtime.comparison import SAMPLE_SLACK_DB, THRESHOLD_DB, Comparison, compare_all
from palettune.device_bench.runtime.execution import takes

__all__ = ["shape_problems"]

Inputs = tuple[Tensor, ...]


def shape_problems(
    programs: Precisions, model: nn.Module, example: Inputs, to_inputs: ToInputs | None = None
) -> list[str]:
    """Return what is wrong with a package at some of the shapes that it takes, in words.

    Args:
        programs: the package, loaded.
        model: the float model.
        example: its example inputs; of other shapes their elements are repeated or cut.
        to_inputs: makes the package's inputs from those of the model, where they are not the same.
    """
    samples = shaped_examples(programs.float32.inputs, example)
    if not samples:
        return []
    usual = _compared(programs, model, example, to_inputs) if takes(programs.float32, example) else []
    reached = usual[0].snr_db if usual and not isinstance(usual[0], str) else THRESHOLD_DB
    needed = min(reached, THRESHOLD_DB) - SAMPLE_SLACK_DB
    names, problems = list(programs.float32.inputs), []
    for sample in samples:
        words = in_words(names, [tuple(value.shape) for value in sample])
        for found in _compared(programs, model, sample, to_inputs):
            problem = _problem(found, needed, reached)
            problems += [f"at {words} {problem}"] if problem else []
    return problems


def _problem(found: Comparison | str, needed: float, reached: float) -> str | None:
    if isinstance(found, str):
        return found
    if not found.finite:
        return "its outputs are not finite, where the model's are"
    if found.snr_db < needed:
        return (
            f"its outputs are {found.snr_db:.0f} dB from the model's, and {reached:.0f} dB at the shape of the example"
        )
    return None


def _compared(
    programs: Precisions, model: nn.Module, sample: Inputs, to_inputs: ToInputs | None
) -> list[Comparison | str]:
    """The package in each of its precisions beside the model; why not, where one of both fails."""
    asked = {program: -inf for program in (programs.float32, programs.fp16) if program is not None}
    try:
        with torch.no_grad():
            return [*compare_all(asked, as_stored(model), [sample], to_inputs=to_inputs)]
    except (ProgramError, ExecutionError) as error:
        return [f"it fails: {error}"]
    except Exception as error:  # whatever the user's model raises
        return [f"the model fails: {type(error).__name__}: {error}"]
