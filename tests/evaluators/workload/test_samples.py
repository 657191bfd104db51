import pytest
import torch

from palettune.evaluators.workload.samples import single_samples, spread_samples
from palettune.evaluators.workload.workload import Batch


def batch(count, length=3, offset=0):
    """Samples whose values are their numbers, from ``offset`` on."""
    numbers = torch.arange(count, dtype=torch.float32) + offset
    return Batch((numbers[:, None].expand(count, length),), None)


def numbers(samples):
    return [int(sample[0].flatten()[0]) for sample in samples]


def test_samples_come_from_all_of_the_data_and_so_does_every_beginning():
    spread = spread_samples([batch(16, offset=16 * index) for index in range(10)], 16)
    found = numbers(spread.samples)
    assert len(set(found)) == 16
    assert {number // 16 for number in found} == set(range(10))
    for few in (4, 8):
        assert any(number < 80 for number in found[:few]), found
        assert any(number >= 80 for number in found[:few]), found
    assert (spread.fitting, spread.total) == (160, 160)


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_what_repeats_at_a_fixed_distance_is_not_missed(period):
    for batches in ([batch(256)], [batch(1, offset=index) for index in range(256)]):
        found = numbers(spread_samples(batches, 16).samples)
        assert len({number % period for number in found}) > 1


def test_every_batch_and_every_shape_is_there_however_small():
    batches = [batch(200), batch(1, offset=1000), batch(2, length=5, offset=2000), batch(50, offset=3000)]
    found = spread_samples(batches, 8).samples
    assert {number // 1000 for number in numbers(found)} == {0, 1, 2, 3}
    assert {sample[0].shape[1] for sample in found} == {3, 5}
    few = spread_samples([batch(9, length=length, offset=length) for length in range(1, 21)], 4).samples
    assert len({sample[0].shape[1] for sample in few}) == 4


def test_the_same_data_give_the_same_samples_and_few_data_give_all():
    batches = [batch(30), batch(30, offset=30)]
    assert numbers(spread_samples(batches, 7).samples) == numbers(spread_samples(batches, 7).samples)
    assert sorted(numbers(spread_samples(batches, 100).samples)) == list(range(60))
    assert spread_samples([batch(0)], 4).samples == ()


def test_samples_that_are_not_accepted_are_left_out_and_counted():
    batches = [batch(1, length=length) for length in (5, 9, 24, 31, 24)]
    spread = spread_samples(batches, 4, lambda sample: sample[0].shape == (1, 24))
    assert [sample[0].shape for sample in spread.samples] == [(1, 24), (1, 24)]
    assert (spread.fitting, spread.total) == (2, 5)
    none = spread_samples(batches, 4, lambda sample: False)
    assert (none.samples, none.fitting, none.total) == ((), 0, 5)


def test_a_batch_that_is_accepted_only_whole_is_one_sample():
    time_first = [Batch((torch.full((20, 1, 4), float(index)),), None) for index in range(6)]
    spread = spread_samples(time_first, 16, lambda sample: sample[0].shape == (20, 1, 4))
    assert sorted(numbers(spread.samples)) == list(range(6))
    assert (spread.fitting, spread.total) == (6, 6)
    apart = Batch((torch.zeros(3, 2), torch.zeros(1, 2)), None)
    assert [value.shape for value in spread_samples([apart], 4).samples[0]] == [(3, 2), (1, 2)]


def test_the_first_samples_are_the_first_ones():
    assert numbers(single_samples([batch(4), batch(4, offset=4)], 6)) == list(range(6))


def test_batches_are_taken_apart_into_samples_where_inputs_share_an_axis():
    pair = Batch((torch.zeros(3, 2), torch.zeros(3)), None)
    odd = Batch((torch.zeros(3, 2), torch.zeros(2)), None)
    assert len(single_samples([pair, pair], 10)) == 6
    assert len(single_samples([pair, pair], 4)) == 4
    assert len(single_samples([odd], 10)) == 1
