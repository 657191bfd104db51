"""A course runs its items in order, from the state that each is to begin with."""

import pytest
import torch
from torch import nn

from palettune.evaluators.workload.course import Course, ForwardStep, watched
from palettune.evaluators.workload.sampling import Sampling
from tests.evaluators.counting import Counting, state_of

ITEMS = [(torch.full((1,), float(i)),) for i in range(1, 7)]


def test_state_is_carried_within_a_sequence_and_put_back_after_the_last_item():
    model = Counting()
    sampling = Sampling(state=state_of(model), sequence=3)
    for _ in range(2):
        assert [float(output) for output in sampling.course(ITEMS).outputs(model)] == [1, 3, 6, 4, 9, 15]
        assert float(model.total) == 0
    assert [float(output) for output in sampling.course(ITEMS, [1, 4]).outputs(model)] == [3, 9]


def test_a_step_that_is_run_again_begins_from_the_same_state():
    model = Counting()
    course = Sampling(state=state_of(model)).course(ITEMS[:3])
    assert [[float(run()), float(run())] for run in course.passes(model)] == [[1, 1], [3, 3], [6, 6]]


def test_a_pass_that_is_left_early_puts_the_state_back():
    model = Counting()
    for output in Sampling(state=state_of(model)).course(ITEMS).outputs(model):
        if float(output) == 3:
            break
    assert float(model.total) == 0


def test_neighbours_are_batched_only_where_there_is_no_state():
    course = Course.of(ITEMS)
    assert [len(inputs[0]) for inputs in course.together(4).inputs] == [4, 2]
    assert Course.of(course) is course
    stateful = Sampling(state=state_of(Counting())).course(ITEMS)
    assert stateful.together(4) is stateful


def test_the_first_outputs_need_the_items_before_them():
    steps = tuple(ForwardStep(item, counted=index % 2 == 1) for index, item in enumerate(ITEMS))
    assert len(Course(steps).first(2).steps) == 4


def test_hooks_see_inputs_only_while_it_lasts():
    model, seen = nn.Sequential(nn.Linear(1, 1)), []
    with watched(model, {"0": lambda _module, inputs: seen.append(float(inputs[0]))}):
        model(ITEMS[0][0])
    model(ITEMS[1][0])
    assert seen == [1.0]


@pytest.mark.parametrize("state", [True, False])
def test_hooks_are_in_place_only_for_items_that_count(state):
    model, entered = Counting(), []

    class Watching:
        def __enter__(self):
            entered.append(1)

        def __exit__(self, *_):
            return None

    sampling = Sampling(state=state_of(model)) if state else Sampling()
    list(sampling.course(ITEMS, [5]).outputs(model, Watching))
    assert entered == [1]
