"""Search for the axes along which a batch holds its samples, by comparing outputs of single samples and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from torch import Tensor

from palettune.evaluators.workload.sample_axes import FIRST, WHOLE, Inputs, SampleAxes
from palettune.evaluators.workload.state_check import close_tensors

__all__ = ["find_axes"]

_SAME = 1e-3  # of the outputs' norm: rounding that depends on the batch, not a sample that sees another one
_MOST_TRIALS = 12

Outputs = Sequence[Tensor]
Run = Callable[[Inputs], Outputs]


def find_axes(
    run: Run, items: Sequence[Inputs], first: Outputs, asked: Literal[0, 1, "none"] | None, random: Callable[[], bool]
) -> SampleAxes:
    """Find the axes along which items hold their samples.

    Args:
        run: returns the floating-point outputs for some inputs, from the model's first state and with a fixed seed.
        items: the first items of the data, one or more.
        first: the outputs for the first item.
        asked: the axis set by the user, which is used even if outputs disagree; ``None`` to search.
        random: returns whether outputs differ from run to run, so that they cannot be compared.
    """
    if asked == "none":
        return WHOLE
    for trial, inputs in enumerate(_assignments(items[0], (0, 1) if asked is None else (asked,))):
        if trial == _MOST_TRIALS:
            break
        found = _tried(run, inputs, items, first)
        if found is not None:
            return _plain(found)
    if asked is not None:
        return _as_asked(items[0], first, asked)
    return FIRST if random() else WHOLE


def _assignments(inputs: Inputs, mains: Sequence[int]) -> Iterator[tuple[int | None, ...]]:
    """Axes that samples may lie along, by input; the likeliest first."""
    seen = set()
    for main in mains:
        for count in dict.fromkeys(value.shape[main] for value in inputs if value.ndim > main):
            likely = tuple(_axis(value, main, count) for value in inputs)
            shared = ((*likely[:i], None, *likely[i + 1 :]) for i in range(len(likely)))
            for axes in (likely, *shared):
                if count and any(axis is not None for axis in axes) and axes not in seen:
                    seen.add(axes)
                    yield axes


def _axis(value: Tensor, main: int, count: int) -> int | None:
    return next((axis for axis in (main, 1 - main) if value.ndim > axis and value.shape[axis] == count), None)


def _tried(run: Run, axes: tuple[int | None, ...], items: Sequence[Inputs], first: Outputs) -> SampleAxes | None:
    """The axes, those of the outputs included, if samples give alone what they give together."""
    guess = SampleAxes(axes)
    count = guess.count(items[0])
    try:
        if count == 1:
            other = next((item for item in items[1:] if guess.fit_together(items[0], item)), None)
            other = other or _another(items[0], axes)
            together, alone, places = run(guess.join([items[0], other])), [first, run(other)], [0, 1]
            count = 2
        elif count is None:
            return None
        else:
            places = [0, count - 1]
            together, alone = first, [run(guess.part(items[0], place)) for place in places]
    except Exception:  # whatever the model does with what it is not made for
        return None
    main: int = next(axis for axis in axes if axis is not None)
    outputs: list[int | None] = []
    for index, whole in enumerate(together):
        if any(len(one) != len(together) for one in alone):
            return None
        singles = [one[index] for one in alone]
        axis = _output_axis(whole, singles, places, count, main)
        if axis == -1:
            return None
        outputs.append(axis)
    return SampleAxes(axes, tuple(outputs)) if any(axis is not None for axis in outputs) else None


def _output_axis(whole: Tensor, singles: Sequence[Tensor], places: Sequence[int], count: int, main: int) -> int | None:
    """The axis along which an output holds its samples; ``None`` for one that all share, -1 for one that fits nothing."""
    for axis in sorted(range(whole.ndim), key=lambda axis: axis != main):
        if whole.ndim <= axis or whole.shape[axis] != count:
            continue
        parts = [whole.narrow(axis, place, 1) for place in places]
        if all(close_tensors(part, single, _SAME) for part, single in zip(parts, singles, strict=True)):
            return axis
    return None if all(close_tensors(whole, single, _SAME) for single in singles) else -1


def _another(inputs: Inputs, axes: tuple[int | None, ...]) -> Inputs:
    """Other inputs of the same form: values that stand elsewhere."""
    return tuple(
        value if axis is None else value.flatten().roll(1).reshape(value.shape)
        for value, axis in zip(inputs, axes, strict=True)
    )


def _as_asked(inputs: Inputs, outputs: Outputs, main: int) -> SampleAxes:
    axes = next(iter(_assignments(inputs, (main,))), ())
    count = SampleAxes(axes).count(inputs) if axes else None
    if count is None:
        return WHOLE
    return _plain(SampleAxes(axes, tuple(_axis(value, main, count) for value in outputs)))


def _plain(axes: SampleAxes) -> SampleAxes:
    """The first axis everywhere has one spelling."""
    return FIRST if set(axes.inputs) | set(axes.outputs) == {0} else axes
