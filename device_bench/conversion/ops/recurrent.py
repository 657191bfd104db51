"""torch's recurrent layers as torch.export hands them over: one call for all layers and directions.

A layer without projection becomes one MIL ``lstm`` or ``rnn`` for each of torch's layers. A GRU does not become a MIL
``gru``, which multiplies by the reset gate before the recurrent product where torch does it after: it becomes linear
ops of the whole weights in a ``recurrence``, and so does an LSTM with a projection.
See https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from coremltools.converters.mil import Builder as mb

from palettune.device_bench.conversion.ops.converter import converter
from palettune.device_bench.conversion.ops.recurrence import at_run_time, product, recurrence
from palettune.device_bench.library_internals import front_end_inputs

__all__ = ["LSTM_GATES", "RecurrentCall", "gru_step", "lstm_step"]

#: Where MIL's lstm takes each quarter of a weight's rows from: torch stacks input, forget, cell, output gates.
LSTM_GATES = (0, 1, 3, 2)


@dataclass(frozen=True)
class Direction:
    """The weights of one direction of one layer; biases and the projection may be ``None``."""

    weight_ih: Any
    weight_hh: Any
    bias_ih: Any
    bias_hh: Any
    weight_hr: Any


@dataclass(frozen=True)
class RecurrentCall:
    """The arguments of ``aten.lstm.input``, ``aten.gru.input`` and their kind.

    Attributes:
        name: unique in the program.
        x: (length, batch, width).
        states: as they are at first: h, of an LSTM also c; each (layers * directions, batch, width).
        layers: for each layer its one or two directions.
        batch_first: the result is (batch, length, width).
    """

    name: str
    x: Any
    states: tuple[Any, ...]
    layers: tuple[tuple[Direction, ...], ...]
    batch_first: bool

    @classmethod
    def read(cls, context: Any, node: Any) -> RecurrentCall:
        """Read a call; ``input, states, weights, has_biases, layers, dropout, train, bidirectional, batch_first``."""
        x, states, weights, biases, layers, _, _, both, first = front_end_inputs(context, node)
        directions = 2 if both.val else 1
        count = len(weights) // (int(layers.val) * directions)
        parts = [_direction(weights[i : i + count], bool(biases.val)) for i in range(0, len(weights), count)]
        return cls(
            node.name,
            mb.transpose(x=x, perm=[1, 0, 2]) if first.val else x,
            tuple(states) if isinstance(states, (list, tuple)) else (states,),
            tuple(tuple(parts[i : i + directions]) for i in range(0, len(parts), directions)),
            bool(first.val),
        )

    def run(self, add: Layer) -> tuple[Any, ...]:
        """Add all layers; return what torch does: the sequence, and each state of all layers and directions."""
        x, last = self.x, []
        for index, directions in enumerate(self.layers):
            first = index * len(directions)
            states = [self._initial(first + side) for side in range(len(directions))]
            x, after = add(f"{self.name}_l{index}", x, states, directions)
            last += after
        x = mb.transpose(x=x, perm=[1, 0, 2]) if self.batch_first else x
        return x, *(mb.stack(values=list(same), axis=0) for same in zip(*last, strict=True))

    def _initial(self, index: int) -> tuple[Any, ...]:
        """The states of one direction of one layer, each (batch, width)."""
        return tuple(mb.squeeze(x=_row(state, index), axes=[0]) for state in self.states)


States = tuple[Any, ...]
#: Adds one layer: name, input, first states and weights by direction; returns the sequence, and last states by direction.
Layer = Callable[[str, Any, list[States], tuple[Direction, ...]], tuple[Any, list[States]]]
#: Adds one direction of a layer: name, input, first states, weights; returns the sequence and the last states.
OneWay = Callable[[str, Any, States, Direction], tuple[Any, States]]


def gru_step(gates: Any, h: Any, weight_hh: Any, bias_hh: Any) -> Any:
    """Add one step of a GRU: ``gates`` are the products of the input with its weight, biases included."""
    x_r, x_z, x_n = mb.split(x=gates, num_splits=3, axis=-1)
    h_r, h_z, h_n = mb.split(x=product(h, weight_hh, bias_hh), num_splits=3, axis=-1)
    r, z = mb.sigmoid(x=mb.add(x=x_r, y=h_r)), mb.sigmoid(x=mb.add(x=x_z, y=h_z))
    new = mb.tanh(x=mb.add(x=x_n, y=mb.mul(x=r, y=h_n)))
    return mb.add(x=new, y=mb.mul(x=z, y=mb.sub(x=h, y=new)))


def lstm_step(gates: Any, states: tuple[Any, ...], weights: Direction) -> tuple[Any, Any]:
    """Add one step of an LSTM, as ``gru_step``; returns h and c."""
    h, c = states
    recurrent = product(h, weights.weight_hh, weights.bias_hh)
    i, f, g, o = mb.split(x=mb.add(x=gates, y=recurrent), num_splits=4, axis=-1)
    kept, new = mb.mul(x=mb.sigmoid(x=f), y=c), mb.mul(x=mb.sigmoid(x=i), y=mb.tanh(x=g))
    c = mb.add(x=kept, y=new)
    h = mb.mul(x=mb.sigmoid(x=o), y=mb.tanh(x=c))
    return (h if weights.weight_hr is None else product(h, weights.weight_hr)), c


@converter("lstm.input")
def lstm_input(context: Any, node: Any) -> None:
    """``aten.lstm.input``: one ``lstm`` op for each layer."""
    context.add(RecurrentCall.read(context, node).run(_lstm), node.name)


@converter("gru.input")
def gru_input(context: Any, node: Any) -> None:
    """``aten.gru.input``: linear ops in a recurrence."""
    context.add(RecurrentCall.read(context, node).run(_by_direction(_gru)), node.name)


@converter("rnn_tanh.input")
def rnn_tanh_input(context: Any, node: Any) -> None:
    """``aten.rnn_tanh.input``: one ``rnn`` op for each direction of each layer."""
    context.add(RecurrentCall.read(context, node).run(_by_direction(_simple("tanh"))), node.name)


@converter("rnn_relu.input")
def rnn_relu_input(context: Any, node: Any) -> None:
    """``aten.rnn_relu.input``, as ``rnn_tanh_input``."""
    context.add(RecurrentCall.read(context, node).run(_by_direction(_simple("relu"))), node.name)


@converter()
def lstm_cell(context: Any, node: Any) -> None:
    """``aten.lstm_cell``: one step; ``input, (h, c), weight_ih, weight_hh, bias_ih, bias_hh``."""
    x, states, weight_ih, weight_hh, bias_ih, bias_hh = _cell(context, node)
    states = [at_run_time(state, x) for state in states]
    weights = Direction(weight_ih, weight_hh, bias_ih, bias_hh, None)
    context.add(lstm_step(product(x, weight_ih, bias_ih), tuple(states), weights), node.name)


@converter()
def gru_cell(context: Any, node: Any) -> None:
    """``aten.gru_cell``: one step; arguments as of ``lstm_cell`` with h alone."""
    x, h, weight_ih, weight_hh, bias_ih, bias_hh = _cell(context, node)
    h = at_run_time(h, x)
    context.add(gru_step(product(x, weight_ih, bias_ih), h, weight_hh, bias_hh), node.name)


@converter()
def rnn_tanh_cell(context: Any, node: Any) -> None:
    """``aten.rnn_tanh_cell``: one step."""
    context.add(mb.tanh(x=_simple_cell(context, node)), node.name)


@converter()
def rnn_relu_cell(context: Any, node: Any) -> None:
    """``aten.rnn_relu_cell``: one step."""
    context.add(mb.relu(x=_simple_cell(context, node)), node.name)


def _simple_cell(context: Any, node: Any) -> Any:
    x, h, weight_ih, weight_hh, bias_ih, bias_hh = _cell(context, node)
    h = at_run_time(h, x)
    return mb.add(x=product(x, weight_ih, bias_ih), y=product(h, weight_hh, bias_hh))


def _cell(context: Any, node: Any) -> tuple[Any, ...]:
    given = list(front_end_inputs(context, node))
    return tuple(given + [None] * (6 - len(given)))


def _direction(weights: list[Any], biases: bool) -> Direction:
    """Weights in torch's order: both products, their biases, the projection."""
    weight_ih, weight_hh, *rest = weights
    bias_ih, bias_hh = rest[:2] if biases else (None, None)
    return Direction(weight_ih, weight_hh, bias_ih, bias_hh, rest[-1] if len(rest) % 2 else None)


