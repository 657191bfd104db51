"""Which items run, which count, and where a sequence begins."""

import torch

from palettune.evaluators.workload.sample_axes import SampleAxes
from palettune.evaluators.workload.sampling import Sampling
from tests.evaluators.counting import Counting, state_of

ITEMS = [(torch.full((1,), float(i)),) for i in range(7)]


def test_without_state_only_items_that_count_run():
    course = Sampling().course(ITEMS, [4, 1])
    assert [float(inputs[0]) for inputs in course.inputs] == [1, 4]
    assert len(course.steps) == 2
    assert Sampling().identity() == {}
    assert Sampling().begin(5) == 5


def test_with_state_earlier_items_of_the_sequence_run_too():
    sampling = Sampling(state=state_of(Counting()), sequence=3)
    assert [sampling.begin(position) for position in range(7)] == [0, 0, 0, 3, 3, 3, 6]
    course = sampling.course(ITEMS, [4])
    assert [(step.counted, step.fresh) for step in course.steps] == [
        (False, True), (False, False), (False, False), (False, True), (True, False),
    ]  # fmt: skip
    assert Sampling(state=sampling.state).begin(5) == 0


def test_the_identity_holds_axes_and_sequences_where_they_decide_results():
    assert Sampling(SampleAxes((1,), (1,))).identity() == {"axes": [(1,), (1,), False]}
    assert Sampling(state=state_of(Counting()), sequence=3).identity() == {"sequence": 3}
