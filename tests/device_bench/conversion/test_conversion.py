from __future__ import annotations

import gc
import weakref

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import ConversionError, convert, unhindered
from palettune.device_bench.package.package import weights
from tests.device_bench.networks import NETWORKS, build, compress_layers, layer_names

torch.set_num_threads(1)


def _names(model: ct.models.MLModel) -> tuple[list[str], list[str]]:
    description = model.get_spec().description
    return [i.name for i in description.input], [o.name for o in description.output]


def _save(model: ct.models.MLModel, folder) -> str:
    path = str(folder / "model.mlpackage")
    model.save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_keeps_its_own_weight_plain_or_compressed(name, tmp_path, monkeypatch):
    if name != "recurrent":  # coremltools converts an LSTM from a trace only
        monkeypatch.delattr(torch.jit, "trace")
    module, inputs = build(name)
    names = layer_names(module)
    module = compress_layers(module, names[::2])
    packaged = weights(_save(convert(module, inputs, "iOS18"), tmp_path))
    for index, layer in enumerate(names):
        weight = module.get_submodule(layer).weight.detach().numpy()
        equal = [w for w in packaged if w.shape == weight.shape and np.array_equal(w.value, weight.astype(np.float16))]
        assert equal, layer
        assert all(bool(w.chain) == (index % 2 == 0) for w in equal), layer


def test_conversion_leaves_the_module_as_it_was():
    module, inputs = build("conv_net")
    compress_layers(module, ["stem"])
    module.train()
    before = {name: (tensor, tensor.clone()) for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    convert(module, inputs, "iOS18")
    after = dict([*module.named_parameters(), *module.named_buffers()])
    assert module.training
    assert module.stem_norm.training
    assert after.keys() == before.keys()
    assert all(after[name] is tensor and torch.equal(tensor, value) for name, (tensor, value) in before.items())


def test_names_of_inputs_and_outputs_and_the_metadata():
    module, inputs = build("tied_language_model")
    model = convert(module, inputs, "iOS17", metadata={"configuration": "abc"})
    assert _names(model) == (["ids", "scale"], ["logits", "hidden_0", "hidden_1"])
    assert model.user_defined_metadata["configuration"] == "abc"
    kind = ct.proto.FeatureTypes_pb2.ArrayFeatureType
    types = [i.type.multiArrayType.dataType for i in model.get_spec().description.input]
    assert types == [kind.ArrayDataType.Value("INT32"), kind.ArrayDataType.Value("FLOAT32")]


def test_an_output_named_like_an_input_gets_another_name():
    class Echo(nn.Module):
        def forward(self, x: Tensor, *more: Tensor) -> dict[str, Tensor]:
            return {"x": x * 2 + more[0], "2nd value": x + 1}

    model = convert(Echo(), (torch.ones(2), torch.ones(2)), "iOS16")
    assert _names(model) == (["x", "more_0"], ["x_", "output_2nd_value"])


class TiedRecurrent(nn.Module):
    """A tied weight that only tracing converts, for the LSTM between its two uses."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(100, 32), nn.Linear(32, 100)
        self.lstm = nn.LSTM(32, 32, batch_first=True)
        self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(ids))[0])


@pytest.mark.slow
@pytest.mark.parametrize("holder", ["embedding", "head"])
@pytest.mark.parametrize("name", ["exported", "traced"])
def test_a_tied_weight_is_compressed_under_whichever_of_its_names_holds_the_metadata(name, holder, tmp_path):
    module, inputs = build("tied_language_model") if name == "exported" else (TiedRecurrent().eval(), None)
    inputs = inputs or (torch.randint(0, 100, (1, 6)),)
    compress_layers(module, [holder])
    packaged = weights(_save(convert(module, inputs, "iOS18"), tmp_path))
    (tied,) = [w for w in packaged if w.shape == (100, 32)]
    assert tied.chain == ("constexpr_lut_to_dense",)
    assert {c.kind for c in tied.consumers} == {"gather", "linear"}


def test_tracing_takes_over_when_export_fails(tmp_path):
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if x.abs().sum() > 0 else x

    module = compress_layers(Branching(), ["layer"])
    model = convert(module, (torch.ones(1, 8),), "iOS18")
    assert _names(model) == (["x"], ["output"])
    (weight,) = [w for w in weights(_save(model, tmp_path)) if w.chain]
    assert np.array_equal(weight.value, module.layer.weight.detach().numpy().astype(np.float16))


def test_an_op_without_conversion_is_named():
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.i0(x)

    with pytest.raises(ConversionError, match=r"Odd does not convert.*i0"):
        convert(Odd(), (torch.ones(3),), "iOS18")


@pytest.mark.parametrize(
    ("module", "inputs", "message"),
    [
        (nn.Linear(2, 2).double(), (torch.ones(1, 2),), "'weight' is torch.float64"),
        (nn.Linear(2, 2), (torch.ones(1, 3),), "Linear fails on its example inputs"),
        (nn.Linear(2, 2), (torch.ones(1, 2), torch.ones(1, 2)), "takes 1 inputs, 2 were given"),
    ],
)
def test_bad_modules_are_refused_with_a_reason(module, inputs, message):
    with pytest.raises(ConversionError, match=message):
        convert(module, inputs, "iOS18")


@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_there_before_an_unhindered_conversion_is_collected_after_it(frozen):
    class Ring:
        pass

    gc.unfreeze()
    try:
        if frozen:
            gc.freeze()
        ring = Ring()
        ring.itself, alive = ring, weakref.ref(ring)
        del ring
        with unhindered():
            assert not gc.isenabled()
            gc.collect()
            assert (alive() is None) is frozen  # who froze objects before keeps them so, and collection as it was
        gc.collect()
        assert gc.isenabled()
        assert alive() is None
        assert bool(gc.get_freeze_count()) is frozen
    finally:
        gc.freeze()