def _row(states: Any, index: int) -> Any:
    """One of several states, (1, batch, width)."""
    return mb.slice_by_index(
        x=states,
        begin=[index, 0, 0],
        end=[index + 1, 0, 0],
        begin_mask=[False, True, True],
        end_mask=[False, True, True],
    )


def _by_direction(add: OneWay) -> Layer:
    """A layer of directions that are added one by one; the second runs from the last input to the first."""

    def add_layer(
        name: str, x: Any, states: list[States], directions: tuple[Direction, ...]
    ) -> tuple[Any, list[States]]:
        output, last = add(name, x, states[0], directions[0])
        if len(directions) == 1:
            return output, [last]
        backwards, last_back = add(f"{name}_reverse", mb.reverse(x=x, axes=[0]), states[1], directions[1])
        return mb.concat(values=[output, mb.reverse(x=backwards, axes=[0])], axis=2), [last, last_back]

    return add_layer


def _lstm(name: str, x: Any, states: list[States], directions: tuple[Direction, ...]) -> tuple[Any, list[States]]:
    if directions[0].weight_hr is not None:
        return _by_direction(_projected)(name, x, states, directions)
    h, c = (mb.concat(values=list(same), axis=1) if len(same) > 1 else same[0] for same in zip(*states, strict=True))
    weights: dict[str, Any] = {}
    for suffix, direction in zip(("", "_back"), directions, strict=False):
        weights[f"weight_ih{suffix}"] = _regated(direction.weight_ih, f"{name}_weight_ih{suffix}")
        weights[f"weight_hh{suffix}"] = _regated(direction.weight_hh, f"{name}_weight_hh{suffix}")
        if direction.bias_ih is not None:
            weights[f"bias{suffix}"] = _rows(_summed(direction))
    way = "bidirectional" if len(directions) > 1 else "forward"
    made = mb.lstm(x=x, initial_h=h, initial_c=c, **weights, direction=way, output_sequence=True, name=name)
    if len(directions) == 1:
        return made[0], [(made[1], made[2])]
    return made[0], list(zip(*(mb.split(x=state, num_splits=2, axis=1) for state in made[1:]), strict=True))


