"""State of a module: what a forward pass changes, and how it is put back."""

import copy

import pytest
import torch
from torch import nn

from palettune.device_bench.model.held_value import ABSENT
from palettune.device_bench.model.recurrent_state import NO_STATE, Place, snapshot


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(2))
        self.register_buffer("unset", None)
        self.count = 0

    def forward(self, x):
        self.count += 1
        self.last = x
        self.total += x
        return self.total


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Counter()

    def forward(self, x):
        return self.inner(x)


TOTAL, COUNT, LAST = (Place("inner", name) for name in ("total", "count", "last"))


def test_what_a_forward_pass_changes_is_found_and_put_back_in_any_copy():
    module = Outer()
    before = snapshot(module)
    apart = copy.deepcopy(module)
    for one in (module, apart):
        one(torch.ones(2))
        changed = before.changed(one)
        assert set(changed) == {TOTAL, COUNT, LAST}
        before.only([TOTAL, COUNT]).restore(one)
        assert one.inner.total.tolist() == [0, 0]
        assert one.inner.count == 0
    assert str(TOTAL) == "inner.total"


def test_state_is_left_as_it_was_after_a_run():
    module = Outer()
    state = snapshot(module)
    with pytest.raises(RuntimeError), state.around(module):
        module(torch.ones(3))
    with state.around(module):
        module(torch.ones(2))
        assert module.inner.count == 1
    assert module.inner.count == 0
    assert state.tensor(TOTAL).value.tolist() == [0, 0]
    assert state.tensor(COUNT) is None


def test_places_are_buffers_or_attributes_or_absent():
    module = Outer()
    assert TOTAL.is_buffer(module)
    assert Place("inner", "unset").is_buffer(module)
    assert not COUNT.is_buffer(module)
    assert LAST.get(module) is ABSENT
    LAST.put(module, 3)
    assert module.inner.last == 3
    TOTAL.put(module, ABSENT)
    assert TOTAL.get(module) is ABSENT
    assert Place("elsewhere", "x").get(module) is ABSENT


def test_only_what_outputs_depend_on_is_recurrent():
    assert not NO_STATE
    assert not snapshot(Outer()).recurrent


class Hooked(nn.Module):
    """Installs a hook in its first forward pass, as libraries do that collect inner outputs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()
        self.seen = []

    def forward(self, x):
        if not getattr(self, "installed", False):
            self.layer.register_forward_hook(lambda *given: self.seen.append(1))
            self.installed = True
        self.seen = []
        self.counted = True
        return self.layer(x) * len(self.seen)


def test_what_says_that_hooks_are_installed_stays_as_they_do():
    module, x = Hooked(), torch.ones(2)
    before = snapshot(module)
    assert torch.equal(module(x), x)
    changed = before.changed(module)
    assert Place("", "installed") not in changed
    type(before)(changed).restore(module)
    assert torch.equal(module(x), x)
    module.later = True
    assert Place("", "later") in snapshot(Hooked()).changed(Counting())


class Counting(nn.Module):
    """Has no hooks, and an attribute more."""

    def __init__(self):
        super().__init__()
        self.later = True
