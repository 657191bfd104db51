"""Workload: Basic Pitch, which hears notes in sound, from nothing but its Core ML package.

Spotify's network (Bittner et al., ICASSP 2022, https://arxiv.org/abs/2203.09893) as its own PyPI package ships it.
"""

import importlib.util
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import torch
from notes import windows
from torch import Tensor

BATCH = 8
NOTES = "Identity_1"  # the output that says which notes sound; Identity is the pitch contour, Identity_2 the onsets

Batch = tuple[tuple[Tensor, ...], Tensor | None]


def model() -> Path:
    """The ``.mlpackage``: sound (1, 43844, 1) to contour (1, 172, 264), notes and onsets (1, 172, 88)."""
    return saved_models() / "nmp.mlpackage"


def saved_models() -> Path:
    """The folder of the package `basic-pitch` that holds one network in several formats; nothing of it is imported."""
    found = importlib.util.find_spec("basic_pitch")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            "basic-pitch is not installed; its dependencies are not needed: pip install --no-deps basic-pitch==0.4.0"
        )
    return Path(found.submodule_search_locations[0]) / "saved_models" / "icassp_2022"


def example_inputs() -> tuple[Tensor, ...]:
    """One window of the evaluation data, (1, 43844, 1)."""
    return (_sound("evaluation")[0][:1],)


def evaluation_data() -> Iterator[Batch]:
    """Windows and, as targets, the notes that were synthesised, (N, 172, 88)."""
    return _batches("evaluation")


def calibration_data() -> Iterator[Batch]:
    """Other windows, without targets."""
    return ((inputs, None) for inputs, _ in _batches("calibration"))


def confirmation_data() -> Iterator[Batch]:
    """As the evaluation data, from windows that no search sees."""
    return _batches("confirmation")


def metrics(outputs: Mapping[str, Tensor], targets: Tensor) -> dict[str, float]:
    """F-measure of the notes heard in each frame, by the threshold of 0.3 that the network's authors use."""
    heard, sounding = outputs[NOTES] > 0.3, targets > 0.5
    right = (heard & sounding).sum().item()
    return {"frame_f1": 2 * right / max(1, heard.sum().item() + sounding.sum().item())}


def _batches(split: str) -> Iterator[Batch]:
    sound, notes = _sound(split)
    return (((part,), target) for part, target in zip(sound.split(BATCH), notes.split(BATCH), strict=True))


@cache
def _sound(split: str) -> tuple[Tensor, Tensor]:
    sound, notes = windows(split)
    return torch.from_numpy(sound), torch.from_numpy(notes)
