"""How calibration data are split, and what is said of data that will not do."""

import pytest
import torch

from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.workload.samples import joined
from palettune.evaluators.workload.workload import WorkloadError
from palettune.testing.workloads import CONVOLUTIONS, write_workload


def test_every_fourth_sample_is_held_out_and_none_is_in_both(tmp_path):
    samples = calibration_samples(write_workload(tmp_path, "convolutions"))
    assert (len(samples.fit), len(samples.held_out)) == (24, 8)
    fit = torch.cat([sample[0] for sample in samples.fit])
    assert all(not (sample[0] == fit).flatten(1).all(1).any() for sample in samples.held_out)
    assert samples.notes == ()


def test_too_few_samples_are_an_error_and_few_ones_a_note(tmp_path):
    few = CONVOLUTIONS + "\ndef calibration_data():\n    return _data(2, 1, batch={})\n"
    with pytest.raises(WorkloadError, match=r"calibration_data\(\) gives 7 sample.*at least 8"):
        calibration_samples(write_workload(tmp_path / "7", few.format(7)))
    samples = calibration_samples(write_workload(tmp_path / "8", few.format(8)))
    assert "gives 8 samples" in samples.notes[0]


def test_samples_that_repeat_evaluation_data_are_counted(tmp_path):
    text = CONVOLUTIONS + "\ndef calibration_data():\n    yield from _data(1, 1)\n    yield from _data(2, 3)\n"
    samples = calibration_samples(write_workload(tmp_path, text))
    assert "8 of 32 samples of calibration_data() are evaluation samples" in samples.notes[0]


def test_samples_of_other_shapes_only_judge(tmp_path):
    text = CONVOLUTIONS + (
        "\ndef calibration_data():\n"
        "    for i, side in enumerate([10, 10, 10, 10, 10, 12, 12, 12, 10, 10]):\n"
        "        yield (torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(i)),), None\n"
    )
    samples = calibration_samples(write_workload(tmp_path, text))
    assert {sample[0].shape[-1] for sample in samples.fit} == {10}
    assert {sample[0].shape[-1] for sample in samples.held_out} == {10, 12}
    batches = joined(samples.held_out, 3)
    assert torch.equal(
        torch.cat([b[0].flatten() for b in batches]), torch.cat([s[0].flatten() for s in samples.held_out])
    )
    assert max(len(batch[0]) for batch in batches) <= 3
