"""A model state: what it accepts, what it changes in a model, and its file."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization, activation_quantizations
from palettune.evaluators.weights.model_state import ModelState, StateError, model_digest
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import FP16, Encoding


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()


def state_of(model, **changes):
    names = ("0", "2")
    weights = {name: CompressedWeight(model.get_submodule(name).weight.detach().half().float()) for name in names}
    parts = {
        "configuration": Configuration(dict.fromkeys(names, FP16)),
        "model": model_digest(model),
        "weights": weights,
        "methods": dict.fromkeys(names, "data_free"),
        "tensors": {},
        "activations": {},
    }
    return ModelState(**(parts | changes))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(deadline=None)
@given(
    values=st.lists(NUMBERS, min_size=4, max_size=4), weight=st.lists(NUMBERS, min_size=8, max_size=8), name=st.text()
)
def test_any_values_and_names_come_back_bit_for_bit(tmp_path_factory, values, weight, name):
    encoding = Encoding.parse("lut4")
    buffers = {"lut": torch.arange(4).half(), "compression_type": torch.tensor([2])}
    state = ModelState(
        Configuration({name: encoding}, {name: Precision.INT8}),
        "a model",
        {name: CompressedWeight(torch.tensor(weight).reshape(2, 4), buffers)},
        {name: "gptq"},
        {f"{name}.bias": torch.tensor(values)},
        {name: ActivationQuantization(0.25, 7)},
    )
    read = ModelState.load(state.save(tmp_path_factory.mktemp("states")))
    assert read.digest == state.digest
    assert (read.configuration, read.model, read.activations) == (state.configuration, "a model", state.activations)
    for ours, theirs in (
        (state.weights[name].weight, read.weights[name].weight),
        (state.tensors[f"{name}.bias"], read.tensors[f"{name}.bias"]),
        (buffers["lut"], read.weights[name].buffers["lut"]),
        (buffers["compression_type"], read.weights[name].buffers["compression_type"]),
    ):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
        assert torch.equal(torch.signbit(ours), torch.signbit(theirs))


def test_it_changes_what_it_holds_and_nothing_else():
    model = network()
    bias = torch.tensor([1.0, 2.0, 3.0, 4.0])
    configuration = Configuration({"0": FP16, "2": FP16}, {"2": Precision.INT8})
    quantization = ActivationQuantization(0.5, 128)
    state = state_of(model, configuration=configuration, tensors={"1.bias": bias}, activations={"2": quantization})
    module = state.apply(model)
    assert torch.equal(module[1].bias, bias)
    assert torch.equal(module[1].weight, model[1].weight)
    assert activation_quantizations(module) == {"2": quantization}
    assert not activation_quantizations(model)
    inside = torch.tensor([[0.6, -0.6, 70.0, -70.0]])
    rounded = torch.tensor([[0.5, -0.5, 63.5, -64.0]])
    assert torch.equal(module[2](inside), nn.functional.linear(rounded, module[2].weight, model[2].bias))
    assert not torch.equal(module[2].weight, model[2].weight)


def test_it_refuses_another_model_and_parts_that_do_not_fit():
    model = network()
    state = state_of(model)
    other = network()
    other[1].bias.data += 1
    with pytest.raises(StateError, match="other weights"):
        state.apply(other)
    with pytest.raises(StateError, match=r"'3\.bias'"):
        state_of(model, tensors={"3.bias": torch.zeros(2)}).apply(model)
    with pytest.raises(StateError, match=r"'1\.bias'"):
        state_of(model, tensors={"1.bias": torch.tensor([1.0, math.nan, 0.0, 0.0])})
    with pytest.raises(StateError, match=r"'2'.*method"):
        state_of(model, methods={"0": "data_free"})
    with pytest.raises(StateError, match=r"'0'.*activation quantization.*not asked"):
        state_of(model, activations={"0": ActivationQuantization(0.5, 0)})


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08" + b"\0" * 60])
def test_a_file_that_is_none_is_said(tmp_path, content):
    import hashlib

    path = tmp_path / f"{hashlib.blake2b(content, digest_size=20).hexdigest()}.safetensors"
    path.write_bytes(content)
    with pytest.raises(StateError, match="no model state can be read"):
        ModelState.load(path)
    with pytest.raises(StateError, match="no model state"):
        ModelState.load(tmp_path / "absent.safetensors")
