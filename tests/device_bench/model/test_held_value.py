"""Values held: changes are seen, and what was held comes back in the memory that is there."""

from collections import OrderedDict, deque, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from palettune.device_bench.model.held_value import ABSENT, Holder

Pair = namedtuple("Pair", "first second")


def values():
    return [
        torch.tensor([1.0, float("nan")]),
        torch.zeros(()),
        3,
        float("nan"),
        None,
        "word",
        ABSENT,
        [torch.ones(2), [1, (2, torch.zeros(1))]],
        {"a": torch.ones(2), "b": {"c": 1}},
        OrderedDict(x=1),
        deque([1, 2], maxlen=3),
        Pair(torch.ones(1), 2),
        {1, 2},
        np.arange(3.0),
        SimpleNamespace(last=torch.ones(2), count=0),
    ]


@pytest.mark.parametrize("index", range(len(values())))
def test_a_value_equals_itself_and_comes_back_wherever_another_one_took_its_place(index):
    value = values()[index]
    held = Holder().hold(value)
    assert held.restorable
    assert held.same(value)
    for other in (object(), [7], {"z": 1}, torch.full((5,), 9.0)):
        assert not held.same(other)
        assert held.same(held.restored(other, {}))


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1], lambda v: v.append(2)),
        ({"a": torch.ones(2)}, lambda v: v["a"].mul_(2)),
        ({"a": 1}, lambda v: v.update(b=2)),
        (deque([1]), lambda v: v.append(2)),
        ({1}, lambda v: v.add(2)),
        (np.ones(2), lambda v: v.__imul__(2)),
        (SimpleNamespace(cache=[torch.ones(1)]), lambda v: v.cache.append(torch.ones(1))),
        (SimpleNamespace(count=0), lambda v: setattr(v, "other", 1)),
        (torch.ones(2), lambda v: v.mul_(2)),
    ],
)
def test_changes_in_place_are_seen_and_undone(value, change):
    held = Holder().hold(value)
    change(value)
    assert not held.same(value)
    assert held.same(held.restored(value, {}))


def test_one_tensor_in_two_places_stays_one():
    tensor = torch.ones(2)
    held = Holder().hold([tensor, tensor])
    first, second = held.restored(None, {})
    assert first is second
    assert first is not tensor


def test_a_tensor_keeps_its_memory_and_loses_its_gradient():
    weight = torch.ones(2, requires_grad=True)
    cache = torch.zeros(2, 2)
    view = cache[0]
    held = Holder().hold(cache)
    cache[1] = weight * 2
    found = held.restored(cache, {})
    assert not found.requires_grad
    assert found.data_ptr() == view.data_ptr()
    with torch.inference_mode():
        other = torch.ones(2, 2)
        found = held.restored(other, {})
    assert not found.is_inference()


def test_what_is_not_looked_into_is_told_apart_by_identity_and_cannot_be_restored():
    for value in (nn.Linear(2, 2), lambda: None, torch.Generator(), nn.Parameter(torch.zeros(1)), object()):
        held = Holder().hold(value)
        assert held.same(value)
        assert not held.same(object())
        assert not held.restorable
