import pytest
import torch
from torch import nn

from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.halving import Room, in_halves, with_room
from palettune.evaluators.workload.sample_axes import FIRST, WHOLE, SampleAxes


class _Small:
    """Stands for a device whose memory holds so many samples; counts the sizes that it was asked for."""

    def __init__(self, samples, axis=0):
        self.samples, self.axis, self.asked = samples, axis, []

    def __call__(self, inputs):
        count = inputs[0].shape[self.axis]
        self.asked.append(count)
        if count > self.samples:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory (said by a test)")
        return {"twice": 2 * inputs[0], "count": torch.arange(count), "name": "x"}


@pytest.mark.parametrize("samples", range(1, 9))
def test_a_batch_that_does_not_fit_runs_in_halves_with_the_same_outputs(samples):
    inputs = (torch.randn(7, 3),)
    device, room = _Small(samples), Room()
    outputs = in_halves(device, inputs, FIRST, room)
    assert torch.equal(outputs["twice"], 2 * inputs[0])
    assert outputs["name"] == "x"
    assert room.samples is None if samples >= 7 else room.samples <= samples


def test_what_did_not_fit_once_is_not_tried_again():
    device, room = _Small(2), Room()
    in_halves(device, (torch.randn(8, 3),), FIRST, room)
    device.asked.clear()
    in_halves(device, (torch.randn(8, 3),), FIRST, room)
    assert device.asked == [2, 2, 2, 2]


def test_halves_lie_along_the_axis_of_samples():
    axes = SampleAxes((1,), (1,))
    inputs = (torch.randn(3, 5, 2),)
    device = _Small(2, axis=1)
    found = in_halves(lambda x: 2 * device(x)["twice"], inputs, axes, Room())
    assert torch.equal(found, 4 * inputs[0])


@pytest.mark.parametrize(("axes", "count"), [(FIRST, 1), (WHOLE, 4)])
def test_one_sample_that_does_not_fit_is_an_error(axes, count):
    with pytest.raises(torch.OutOfMemoryError):
        in_halves(_Small(0), (torch.randn(count, 3),), axes, Room())


def test_other_errors_are_not_taken_for_lack_of_memory():
    def broken(_inputs):
        raise RuntimeError("another")

    with pytest.raises(RuntimeError, match="another"):
        in_halves(broken, (torch.randn(4, 3),), FIRST, Room())


def test_work_begins_again_with_half_the_size():
    asked = []

    def run(size):
        asked.append(size)
        if size > 3:
            raise torch.cuda.OutOfMemoryError
        return size

    room = Room()
    assert with_room(run, 16, room) == 2
    assert asked == [16, 8, 4, 2]
    assert with_room(run, 16, room) == 2
    assert asked[4:] == [2]


def test_work_that_does_not_fit_at_all_is_an_error():
    def run(_size):
        raise torch.cuda.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        with_room(run, 4)


class _Network(nn.Module):
    def __init__(self, samples):
        super().__init__()
        self.samples, self.layer, self.asked = samples, nn.Linear(3, 3), []

    def forward(self, x):
        self.asked.append(len(x))
        if len(x) > self.samples:
            raise torch.cuda.OutOfMemoryError
        return self.layer(x)


def test_a_course_halves_the_batches_that_do_not_fit_and_remembers():
    network, inputs = _Network(2), torch.randn(8, 3)
    course = Course.of([(inputs,), (inputs,)])
    outputs = list(course.outputs(network))
    assert network.asked == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert torch.allclose(outputs[1], network.layer(inputs), atol=1e-6)


def test_a_course_that_is_watched_is_not_halved():
    from contextlib import nullcontext

    course = Course.of([(torch.randn(8, 3),)])
    with pytest.raises(torch.OutOfMemoryError):
        list(course.outputs(_Network(2), nullcontext))
