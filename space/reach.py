"""Smallest and largest reachable size of a search space, and the layers that set it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from palettune.space.footprint import layer_bytes
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

__all__ = ["BudgetError", "Reach", "check_budget", "reachable_sizes"]

_SHOWN = 5


class BudgetError(UserError):
    """A budget below what a search space can reach."""


@dataclass(frozen=True)
class Reach:
    """Reachable sizes of a search space, in bytes of the weight file.

    Attributes:
        smallest: configuration with the fewest bytes.
        largest: configuration with the most bytes.
        smallest_bytes: bytes of ``smallest``, the rest of the program included.
        largest_bytes: bytes of ``largest``, likewise.
        rest_bytes: bytes that no encoding changes.
        blocking: layers by the bytes that ``smallest`` still spends on them, most first.
    """

    smallest: Configuration
    largest: Configuration
    smallest_bytes: int
    largest_bytes: int
    rest_bytes: int
    blocking: tuple[tuple[str, int], ...]


def reachable_sizes(space: SearchSpace, target: DeploymentTarget, rest_bytes: int = 0) -> Reach:
    """Return the reachable sizes. ``rest_bytes``: bytes in the weight file of everything that is no layer's weight."""
    layers = {layer.name: layer for layer in space.layers}

    def group_bytes(group: tuple[str, ...], encoding: Encoding) -> int:
        return sum(layer_bytes(layers[name], encoding, target) for name in group)

    smallest, largest = (_extreme(space, group_bytes, pick) for pick in (min, max))
    spent = {name: layer_bytes(layer, smallest.encodings[name], target) for name, layer in layers.items()}
    most = sum(layer_bytes(layer, largest.encodings[name], target) for name, layer in layers.items())
    blocking = tuple(sorted(spent.items(), key=lambda item: (-item[1], item[0])))
    return Reach(smallest, largest, rest_bytes + sum(spent.values()), rest_bytes + most, rest_bytes, blocking)


def check_budget(found: Reach, budget_bytes: float) -> None:
    """Raise BudgetError where a budget is below the smallest size, with that size and the layers that block."""
    if budget_bytes >= found.smallest_bytes:
        return
    listed = ", ".join(
        f"{name} ({size / 1e6:.3f} MB as {found.smallest.encodings[name]})" for name, size in found.blocking[:_SHOWN]
    )
    raise BudgetError(
        f"a weight file of {budget_bytes / 1e6:.3f} MB cannot be reached: the smallest is "
        f"{found.smallest_bytes / 1e6:.3f} MB, of which {found.rest_bytes / 1e6:.3f} MB belong to no layer; most is "
        f"spent on {listed}. Allow more bytes, or smaller encodings for these layers"
    )


def _extreme(
    space: SearchSpace,
    group_bytes: Callable[[tuple[str, ...], Encoding], int],
    pick: Callable[..., Encoding],
) -> Configuration:
    """Fewest or most bytes; of equals the first in canonical order."""
    encodings: dict[str, Encoding] = {}
    for group in space.groups:
        chosen = pick(space.menus[group[0]].encodings, key=lambda encoding, group=group: group_bytes(group, encoding))
        encodings.update(dict.fromkeys(group, chosen))
    return space.configuration(encodings)
