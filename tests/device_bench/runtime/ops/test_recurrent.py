"""Recurrent layers against torch's, and against the references in coremltools' tests."""

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import nn

from tests.device_bench.runtime.support.mil import outputs_of

FEW = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**16)


def floats(shape, seed, low=-2.0, high=2.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def close(mine, expected, atol=1e-5, rtol=1e-4):
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    assert mine.shape == expected.shape
    np.testing.assert_allclose(mine, expected, atol=atol, rtol=rtol)


def _gates(weight, order, hidden):
    parts = np.split(weight, len(order))
    return np.concatenate([parts[place] for place in order])


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("output_sequence", [True, False])
def test_lstm_is_torchs(direction, output_sequence):
    both = direction == "bidirectional"
    layer = nn.LSTM(3, 4, bidirectional=both)
    x = torch.randn(5, 2, 3)
    h0, c0 = torch.randn(2, 1 + both, 2, 4).unbind(0)
    with torch.no_grad():
        expected, (h, c) = layer(x.flip(0) if direction == "reverse" else x, (h0, c0))
    state = {name: value.detach().numpy() for name, value in layer.state_dict().items()}
    order = [0, 1, 3, 2]  # torch stacks input, forget, cell, output; MIL input, forget, output, cell
    given_weights = {
        "weight_ih": _gates(state["weight_ih_l0"], order, 4),
        "weight_hh": _gates(state["weight_hh_l0"], order, 4),
        "bias": _gates(state["bias_ih_l0"] + state["bias_hh_l0"], order, 4),
    }
    if both:
        given_weights["weight_ih_back"] = _gates(state["weight_ih_l0_reverse"], order, 4)
        given_weights["weight_hh_back"] = _gates(state["weight_hh_l0_reverse"], order, 4)
        given_weights["bias_back"] = _gates(state["bias_ih_l0_reverse"] + state["bias_hh_l0_reverse"], order, 4)
    attributes = {**given_weights, "direction": direction, "output_sequence": output_sequence}
    start = {name: torch.cat(tuple(value), -1).numpy() for name, value in (("initial_h", h0), ("initial_c", c0))}
    sequence, last_h, last_c = outputs_of("lstm", attributes, x=x.numpy(), **start)
    close(last_h, torch.cat(tuple(h), -1))
    close(last_c, torch.cat(tuple(c), -1))
    close(sequence, expected if output_sequence else torch.cat(tuple(h), -1)[None])


def test_lstm_with_peephole_and_clip():
    """Against the reference in coremltools' ``ops/tests/iOS14/test_recurrent.py``, written out."""
    x, weight_ih, weight_hh = floats((4, 1, 3), 0), floats((8, 3), 1), floats((8, 2), 2)
    bias, peephole = floats((8,), 3), floats((6,), 4)
    attributes = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias, "peephole": peephole}
    attributes |= {"clip": np.float32(0.3), "output_sequence": True, "recurrent_activation": "hard_sigmoid"}
    zeros = np.zeros((1, 2), np.float32)
    sequence, _, _ = outputs_of("lstm", attributes, x=x, initial_h=zeros, initial_c=zeros)
    hard = lambda v: np.clip(0.2 * v + 0.5, 0, 1)  # noqa: E731
    h, c, expected = np.zeros(2), np.zeros(2), []
    p_i, p_f, p_o = np.split(peephole, 3)
    for step in x[:, 0]:
        i, f, o, g = np.split(weight_ih @ step + weight_hh @ h + bias, 4)
        c = np.clip(hard(f + c * p_f) * c + hard(i + c * p_i) * np.tanh(g), -0.3, 0.3)
        h = hard(o + c * p_o) * np.tanh(c)
        expected.append(h)
    close(sequence[:, 0], np.stack(expected))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gru_by_its_formula(direction):
    """Against the reference in coremltools' ``ops/tests/iOS14/test_recurrent.py``, written out."""
    x, weight_ih, weight_hh, bias = floats((4, 1, 3), 0), floats((6, 3), 1), floats((6, 2), 2), floats((6,), 3)
    start = floats((1, 2), 4)
    attributes = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias, "output_sequence": True}
    sequence, last = outputs_of("gru", {**attributes, "direction": direction}, x=x, initial_h=start)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    h, expected = start[0], []
    for step in x[:: -1 if direction == "reverse" else 1, 0]:
        x_r, x_o, x_z = np.split(weight_ih @ step + bias, 3)
        h_r, h_o, h_z = np.split(weight_hh, 3)
        r, z = sigmoid(x_r + h_r @ h), sigmoid(x_z + h_z @ h)
        h = (1 - z) * np.tanh(x_o + h_o @ (r * h)) + z * h
        expected.append(h)
    close(sequence[:, 0], np.stack(expected))
    close(last[0], expected[-1])


def test_gru_refuses_reset_after():
    zeros = np.zeros((1, 2), np.float32)
    attributes = {"weight_ih": floats((6, 3), 0), "weight_hh": floats((6, 2), 1), "reset_after": True}
    with pytest.raises(RuntimeError, match="reset_after"):
        outputs_of("gru", attributes, x=floats((2, 1, 3), 2), initial_h=zeros)


def test_rnn_is_torchs():
    layer = nn.RNN(3, 4, nonlinearity="relu")
    x, h0 = torch.randn(5, 2, 3), torch.randn(1, 2, 4)
    state = {name: value.detach().numpy() for name, value in layer.state_dict().items()}
    attributes = {"weight_ih": state["weight_ih_l0"], "weight_hh": state["weight_hh_l0"], "activation": "relu"}
    attributes |= {"bias": state["bias_ih_l0"] + state["bias_hh_l0"], "output_sequence": True}
    sequence, last = outputs_of("rnn", attributes, x=x.numpy(), initial_h=h0[0].numpy())
    expected, h = layer(x, h0)
    close(sequence, expected)
    close(last, h[0])
