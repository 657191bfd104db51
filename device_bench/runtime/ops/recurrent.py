"""Recurrent layers.

Meaning: coremltools ``ops/defs/iOS15/recurrent.py``, ``iOS17/recurrent.py`` and ``iOS18/recurrent.py``.

A layer that runs in reverse returns its states in the order in which it made them; a bidirectional one returns both
directions in the order of time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.registry import kernel

Activation = Callable[[Tensor], Tensor]


def _hard_sigmoid(x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clamp(0, 1)


def _linear(x: Tensor) -> Tensor:
    return x


# With their default slopes a scaled tanh is a tanh (coremltools ``ops/tests/iOS14/test_recurrent.py``).
_ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "linear": _linear,
    "scaled_tanh": torch.tanh,
    "hard_sigmoid": _hard_sigmoid,
    "sigmoid_hard": _hard_sigmoid,
}


def _collect(states: list[Tensor], output_sequence: bool) -> Tensor:
    return torch.stack(states) if output_sequence else states[-1].unsqueeze(0)


@kernel("rnn")
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None,
    *,
    direction: str,
    output_sequence: bool,
    activation: str,
) -> tuple[Tensor, Tensor]:
    """``h = activation(W_ih x + W_hh h + b)`` over a sequence [s, b, I]; hidden states [s or 1, b, H] and the last."""
    act = _ACTIVATIONS[activation]
    inputs = F.linear(x.flip(0) if direction == "reverse" else x, weight_ih, bias)
    h, states = initial_h, []
    for step in inputs:
        h = act(step + F.linear(h, weight_hh))
        states.append(h)
    return _collect(states, output_sequence), h


@kernel("gru")
def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None,
    input_bias: Tensor | None,
    *,
    direction: str,
    output_sequence: bool,
    recurrent_activation: str,
    activation: str,
    reset_after: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Gated recurrent unit, gates stacked reset, output, update, the reset gate applied before the recurrent product.

    ``reset_after`` is refused: its documentation contradicts itself and no converter of coremltools emits it.
    """
    if reset_after:
        raise NotImplementedError("gru with reset_after=True has no settled meaning in coremltools' documentation")
    gate, act = _ACTIVATIONS[recurrent_activation], _ACTIVATIONS[activation]
    inputs = F.linear(x.flip(0) if direction == "reverse" else x, weight_ih, bias)
    if input_bias is not None:
        inputs = inputs + input_bias
    hidden = initial_h.shape[-1]
    reset, output, update = torch.split(weight_hh, hidden)
    h, states = initial_h, []
    for step in inputs:
        x_r, x_o, x_z = step.split(hidden, dim=-1)
        r, z = gate(x_r + F.linear(h, reset)), gate(x_z + F.linear(h, update))
        h = (1 - z) * act(x_o + F.linear(r * h, output)) + z * h
        states.append(h)
    return _collect(states, output_sequence), h


def _lstm_direction(
    x: Tensor,
    state: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor, Tensor | None, Tensor | None],
    acts: tuple[Activation, Activation, Activation],
    clip: float | None,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """One direction over [s, b, I]; gates stacked input, forget, output, cell. All hidden states, the last h and c."""
    (h, c), (weight_ih, weight_hh, bias, peephole) = state, weights
    gate, cell, act = acts
    hidden = weight_hh.shape[-1]
    peep_i, peep_f, peep_o = (0.0, 0.0, 0.0) if peephole is None else torch.split(peephole, hidden)
    states = []
    for step in F.linear(x, weight_ih, bias):
        i, f, o, g = (step + F.linear(h, weight_hh)).split(hidden, dim=-1)
        c = gate(f + peep_f * c) * c + gate(i + peep_i * c) * cell(g)
        c = c if clip is None else c.clamp(-clip, clip)
        h = gate(o + peep_o * c) * act(c)
        states.append(h)
    return states, h, c


@kernel("lstm")
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None,
    peephole: Tensor | None,
    weight_ih_back: Tensor | None,
    weight_hh_back: Tensor | None,
    bias_back: Tensor | None,
    peephole_back: Tensor | None,
    *,
    direction: str,
    output_sequence: bool,
    recurrent_activation: str,
    cell_activation: str,
    activation: str,
    clip: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Long short-term memory over [s, b, I]: hidden states [s or 1, b, H or 2H], the last h and c."""
    acts = (_ACTIVATIONS[recurrent_activation], _ACTIVATIONS[cell_activation], _ACTIVATIONS[activation])
    ahead = (weight_ih, weight_hh, bias, peephole)
    if direction != "bidirectional":
        x = x.flip(0) if direction == "reverse" else x
        states, h, c = _lstm_direction(x, (initial_h, initial_c), ahead, acts, clip)
        return _collect(states, output_sequence), h, c
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("a bidirectional lstm needs weight_ih_back and weight_hh_back")
    (h_ahead, h_back), (c_ahead, c_back) = initial_h.chunk(2, -1), initial_c.chunk(2, -1)
    back = (weight_ih_back, weight_hh_back, bias_back, peephole_back)
    states_ahead, h_ahead, c_ahead = _lstm_direction(x, (h_ahead, c_ahead), ahead, acts, clip)
    states_back, h_back, c_back = _lstm_direction(x.flip(0), (h_back, c_back), back, acts, clip)
    h, c = torch.cat((h_ahead, h_back), -1), torch.cat((c_ahead, c_back), -1)
    if not output_sequence:
        return h.unsqueeze(0), h, c
    return torch.cat((torch.stack(states_ahead), torch.stack(states_back[::-1])), -1), h, c
