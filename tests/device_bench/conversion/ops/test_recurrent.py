"""torch's recurrent layers through torch.export, against torch, executed by the reference runtime."""

import numpy as np
import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import converted
from palettune.device_bench.conversion.ops.recurrent import LSTM_GATES
from palettune.device_bench.package.package import weights
from palettune.space.target import DeploymentTarget
from tests.device_bench.conversion.ops.twins import check


class Whole(nn.Module):
    """A recurrent layer of which every output is returned, from given states."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x, *states):
        given = states if len(states) > 1 else states[0] if states else None
        sequence, last = self.layer(x, given)
        return sequence, *(last if isinstance(last, tuple) else (last,))


def layer_of(kind, **settings):
    torch.manual_seed(3)
    module = kind(6, 5, **settings)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -0.9, 0.9)
    return Whole(module)


def states_of(layer, batch):
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = [layer.proj_size or layer.hidden_size, layer.hidden_size]
    return tuple(torch.randn(count, batch, width) for width in widths[: 2 if isinstance(layer, nn.LSTM) else 1])


CASES = [
    (nn.LSTM, {}, "lstm"),
    (nn.LSTM, {"batch_first": True, "bidirectional": True, "num_layers": 2}, "lstm"),
    (nn.LSTM, {"bias": False, "num_layers": 2}, "lstm"),
    (nn.LSTM, {"proj_size": 3, "bidirectional": True}, "linear"),
    (nn.GRU, {}, "linear"),
    (nn.GRU, {"batch_first": True, "bidirectional": True, "num_layers": 2}, "linear"),
    (nn.GRU, {"bias": False}, "linear"),
    (nn.RNN, {"nonlinearity": "tanh", "num_layers": 2}, "rnn"),
    (nn.RNN, {"nonlinearity": "relu", "bidirectional": True, "bias": False, "batch_first": True}, "rnn"),
]


@pytest.mark.slow
@pytest.mark.matrix(4)
@pytest.mark.parametrize(("kind", "settings", "op"), CASES)
def test_a_layer_computes_what_torch_does(kind, settings, op, tmp_path):
    module = layer_of(kind, **settings)
    x = torch.randn(2, 4, 6) if settings.get("batch_first") else torch.randn(4, 2, 6)
    kinds = check(module, (x, *states_of(module.layer, 2)), tmp_path)
    assert op in kinds.values()
    assert "while_loop" not in kinds.values()


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
@pytest.mark.parametrize("settings", [{"bidirectional": True}, {"num_layers": 2, "batch_first": True}])
def test_a_long_gru_is_a_loop_with_its_whole_weights(settings, target, tmp_path):
    module = layer_of(nn.GRU, **settings)
    x = torch.randn(1, 40, 6) if settings.get("batch_first") else torch.randn(40, 1, 6)
    kinds = check(module, (x,), tmp_path, target=target)
    assert "while_loop" in kinds.values()
    found = {weight.shape for weight in weights(tmp_path / "twin.mlpackage") if len(weight.shape) == 2}
    assert {(15, 6), (15, 5)} <= found


def test_an_lstm_holds_its_gates_in_the_order_of_mil(tmp_path):
    module = layer_of(nn.LSTM)
    made = converted(module.eval(), (torch.randn(4, 1, 6),), DeploymentTarget.IOS18)
    made.model.save(str(tmp_path / "one.mlpackage"))
    quarters = module.layer.weight_ih_l0.detach().numpy().astype(np.float16).reshape(4, 5, 6)
    wanted = quarters[list(LSTM_GATES)].reshape(20, 6)
    assert any(np.array_equal(weight.value, wanted) for weight in weights(tmp_path / "one.mlpackage"))


@pytest.mark.slow
def test_several_layers_in_one_model_keep_their_weights(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.LSTM(6, 6, batch_first=True), nn.LSTM(6, 6, batch_first=True)
            self.third = nn.GRU(6, 6, batch_first=True)

        def forward(self, x):
            return self.third(self.second(self.first(x)[0])[0])[0]

    torch.manual_seed(0)
    kinds = check(Two(), (torch.randn(1, 5, 6),), tmp_path)
    assert sum(kind == "lstm" for kind in kinds.values()) == 6  # each has three outputs
    assert sum(weight.shape in ((24, 6), (18, 6)) for weight in weights(tmp_path / "twin.mlpackage")) == 6


@pytest.mark.matrix(3)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_cell_computes_what_torch_does(kind, bias, tmp_path):
    torch.manual_seed(1)
    check(kind(6, 5, bias=bias), (torch.randn(2, 6),), tmp_path)


def test_a_cell_of_rectified_units(tmp_path):
    torch.manual_seed(1)
    check(nn.RNNCell(6, 5, nonlinearity="relu"), (torch.randn(2, 6),), tmp_path)


class Begun(nn.Module):
    """A GRU, or one step of one, from a learned state."""

    def __init__(self, cell: bool, scale: float) -> None:
        super().__init__()
        self.gru = nn.GRUCell(16, 32) if cell else nn.GRU(16, 32, batch_first=True)
        self.start = nn.Parameter(scale * torch.randn(1, 32) if cell else scale * torch.randn(1, 1, 32))

    def forward(self, x):
        if isinstance(self.gru, nn.GRUCell):
            return self.gru(x[:, 0], self.start.expand(len(x), -1))
        return self.gru(x, self.start.expand(-1, len(x), -1).contiguous())[0]


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "scale"), [(False, 1.0), (True, 1.0), (False, 0.0)])
def test_a_learned_first_state_leaves_the_weights_as_they_are(cell, scale, tmp_path):
    torch.manual_seed(0)
    module, x = Begun(cell, scale).eval(), torch.randn(1, 5, 16)
    base = base_program(module, (x,), DeploymentTarget.IOS18)
    suffix = "" if cell else "_l0"
    assert {f"gru.weight_ih{suffix}", f"gru.weight_hh{suffix}"} == {layer.name for layer in base.layers}
    check(module, (x,), tmp_path)
