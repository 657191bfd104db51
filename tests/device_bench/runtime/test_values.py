"""Values of a MIL program as tensors."""

import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import types

from palettune.device_bench.runtime.values import attribute, is_half, round_to_half, storage_dtype, tensor


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(types.fp16, torch.float32), (types.uint16, torch.int32), (types.uint4, torch.uint8), (types.str, None)],
)
def test_types_are_held_in_what_torch_computes_with(kind, dtype):
    assert storage_dtype(kind) is dtype
    assert storage_dtype(types.tensor(kind, (2,)) if dtype else kind) is dtype
    assert is_half(kind) == (kind is types.fp16)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float16([0.5]), torch.float32),
        (np.uint16([65535]), torch.int32),
        (np.uint32([4294967295]), torch.int64),
        (np.int64([-1]), torch.int32),
        (np.array([True]), torch.bool),
    ],
)
def test_constants_keep_their_values(value, dtype):
    found = tensor(value, torch.device("cpu"))
    assert found.dtype is dtype
    assert found.tolist() == value.tolist()


def test_attributes_are_plain_python():
    assert attribute(np.array([[1, 2]])) == [[1, 2]]
    assert attribute(np.float32(0.5)) == 0.5
    assert attribute("same") == "same"


def test_rounding_to_half_is_ieees_and_lets_gradients_pass():
    x = torch.tensor([1 / 3, 65519.0, 65520.0, -1e9], requires_grad=True)
    rounded = round_to_half(x)
    assert torch.equal(rounded.detach(), x.detach().half().float())
    rounded[:2].sum().backward()
    assert x.grad.tolist() == [1, 1, 0, 0]
