"""Keys of calls: equal for equal calls alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from palettune.evaluators.computed_weights.call_key import call_key, function_name, is_metadata

A, B = torch.ones(2, 2), torch.ones(2, 2)
NUMBERS = {id(A): 0, id(B): 1}


def test_tensors_count_by_number_and_constants_by_type_and_value() -> None:
    keys = [
        call_key(torch.mul, (A, 2), {}, NUMBERS),
        call_key(torch.mul, (A, 2.0), {}, NUMBERS),
        call_key(torch.mul, (A, True), {}, NUMBERS),
        call_key(torch.mul, (B, 2), {}, NUMBERS),
        call_key(torch.div, (A, 2), {}, NUMBERS),
        call_key(torch.cat, ([A, B],), {}, NUMBERS),
        call_key(torch.cat, ([B, A],), {}, NUMBERS),
        call_key(torch.cat, ([A, B],), {"dim": 1}, NUMBERS),
        call_key(Tensor.__getitem__, (A, (slice(None), slice(0, 1))), {}, NUMBERS),
        call_key(Tensor.__getitem__, (A, (slice(None), slice(0, 2))), {}, NUMBERS),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert call_key(torch.mul, (A, 2), {}, NUMBERS) == keys[0]


@pytest.mark.parametrize("args", [(torch.ones(1), A), (A, torch.ones(1)), ([A, torch.ones(1)],), (A, object())])
def test_a_call_with_anything_unknown_has_no_key(args: tuple[object, ...]) -> None:
    assert call_key(torch.mul, args, {}, NUMBERS) is None


def test_every_function_that_a_mode_sees_has_a_name_of_its_own() -> None:
    seen = []

    class Noting(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append((func, function_name(func), is_metadata(func)))
            return func(*args, **(kwargs or {}))

    with Noting():
        A.shape, A.T, A.mT, A.data, A.size(), A.device
        torch.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1))
        F.embedding(torch.tensor([0]), A)
        torch.embedding(A, torch.tensor([0]))
        A + B, A**2, A @ B, A[0], -A
        torch.ops.aten.mul(A, 2)
        torch.ops.aten.mul.Tensor(A, A)
    functions = {func for func, _, _ in seen}
    assert len({name for _, name, _ in seen}) == len(functions)
    metadata = {name.split(".")[-2 if name.endswith("__get__") else -1] for _, name, known in seen if known}
    assert metadata == {"shape", "size", "device"}
