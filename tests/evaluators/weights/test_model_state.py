"""A model state: what it accepts, what it changes in a model, and its file."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from palettune.device_bench.conversion.low_rank import LowRank
from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization, activation_quantizations
from palettune.evaluators.compression.free_scales import compress_with_free_scales
from palettune.evaluators.weights.model_state import ModelState, StateError, model_digest
from palettune.evaluators.weights.normalizations import with_normalizations
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import FP16, Encoding
from tests.evaluators.weights.test_normalizations import lively


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


def scaled_state(model):
    """The first layer in a table under scales that its normalization takes back."""
    example = torch.randn(3, 6)
    (first, _) = with_normalizations(model, layers_of(model), lambda changed: changed(example))
    weight = model[0].weight.detach() * torch.tensor([[0.01], [1.0], [5.0], [0.3]])
    model[0].weight.data.copy_(weight)
    found = compress_with_free_scales(weight, first, Encoding.parse("lut2"))
    assert found.scale is not None
    other = CompressedWeight(model[2].weight.detach().half().float())
    return state_of(
        model,
        configuration=Configuration({"0": Encoding.parse("lut2"), "2": FP16}),
        weights={"0": found, "2": other},
        tensors={"1.bias": torch.tensor([1.0, 2.0, 3.0, 4.0])},
        layers={"0": first},
    )


def test_scales_are_in_the_weight_or_taken_back_by_the_normalization(tmp_path):
    model = lively(network())
    state = scaled_state(model)
    read = ModelState.load(state.save(tmp_path))
    assert read.layers == state.layers
    assert read.digest == state.digest
    assert not state.keeps_the_rest
    inside = torch.randn(5, 6)
    run, stored = (read.apply(model, metadata=metadata) for metadata in (False, True))
    torch.testing.assert_close(stored(inside), run(inside), rtol=1e-5, atol=1e-5)
    assert len(stored[0].weight.unique()) <= 4 < len(run[0].weight.unique())
    assert torch.equal(run[1].weight, model[1].weight)
    torch.testing.assert_close(stored[1].weight, model[1].weight * state.weights["0"].scale.flatten())
    assert torch.equal(stored[1].bias, state.tensors["1.bias"])


def test_a_branch_beside_a_layer_with_scales_is_stored_over_them():
    model = lively(network())
    state = replace(scaled_state(model), branches={"0": LowRank(torch.randn(2, 6), torch.randn(4, 2))})
    inside = torch.randn(5, 6)
    run, stored = (state.apply(model, metadata=metadata) for metadata in (False, True))
    torch.testing.assert_close(stored(inside), run(inside), rtol=1e-5, atol=1e-5)
