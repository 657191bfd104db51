"""Uses of weights: found whatever code multiplies by them, with the inputs that the layer's own matrix multiplies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.weights.weight_uses import WeightUse, called_as_module, watched_weights
from palettune.space.layer import Layer, LayerKind, WeightView
from tests.evaluators.every_use import WIDTH, Conv1D, every_layer, every_use, sentences


def seen(
    model: nn.Module, layers: list[Layer], inputs: tuple[Tensor, ...], modules: bool = True
) -> dict[str, list[WeightUse]]:
    """Uses by layer, of a forward pass whose output is checked."""
    found: dict[str, list[WeightUse]] = {}
    with torch.inference_mode():
        expected = model(*inputs)
    with watched_weights(model, layers, lambda name, use: found.setdefault(name, []).append(use), modules=modules):
        outputs = model(*inputs)
    assert torch.allclose(outputs, expected, atol=1e-5)
    return found


class One(nn.Module):
    """A parameter and what is done with it."""

    def __init__(self, shape: tuple[int, ...], use: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight_held = nn.Parameter(torch.randn(shape))
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(x, self.weight_held)


# what is done, shape of the parameter (3 outputs, 4 inputs), its kind, shape and view as the program would hold it
LINEAR, MATMUL = LayerKind.LINEAR, LayerKind.MATMUL
USES = {
    "linear": (lambda x, w: functional.linear(x, w), (3, 4), LINEAR, (3, 4), None),
    "matmul": (lambda x, w: x @ w, (4, 3), MATMUL, (4, 3), None),
    "turned by the program": (lambda x, w: x @ w, (4, 3), LINEAR, (3, 4), WeightView(0, (1, 3))),
    "transposed": (lambda x, w: x @ w.t(), (3, 4), LINEAR, (3, 4), None),
    "from the left": (lambda x, w: (w @ x.transpose(1, 2)).transpose(1, 2), (3, 4), LINEAR, (3, 4), None),
    "left factor of linear": (lambda x, w: functional.linear(w, x[0]).t(), (3, 4), LINEAR, (3, 4), None),
    "einsum": (lambda x, w: torch.einsum("btd,de->bte", x, w), (4, 3), MATMUL, (4, 3), None),
    "vector": (lambda x, w: torch.stack([w @ row for row in x[0]]), (3, 4), LINEAR, (3, 4), None),
    "vector and bias": (
        lambda x, w: torch.stack([torch.addmv(torch.zeros(3), w, row) for row in x[0]]),
        (3, 4),
        LINEAR,
        (3, 4),
        None,
    ),
    "batches": (lambda x, w: torch.bmm(x, w.expand(len(x), 4, 3)), (4, 3), MATMUL, (4, 3), None),
    "batches added": (
        lambda x, w: torch.baddbmm(torch.zeros(1), x, w.expand(len(x), 4, 3)),
        (4, 3),
        MATMUL,
        (4, 3),
        None,
    ),
    "of three axes": (lambda x, w: x @ w.unflatten(0, (2, 2)).flatten(0, 1), (4, 3), MATMUL, (4, 3), None),
    "other type": (lambda x, w: functional.linear(x.double(), w.double()).float(), (3, 4), LINEAR, (3, 4), None),
    "copied": (lambda x, w: x @ w.t().contiguous(), (3, 4), LINEAR, (3, 4), None),
    "heads": (
        lambda x, w: torch.einsum("btd,hdk->bthk", x, w).flatten(2),
        (3, 4, 1),
        LINEAR,
        (3, 4),
        WeightView(0, (4, 1)),
    ),
    "rows": (lambda x, w: functional.linear(x, w[2:5]), (6, 4), LINEAR, (3, 4), WeightView(8, (4, 1))),
    "chunk": (lambda x, w: functional.linear(x, w.chunk(2)[1]), (6, 4), LINEAR, (3, 4), WeightView(12, (4, 1))),
    "columns": (lambda x, w: functional.linear(x, w[:, 2:6]), (3, 8), LINEAR, (3, 4), WeightView(2, (8, 1))),
    "rows of the whole": (lambda x, w: functional.linear(x, w)[..., :3], (6, 4), LINEAR, (3, 4), WeightView(0, (4, 1))),
    "rows in another order": (
        lambda x, w: functional.linear(x, w)[..., [2, 0, 1]],
        (3, 4),
        LINEAR,
        (3, 4),
        WeightView(0, ((8, 0, 4), 1)),
    ),
    "inputs in another order": (
        lambda x, w: functional.linear(x, w),
        (3, 4),
        LINEAR,
        (3, 4),
        WeightView(0, (4, (3, 1, 0, 2))),
    ),
    "expert": (lambda x, w: torch.bmm(x, w)[1:], (2, 4, 3), MATMUL, (4, 3), WeightView(12, (3, 1))),
}


@pytest.mark.parametrize("name", USES)
def test_the_layers_own_matrix_times_the_inputs_is_what_the_op_computes(name: str) -> None:
    torch.manual_seed(0)
    use, held, kind, shape, view = USES[name]
    model, x = One(held, use).eval(), torch.randn(2, 5, 4)
    layer = Layer("weight_held", kind, shape, parameter="weight_held", view=view)
    uses = seen(model, [layer], (x,))["weight_held"]
    weight = layer_weight(model, layer).float()
    matrix = weight if kind is LINEAR else weight.t()
    columns = torch.cat([inputs_of(one) for one in uses], 1)
    with torch.no_grad():
        expected = model(x).reshape(-1, 3).t()
    products = matrix @ columns
    assert expected.shape[1] <= columns.shape[1] <= 10
    # every column of the output is found, in whatever order
    assert torch.cdist(expected.t(), products.t()).min(1).values.max() < 1e-5


def inputs_of(use: WeightUse) -> Tensor:
    rows = use.values.reshape(-1, use.values.shape[-1]).float().t()
    return rows if use.inputs is None else rows[use.inputs]


def test_a_weight_cut_along_its_inputs_meets_each_part_alone() -> None:
    model = One((3, 4), lambda x, w: functional.linear(x[..., :1], w[:, :1]) + functional.linear(x[..., 1:], w[:, 1:]))
    layer = Layer("weight_held", LINEAR, (3, 4), parameter="weight_held")
    first, second = seen(model, [layer], (torch.randn(2, 5, 4),))["weight_held"]
    assert first.inputs.tolist() == [0, -1, -1, -1]
    assert second.inputs.tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize(
    "use",
    [
        lambda x, w: x @ (w * 2),  # computed: another weight
        lambda x, w: x + w.sum(),
        lambda x, w: x @ w.t(),  # sums over the layer's output channels
        lambda x, w: x @ w.as_strided((4, 4), (1, 1)),
        lambda x, w: torch.sparse.mm(torch.eye(4).to_sparse(), w) @ x[0].t(),
        lambda x, w: functional.embedding(torch.zeros(1, dtype=torch.long), w),
    ],
)
def test_what_is_no_product_with_the_layers_inputs_is_not_seen(use: Callable[[Tensor, Tensor], Tensor]) -> None:
    model = One((4, 4), use)
    layer = Layer("weight_held", MATMUL, (4, 4), parameter="weight_held")
    assert seen(model, [layer], (torch.randn(2, 5, 4),)) == {}


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("packed", [False, True])
def test_a_recurrent_weight_meets_each_step(cls: type[nn.RNNBase], packed: bool) -> None:
    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cls(4, 3, 2, bidirectional=True)

        def forward(self, x: Tensor) -> Tensor:
            if not packed:
                return self.rnn(x)[0]
            return self.rnn(nn.utils.rnn.pack_padded_sequence(x, [5, 3]))[0].data

    model = Sequence().eval()
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[cls]
    names = [f"rnn.weight_{to}_l{level}{way}" for to in ("ih", "hh") for level in (0, 1) for way in ("", "_reverse")]
    layers = [
        Layer(name, LayerKind.RECURRENT, (3 * gates, model.get_parameter(name).shape[1]), parameter=name)
        for name in names
    ]
    uses = seen(model, layers, (torch.randn(5, 2, 4),))
    assert set(uses) == set(names)
    for layer in layers:
        assert {use.values.shape[-1] for use in uses[layer.name]} == {layer.shape[1]}
        rows = sum(use.values[..., 0].numel() for use in uses[layer.name])
        assert rows == (8 if packed else 10)  # once for each element of the sequences
        if "_hh_" in layer.name and not packed:
            assert len(uses[layer.name]) == 5
            assert not bool(uses[layer.name][0].values.any())  # the state begins with zeros
            assert bool(uses[layer.name][1].values.any())


def test_projected_states_are_the_recurrent_inputs() -> None:
    model = nn.Sequential(nn.LSTM(4, 6, proj_size=2)).eval()
    names = {"0.weight_hh_l0": (24, 2), "0.weight_hr_l0": (2, 6)}
    layers = [Layer(name, LayerKind.RECURRENT, shape, parameter=name) for name, shape in names.items()]
    found: dict[str, list[WeightUse]] = {}
    with watched_weights(model, layers, lambda name, use: found.setdefault(name, []).append(use)):
        model(torch.randn(5, 2, 4))
    assert {name: [use.values.shape[-1] for use in uses] for name, uses in found.items()} == {
        "0.weight_hh_l0": [2] * 5,
        "0.weight_hr_l0": [6] * 5,
    }


@pytest.mark.parametrize("groups", [1, 2])
def test_a_functional_convolution_has_the_window_of_a_module(groups: int) -> None:
    def convolved(x: Tensor, w: Tensor) -> Tensor:
        return functional.conv2d(x, w, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=groups)

    x = torch.randn(2, 4, 7, 9)
    model = One((6, 4 // groups, 3, 3), convolved)
    layer = Layer("weight_held", LayerKind.CONV2D, (6, 4 // groups, 3, 3), groups, parameter="weight_held")
    (use,) = seen(model, [layer], (x,))["weight_held"]
    module = nn.Sequential(nn.Conv2d(4, 6, 3, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=groups)).eval()
    (other,) = seen(module, list(layers_of(module)), (x,))["0"]
    assert use.window == other.window
    assert torch.equal(use.values, other.values)
    assert use.inputs is None


def test_all_layers_of_a_network_are_seen_and_its_outputs_stay() -> None:
    model, layers = every_use(), list(every_layer())
    inputs = sentences(1)[0]
    uses = seen(model, layers, inputs)
    assert set(uses) == {layer.name for layer in layers} - {"attention.out_proj"}  # a module that is never called
    assert [layer.name for layer in layers if called_as_module(model, layer)] == ["attention.out_proj", "dense"]
    assert uses["dense"][0].by_module
    assert set(seen(model, layers, inputs, modules=False)) == {layer.name for layer in layers}
    packed, (word,) = uses["attention.in_proj_weight"][0], uses["words"]
    assert packed.values.shape[-1] == word.values.shape[-1] == WIDTH
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_fused_layer_of_a_transformer_is_seen_in_parts(norm_first: bool) -> None:
    model = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first), 1, enable_nested_tensor=False
    ).eval()
    layers = [
        Layer("packed", LINEAR, (24, 8), parameter="layers.0.self_attn.in_proj_weight"),
        *(layer for layer in layers_of(model)),
    ]
    uses = seen(model, layers, (torch.randn(2, 5, 8),))
    assert set(uses) == {"packed", "layers.0.linear1", "layers.0.linear2"}


def test_attention_to_other_values_sees_the_rows_that_they_meet() -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.attention(x, y, y)[0]

    model = Cross().eval()
    name = "attention.in_proj_weight"
    layers = [Layer("all", LINEAR, (24, 8), parameter=name)] + [
        Layer(part, LINEAR, (8, 8), parameter=name, view=WeightView(64 * i, (8, 1))) for i, part in enumerate("qkv")
    ]
    x, y = torch.randn(5, 1, 8), torch.randn(3, 1, 8)
    uses = {name: [use.values.shape[0] for use in found] for name, found in seen(model, layers, (x, y)).items()}
    assert uses == {"all": [5, 3], "q": [5], "k": [3], "v": [3]}


def test_a_traced_module_is_seen() -> None:
    model = torch.jit.trace(nn.Sequential(Conv1D(4, 3), nn.ReLU()).eval(), torch.randn(2, 4))
    layer = Layer("0", MATMUL, (4, 3), parameter="0.weight")
    assert len(seen(model, [layer], (torch.randn(2, 4),))["0"]) == 1


def test_nothing_is_left_when_the_model_fails() -> None:
    model = every_use()
    with pytest.raises(AssertionError), watched_weights(model, every_layer(), lambda *_: None):
        model(torch.zeros(1, 2, 3, dtype=torch.long))
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mkldnn.enabled
    assert not torch.is_inference_mode_enabled()
    assert not any(module._forward_pre_hooks for module in model.modules())
