"""Steps of programs: what they read and write, and when slots are given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from palettune.evaluators.torch_programs.program import (
    Block,
    Branch,
    CallStep,
    Held,
    Loop,
    Nested,
    Unpack,
    ValueSlot,
    Write,
)

ROOT = nn.Module()


def call(name: str, *args: object, to: int) -> CallStep:
    return CallStep(f"python::{name}", args, {}, to)


@given(st.integers(0, 6), st.integers(0, 20))
def test_a_loop_ends_by_its_count_or_its_condition(most: int, limit: int) -> None:
    body = Block(
        (1, 2),
        (call("add", ValueSlot(2), ValueSlot(1), to=3), call("lt", ValueSlot(3), limit, to=4)),
        (ValueSlot(4), ValueSlot(3)),
    )
    block = Block((), (Loop(most, True, (0,), body, (5,)),), (ValueSlot(5),))
    total = 0
    for i in range(most):
        total += i
        if total >= limit:
            break
    assert block.run({}, ROOT) == [total]


def test_one_block_of_a_branch_runs() -> None:
    blocks = (Block((), (call("truediv", 1, 0, to=1),), (ValueSlot(1),)), Block((), (), (ValueSlot(0),)))
    block = Block((0,), (Branch(ValueSlot(0), blocks, (2,)),), (ValueSlot(2),))
    assert block.run({}, ROOT, [0]) == [0]


def test_arguments_nest_and_lists_unpack() -> None:
    steps = (
        call("getitem", [ValueSlot(0), 5, 6], slice(ValueSlot(1), None), to=2),
        Unpack(ValueSlot(2), (3, 4)),
        Nested(False, Block((9,), (), (ValueSlot(9),)), (ValueSlot(4),), 5),
    )
    block = Block((0, 1), steps, ({"a": (ValueSlot(3), ValueSlot(5))},))
    assert block.run({}, ROOT, [7, 1]) == [{"a": (5, (6,))}]


def test_attributes_are_written() -> None:
    root = nn.Module()
    block = Block((0,), (Write(Held("", "count"), ValueSlot(0)),), ())
    block.run({}, root, [3])
    assert root.count == 3
    assert Held("", "count").get(root) == 3


def test_slots_are_given_up_after_their_last_use() -> None:
    inner = Block((), (call("add", ValueSlot(1), 1, to=4),), (ValueSlot(4),))
    steps = (
        call("add", ValueSlot(0), 1, to=1),
        call("add", ValueSlot(0), ValueSlot(1), to=2),
        Branch(True, (inner, inner), (3,)),
        call("add", ValueSlot(3), 1, to=5),
    )
    block = Block((0,), steps, (ValueSlot(5), ValueSlot(2))).with_releases()
    assert [set(step.done) for step in block.steps] == [set(), {0}, {1, 4}, {3}]
    values: dict[int, object] = {}
    assert block.run(values, ROOT, [1]) == [4, 3]
    assert set(values) == {2, 5}
