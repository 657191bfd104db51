"""State that a forward pass carries to the next input, as states of a Core ML program.

Core ML states hold fp16 values, keep their shape, and begin at zeros. Each place of a module that holds state becomes
one: before a forward pass the module gets what it began with plus the state, and what it leaves there, less the same,
is the next state. See https://apple.github.io/coremltools/docs-guides/source/stateful-models.html.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.held_value import ABSENT
from palettune.device_bench.model.recurrent_state import Place, RecurrentState
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget

__all__ = ["CarriedState", "PackageStateError", "check_holdable"]

_FIRST_GENERATION = 18


class PackageStateError(UserError):
    """State that a package cannot hold; the message names it and says what to do."""


def check_holdable(
    state: RecurrentState, module: nn.Module, example_inputs: tuple[Tensor, ...], target: DeploymentTarget
) -> None:
    """Raise PackageStateError for state that no package for a target can hold, before anything is converted.

    Args:
        module: in that state; run once on the example where there is any.

    Raises:
        PackageStateError: naming the state and the mend.
    """
    if not state.recurrent:
        return
    if target.generation < _FIRST_GENERATION:
        raise PackageStateError(
            f"the model carries state from one input to the next ({_listed(state.names)}), and a package for {target} "
            'has none: raise deployment_target to "iOS18" (macOS15) or later, or take the state in as an input and give '
            "it back as an output"
        )
    with state.around(module), torch.no_grad():
        module(*example_inputs)
        after = {place: place.get(module) for place in state.read}
    for place in sorted(state.read):
        problem = _problem(state, place, after[place])
        if problem:
            raise PackageStateError(
                f"the model carries state from one input to the next in {str(place)!r}, {problem}, and a state of a "
                "package is a tensor of floats that keeps its shape: keep it in such a buffer (register_buffer), or take "
                "it in as an input"
            )


def _problem(state: RecurrentState, place: Place, after: Any) -> str | None:
    held = state.tensor(place)
    if held is None:
        found = f"a {type(after).__name__}" if after is not ABSENT else "nothing"
        return f"which holds {found} and not a tensor from the start"
    if not held.value.is_floating_point():
        return f"which holds {held.value.dtype}"
    if isinstance(after, Tensor) and after.shape != held.value.shape:
        return f"whose shape changes from {tuple(held.value.shape)} to {tuple(after.shape)}"
    return None


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{', '.join(names[:4])}{more}"


class CarriedState(nn.Module):
    """States of a program as buffers that a forward pass reads and writes, the form that the converter recognizes.

    What is written and never read is written into copies, of which nothing reaches the program.

    Args:
        state: what ``module`` holds at first.
        taken: names that no state may have.
    """

    def __init__(self, state: RecurrentState, module: nn.Module, taken: tuple[str, ...]) -> None:
        super().__init__()
        self._carried: list[tuple[Place, str]] = []
        unread = state.only([place for place in state.values if place not in state.read])
        self._unread = [place for place in unread.values if unread.tensor(place) is not None]
        for place in sorted(state.read):
            held = state.tensor(place)
            assert held is not None  # or else it would have been refused
            name = self._name(place, taken)
            self._carried.append((place, name))
            self.register_buffer(name, torch.zeros(held.value.shape or (1,)))
            first = held.value.detach().clone()
            self.register_buffer(f"{name}_begin", first if bool(first.any()) else None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the states."""
        return tuple(name for _, name in self._carried)

    def _name(self, place: Place, taken: tuple[str, ...]) -> str:
        name = re.sub(r"\W", "_", str(place))
        name = name if name[0].isalpha() else f"state_{name}"
        while name in taken or hasattr(self, name):
            name += "_state"
        return name

    def put(self, module: nn.Module) -> list[Any]:
        """Put the states into their places; return the values that were there."""
        before = [place.get(module) for place in self._unread]
        for place, current in zip(self._unread, before, strict=True):
            place.put(module, current.clone())
        for place, name in self._carried:
            current = place.get(module)
            before.append(current)
            value, begin = self.get_buffer(name).clone().reshape(current.shape), getattr(self, f"{name}_begin")
            place.put(module, (value if begin is None else value + begin).to(current.dtype))
        return before

    def take(self, module: nn.Module, before: list[Any]) -> None:
        """Read what a forward pass has left in the places, and put the earlier values back."""
        for place, earlier in zip(self._unread, before, strict=False):
            place.put(module, earlier)
        for (place, name), earlier in zip(self._carried, before[len(self._unread) :], strict=True):
            value, begin = place.get(module), getattr(self, f"{name}_begin")
            state = self.get_buffer(name)
            state.copy_((value if begin is None else value - begin).to(state.dtype).reshape(state.shape))
            place.put(module, earlier)
