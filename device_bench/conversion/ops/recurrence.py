"""A recurrence over time in MIL: unrolled where it is short, a loop where it is long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from coremltools.converters.mil import Builder as mb

from palettune.device_bench.library_internals import is_symbolic

__all__ = ["UNROLLED", "at_run_time", "product", "recurrence"]

#: Up to so many steps are written out: ops on the Neural Engine and the GPU, where a loop runs on the CPU.
UNROLLED = 16

#: Makes the next states of a step's input (batch, width) and the states before it.
Step = Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]


def recurrence(inputs: Any, states: Sequence[Any], step: Step) -> tuple[Any, tuple[Any, ...]]:
    """Run a step over a sequence.

    Args:
        inputs: (length, batch, width).
        states: as they are at first, each (batch, its width); the first one is the output of a step.
        step: adds the ops of one step.

    Returns:
        The outputs (length, batch, width of the first state), and the last states.
    """
    length = inputs.shape[0]
    short = not is_symbolic(length) and length <= UNROLLED
    return (_unrolled if short else _looped)(inputs, tuple(states), step)


def at_run_time(state: Any, x: Any) -> Any:
    """Return a state, which a product would compute with while converting if it were a constant other than zeros.

    Args:
        state: (batch, width).
        x: (batch, any width); not constant.
    """
    if state.val is None or not np.any(state.val):
        return state
    column = mb.slice_by_index(x=x, begin=[0, 0], end=[0, 1], begin_mask=[True, False], end_mask=[True, False])
    return mb.add(x=mb.fill_like(ref_tensor=column, value=0.0), y=state)


def product(x: Any, weight: Any, bias: Any = None) -> Any:
    """``x @ weight.T + bias``, as a linear op where the weight is a constant; of zeros without the weight."""
    if x.val is not None and not np.any(x.val) and (bias is None or bias.val is not None):
        zeros = np.zeros((*x.shape[:-1], weight.shape[0]), np.float32)  # else it would be computed while converting
        return mb.const(val=zeros if bias is None else zeros + bias.val)
    constant = weight.val is not None or (weight.op is not None and weight.op.op_type.startswith("constexpr_"))
    if constant and (bias is None or bias.val is not None):
        return mb.linear(x=x, weight=weight, bias=bias) if bias is not None else mb.linear(x=x, weight=weight)
    result = mb.matmul(x=x, y=weight, transpose_y=True)
    return result if bias is None else mb.add(x=result, y=bias)


def _unrolled(inputs: Any, states: tuple[Any, ...], step: Step) -> tuple[Any, tuple[Any, ...]]:
    length = inputs.shape[0]
    steps = mb.split(x=inputs, num_splits=length, axis=0) if length > 1 else [inputs]
    outputs = []
    for index, one in enumerate(steps):
        x = mb.squeeze(x=one, axes=[0])
        states = step(x, states if index else tuple(at_run_time(state, x) for state in states))
        outputs.append(states[0])
    return mb.stack(values=outputs, axis=0), states


def _looped(inputs: Any, states: tuple[Any, ...], step: Step) -> tuple[Any, tuple[Any, ...]]:
    length = mb.slice_by_index(x=mb.shape(x=inputs), begin=[0], end=[1])
    width = mb.slice_by_index(x=mb.shape(x=states[0]), begin=[0], end=[2])
    outputs = mb.fill(shape=mb.concat(values=[length, width], axis=0), value=0.0)

    def more(index: Any, *_: Any) -> Any:
        return mb.less(x=index, y=length)

    def body(index: Any, outputs: Any, *before: Any) -> tuple[Any, ...]:
        one = mb.squeeze(x=mb.gather(x=inputs, indices=index, axis=0), axes=[0])
        after = step(one, before)
        updates = mb.expand_dims(x=after[0], axes=[0])
        return mb.add(x=index, y=1), mb.scatter(data=outputs, indices=index, updates=updates), *after

    _, outputs, *last = mb.while_loop(_cond=more, _body=body, loop_vars=([0], outputs, *states))
    return outputs, tuple(last)
