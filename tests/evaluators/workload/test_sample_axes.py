"""Batches are taken apart into samples and joined again."""

import torch

from palettune.evaluators.workload.sample_axes import FIRST, WHOLE, SampleAxes


def test_samples_along_any_axes_are_taken_apart_and_joined_again():
    axes = SampleAxes((1, None, 0), (1,))
    batch = (torch.randn(5, 3, 2), torch.randn(4), torch.arange(3))
    assert axes.count(batch) == 3
    samples = axes.split(batch)
    assert [tuple(value.shape) for value in samples[0]] == [(5, 1, 2), (4,), (1,)]
    assert all(axes.fit_together(samples[0], other) for other in samples)
    assert all(torch.equal(one, other) for one, other in zip(axes.join(samples), batch, strict=True))
    other = (samples[0][0], torch.zeros(4), samples[0][2])
    assert not axes.fit_together(samples[0], other)  # what samples share differs


def test_inputs_that_do_not_agree_and_whole_batches_stay_together():
    odd = (torch.zeros(3, 2), torch.zeros(2))
    assert FIRST.count(odd) is None
    assert FIRST.split(odd) == [odd]
    batch = (torch.zeros(3, 2),)
    assert WHOLE.split(batch) == [batch]
    assert WHOLE.rows(batch[0], 0).shape == (1, 3, 2)


def test_rows_of_an_output_are_its_samples():
    axes = SampleAxes((1,), (1, None))
    output = torch.randn(5, 3, 2)
    assert torch.equal(axes.rows(output, 0), output.movedim(1, 0))
    assert axes.rows(output, 1).shape == (1, 5, 3, 2)
    assert axes.together(list(output.split(1, 1)), 0).shape == output.shape


def test_they_say_where_samples_lie():
    assert str(FIRST) == "samples lie along the first axis"
    assert str(WHOLE) == "each item of the data is one sample"
    assert str(SampleAxes((1, None))) == "samples lie along: input 0 axis 1, input 1 shared by all"