def _projected(name: str, x: Any, states: States, weights: Direction) -> tuple[Any, States]:
    gates = product(x, weights.weight_ih, weights.bias_ih)
    return recurrence(gates, states, lambda one, before: lstm_step(one, before, weights))


def _gru(name: str, x: Any, states: States, weights: Direction) -> tuple[Any, States]:
    gates = product(x, weights.weight_ih, weights.bias_ih)
    return recurrence(
        gates, states, lambda one, before: (gru_step(one, before[0], weights.weight_hh, weights.bias_hh),)
    )


def _simple(activation: str) -> OneWay:
    def add(name: str, x: Any, states: States, weights: Direction) -> tuple[Any, States]:
        bias = {} if weights.bias_ih is None else {"bias": _summed(weights)}
        output, h = mb.rnn(
            x=x,
            initial_h=states[0],
            weight_ih=weights.weight_ih,
            weight_hh=weights.weight_hh,
            **bias,
            output_sequence=True,
            activation=activation,
            name=name,
        )
        return output, (h,)

    return add


def _summed(weights: Direction) -> np.ndarray[Any, Any]:
    """Both biases as one, which MIL's ops take."""
    total: np.ndarray[Any, Any] = weights.bias_ih.val + weights.bias_hh.val
    return total


def _rows(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The gates of an LSTM in the order of MIL's."""
    quarters = np.split(value, 4)
    return np.concatenate([quarters[gate] for gate in LSTM_GATES])


def _regated(weight: Any, name: str) -> Any:
    """An LSTM's weight with its gates in the order of MIL's."""
    if weight.val is None:
        raise NotImplementedError(f"{weight.name}: the weight of an LSTM is a constant of the program, not computed")
    return mb.const(val=_rows(weight.val), name=name)
