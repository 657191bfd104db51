"""Functions of programs by name."""

from __future__ import annotations

import pytest
import torch

from palettune.evaluators.torch_programs.operators import DTYPES, TorchProgramError, is_known, operator_of

X = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("name", "args", "wanted"),
    [
        ("aten::add.int", (2, 3), 5),
        ("aten::add.t", ([1], [2]), [1, 2]),
        ("aten::add.str", ("a", "b"), "ab"),
        ("aten::add.Tensor", (2, 3, 2), 8),
        ("aten::div.Tensor_mode", (7, 2, "trunc"), 3),
        ("aten::div.Tensor_mode", (-7, 2, "floor"), -4),
        ("aten::div.int", (7, 2), 3.5),
        ("aten::floor_divide", (7, 2), 3),
        ("aten::size", (X,), [2, 3]),
        ("aten::size.int", (X, 1), 3),
        ("aten::dim", (X,), 2),
        ("aten::len.Tensor", (X,), 2),
        ("aten::len.t", ([1, 2],), 2),
        ("aten::Int.Tensor", (torch.tensor(3),), 3),
        ("aten::Float.int", (3,), 3.0),
        ("aten::Bool.Tensor", (torch.tensor(0),), False),
        ("aten::__getitem__.t", ([1, 2], 1), 2),
        ("aten::slice.t", ([1, 2, 3], 1, None, 1), [2, 3]),
        ("aten::__contains__.int_list", ([1, 2], 3), False),
        ("aten::__is__", (None, None), True),
        ("aten::eq.int", (torch.float32, 6), True),
        ("aten::ne.int", (torch.float16, 6), True),
        ("aten::format", ("{} of {}", 1, 2), "1 of 2"),
        ("aten::to.dtype", (3, torch.float32), 3.0),
        ("prim::dtype", (X,), torch.float32),
        ("prim::min.self_int", ([3, 2],), 2),
        ("prim::max.int", (3, 2), 3),
        ("python::getitem", ((1, 2), 0), 1),
        ("math::ceil", (1.5,), 2),
    ],
)
def test_numbers_lists_and_strings(name: str, args: tuple[object, ...], wanted: object) -> None:
    assert operator_of(name)(*args) == wanted


@pytest.mark.parametrize(
    ("name", "args", "wanted"),
    [
        ("aten::add.Tensor", (X, 1), X + 1),
        ("aten::mul.Tensor", (2, X), X * 2),
        ("aten::slice.Tensor", (X, 1, 0, 2), X[:, 0:2]),
        ("aten::eq.Tensor", (X, X), torch.ones(2, 3, dtype=torch.bool)),
        ("aten::tensor", ([1.0, 2.0], torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)),
        ("aten::softmax.int", (X, -1, None), X.softmax(-1)),
    ],
)
def test_tensors(name: str, args: tuple[object, ...], wanted: torch.Tensor) -> None:
    assert torch.equal(operator_of(name)(*args), wanted)


def test_lists_are_changed_in_place() -> None:
    held = [1]
    operator_of("aten::append.t")(held, 2)
    operator_of("aten::_set_item.t")(held, 0, 5)
    assert operator_of("aten::pop.t")(held) == 2
    assert held == [5]


def test_types_have_the_numbers_of_torchscript() -> None:
    for dtype in (torch.uint8, torch.int32, torch.int64, torch.float16, torch.float32, torch.bool, torch.bfloat16):
        assert torch.ops.aten.to.dtype(X, DTYPES.index(dtype)).dtype is dtype


def test_an_op_that_is_not_there_is_named() -> None:
    assert not is_known("aten::no_such_op")
    assert not is_known("prim::fork")
    with pytest.raises(TorchProgramError, match=r"'aten::no_such_op'.*return the torch\.nn\.Module"):
        operator_of("aten::no_such_op")
    with pytest.raises(RuntimeError, match="two axes"):
        operator_of("prim::RaiseException")("two axes", "builtins.ValueError")
