"""What a model must be, and how it is brought to float32 on the CPU with every parameter in its own memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.workload.float_model import (
    LoadingError,
    check_loadable,
    held_alike,
    same_memory,
    take_to_float32,
    untangle,
)


class Mixed(nn.Module):
    """Tensors of every sort: parameters, buffers, attributes, lists of them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4, dtype=torch.float16)
        self.norm = nn.LayerNorm(4)
        self.register_buffer("table", torch.ones(4, dtype=torch.float64))
        self.register_buffer("positions", torch.arange(4))
        self.register_buffer("mask", torch.ones(4, dtype=torch.bool))
        self.scale = torch.tensor(2.0, dtype=torch.bfloat16)
        self.anchors = [torch.ones(4, dtype=torch.bfloat16), {"phase": torch.ones(2, dtype=torch.complex64)}]
        self.words = ["a", "b"]


def test_floats_become_float32_and_whole_numbers_stay() -> None:
    model = Mixed()
    notes = take_to_float32(model)
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert (model.table.dtype, model.positions.dtype, model.mask.dtype) == (torch.float32, torch.int64, torch.bool)
    assert (model.scale.dtype, model.anchors[0].dtype, model.anchors[1]["phase"].dtype) == (torch.float32, torch.float32, torch.complex64)  # fmt: skip
    assert model.words == ["a", "b"]
    assert notes == [
        "1 of the 8 tensors of the model are float64: converted to float32",
        "1 of the 8 tensors of the model are bfloat16: converted to float32",
        "2 of the 8 tensors of the model are float16: converted to float32",
    ]
    assert take_to_float32(model) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_values_are_those_of_the_checkpoint_and_ties_stay(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)).to(dtype)
    model[1].weight = model[0].weight
    values = model[0].weight.detach().clone()
    (note,) = take_to_float32(model)
    assert note == f"the model is {str(dtype).removeprefix('torch.')}: converted to float32"
    assert torch.equal(model[0].weight, values.float())
    assert model[1].weight is model[0].weight


def test_a_model_on_a_gpu_is_taken_to_the_cpu_and_said() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    # tensors that say they are on a GPU, on a machine without one; torch cannot move parameters of that sort
    with FakeTensorMode(allow_non_fake_inputs=True):
        model[1].running_mean = torch.empty(4, device="cuda", dtype=torch.float16)
        model[0].table = torch.empty(2, device="cuda")
    notes = take_to_float32(model)
    found = [*model.state_dict().values(), model[0].table]
    assert {(tensor.device.type, tensor.dtype) for tensor in found} == {("cpu", torch.float32), ("cpu", torch.int64)}
    assert notes[-1] == "the model is on cuda:0: moved to the CPU"


def _quantized() -> nn.Module:
    return torch.ao.nn.quantized.Linear(4, 4)


def _meta() -> nn.Module:
    return nn.Linear(4, 4, device="meta")


def _meta_buffer() -> nn.Module:
    norm = nn.BatchNorm1d(4)
    norm.running_mean = norm.running_mean.to("meta")
    return norm


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (3, "returned a int; expected a torch.nn.Module, a program of torch"),
        (nn.Sequential(nn.ReLU(), nn.LazyLinear(4)), r"module '1' \(LazyLinear\) has no shapes yet.*run the model once"),
        (nn.Sequential(nn.LazyConv2d(4, 3)), r"module '0' \(LazyConv2d\) has no shapes yet"),
        (nn.Sequential(nn.Linear(4, 4), _meta()), r"module '1' \(Linear\) has no values \('weight' is on the meta device\); load the checkpoint"),
        (nn.Sequential(_meta_buffer()), r"module '0' \(BatchNorm1d\) has no values \('running_mean'"),
        (nn.Sequential(nn.Linear(4, 4), _quantized()), r"module '1' \(Linear\) is quantized already; return the float model"),
        (nn.Sequential(torch.ao.nn.quantized.Conv2d(4, 4, 1)), r"module '0' \(Conv2d\) is quantized already"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_named_with_the_way_out(model: Any, words: str) -> None:
    with pytest.raises(LoadingError, match=words):
        check_loadable(model)


def test_a_weight_held_by_another_library_is_named() -> None:
    class Packed(torch.Tensor):
        """As torchao and others hold quantized weights."""

        @staticmethod
        def __new__(cls, inner: Tensor) -> Packed:
            return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

        def __init__(self, inner: Tensor) -> None:
            self.inner = inner

        def __tensor_flatten__(self) -> tuple[list[str], None]:
            return ["inner"], None

        @classmethod
        def __tensor_unflatten__(cls, inner: dict[str, Tensor], *_: Any) -> Packed:
            return cls(inner["inner"])

        @classmethod
        def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return cls(args[0].inner) if func is torch.ops.aten.detach.default else NotImplemented

    layer = nn.Linear(4, 4)
    layer.weight = nn.Parameter(Packed(torch.ones(4, 4)))
    with pytest.raises(
        LoadingError, match=r"module '0' \(Linear\) holds 'weight' as a Packed; return the model with plain"
    ):
        check_loadable(nn.Sequential(layer))


def test_weights_that_are_the_same_memory_are_one_layer() -> None:
    model = nn.ModuleDict({"embedding": nn.Embedding(6, 4), "decoder": nn.Linear(4, 6, bias=False)}).to(torch.bfloat16)
    model["decoder"].weight = nn.Parameter(model["embedding"].weight.data)
    alike = held_alike(model)
    take_to_float32(model)  # which gives each memory of its own
    same_memory(alike)
    assert [[name for name, _ in layer.tied] for layer in layers_of(model)] == [["decoder"]]


class Views(nn.Module):
    """Parameters and a buffer that are parts or turned views of another parameter, and one value for a whole row."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(4, 4, bias=False)
        self.turned, self.part, self.row = (nn.Linear(4, n, bias=False) for n in (4, 2, 4))
        self.turned.weight = nn.Parameter(self.base.weight.data.t())
        self.part.weight = nn.Parameter(self.base.weight.data[:2])
        self.row.weight = nn.Parameter(torch.ones(4, 1).expand(4, 4))
        self.register_buffer("copy", self.base.weight.data)
        self.alias = self.base.weight.data.view(-1)


def test_writing_to_one_weight_changes_no_other_tensor() -> None:
    model = Views().requires_grad_(False)
    alike = held_alike(model)
    same_memory(alike)
    untangle(model)
    assert [layer.name for layer in layers_of(model)] == ["base", "turned", "part", "row"]
    for name in ("base", "turned", "part", "row"):
        other = copy.deepcopy(model)
        held = other.get_submodule(name).weight
        held.copy_(held + torch.arange(held.numel()).reshape(held.shape))
        before, after = _everything(model), _everything(other)
        assert [key for key in before if not torch.equal(before[key], after[key])] == [f"{name}.weight"]


def _everything(model: nn.Module) -> dict[str, Tensor]:
    return {**model.state_dict(), "alias": model.alias}


def test_a_model_made_in_inference_mode_can_be_trained() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        model[1].weight = model[0].weight
    take_to_float32(model)
    untangle(model)
    assert model[1].weight is model[0].weight
    model[0].weight.requires_grad_(True)
    model(torch.ones(1, 4)).sum().backward()
    assert model[0].weight.grad is not None
