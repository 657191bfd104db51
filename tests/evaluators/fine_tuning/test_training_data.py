"""Training data: held-out samples, repeats and changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palettune.evaluators.fine_tuning.training_data import TrainingData, TrainingDataError, batch_samples
from palettune.evaluators.workload.sample_axes import WHOLE, SampleAxes
from palettune.evaluators.workload.workload import Batch
from palettune.testing.workloads import CONVOLUTIONS, setting_of, write_workload
from tests.evaluators.fine_tuning.tuned import tuned


def test_too_little_data_is_said(tmp_path: Path) -> None:
    few = CONVOLUTIONS + "\ndef training_data():\n    yield from _data(4, 1)\n"
    with pytest.raises(TrainingDataError, match="gives 8 samples in 1 batches"):
        tuned(setting_of(tmp_path, few))


@pytest.mark.slow
def test_data_that_repeat_or_change_are_warned_of(tmp_path: Path) -> None:
    repeating = CONVOLUTIONS + "\ndef training_data():\n    yield from _data(1, 2)\n    yield from _data(4, 2)\n"
    assert any("repeats 16 samples" in words for words in tuned(setting_of(tmp_path / "a", repeating)).notes)
    changing = (
        CONVOLUTIONS
        + "\npasses = []\ndef training_data():\n    passes.append(1)\n    yield from _data(4 + len(passes), 4)\n"
    )
    assert any("other batches in each pass" in words for words in tuned(setting_of(tmp_path / "b", changing)).notes)
    assert not tuned(setting_of(tmp_path / "c")).notes


def test_held_out_batches_are_never_in_the_stream(tmp_path: Path) -> None:
    data = TrainingData(write_workload(tmp_path, "convolutions"), held_out=8)
    assert [len(batch.inputs[0]) for batch in data.held_out] == [8]
    stream = data.stream()
    first_pass = [next(stream) for _ in range(3)]
    again = [next(stream) for _ in range(3)]
    held = data.held_out[0].inputs[0]
    assert not any(torch.equal(held, batch.inputs[0]) for batch in first_pass)
    assert all(torch.equal(a.inputs[0], b.inputs[0]) for a, b in zip(first_pass, again, strict=True))
    assert torch.equal(next(data.stream(skip=2)).inputs[0], first_pass[2].inputs[0])
    assert data.notes == []


def test_samples_of_a_batch_are_counted_along_their_axis() -> None:
    batch = Batch((torch.zeros(5, 3), torch.zeros(3)), None)
    assert batch_samples(batch, SampleAxes((1, 0))) == 3
    assert batch_samples(batch, SampleAxes((None, 0))) == 3
    assert batch_samples(batch, WHOLE) == 1
