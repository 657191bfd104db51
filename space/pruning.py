"""Menu pruning: drop encodings that another one beats in both bytes and weight error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from palettune.space.encoding import Encoding
from palettune.space.menu import Menu
from palettune.space.search_space import SearchSpace

__all__ = ["Pruned", "dominated", "prune_menus"]

Costs = Mapping[Encoding, tuple[float, float]]


@dataclass(frozen=True)
class Pruned:
    """A search space with shorter menus.

    Attributes:
        space: what is left.
        dropped: encodings dropped by the first layer of each group; groups that lost none are left out.
    """

    space: SearchSpace
    dropped: Mapping[str, tuple[Encoding, ...]]

    @property
    def count(self) -> int:
        """Number of encodings dropped, a group counted once."""
        return sum(map(len, self.dropped.values()))


def dominated(costs: Costs) -> tuple[Encoding, ...]:
    """Return the encodings that another one beats: no worse in bytes and error, and better in one of them.

    Of encodings equal in both, the first in canonical order stays. Raises ValueError for a cost that is not finite.
    """
    for encoding, pair in costs.items():
        if not all(abs(value) < float("inf") for value in pair):
            raise ValueError(f"encoding {str(encoding)!r} has the costs {pair}; both must be finite")
    ordered = sorted(costs, key=lambda encoding: (*costs[encoding], encoding.sort_key))
    lost, least_error = [], float("inf")
    for encoding in ordered:
        error = costs[encoding][1]
        if error >= least_error:
            lost.append(encoding)
        least_error = min(least_error, error)
    return tuple(sorted(lost, key=lambda encoding: encoding.sort_key))


def prune_menus(space: SearchSpace, costs: Callable[[str, Encoding], tuple[float, float]]) -> Pruned:
    """Drop dominated encodings from each menu; layers of a group are judged together, and ``fp16`` always stays.

    Args:
        space: the space to shorten.
        costs: bytes and weight error of one layer (by name) in one encoding. A group's costs are its layers' sums.
    """
    menus, dropped = dict(space.menus), {}
    for group in space.groups:
        menu = menus[group[0]]
        lost = set(dominated({e: _sum([costs(name, e) for name in group]) for e in menu.encodings})) - {Encoding()}
        if lost:
            dropped[group[0]] = tuple(e for e in menu.encodings if e in lost)
            menus.update({name: _without(menus[name], lost) for name in group})
    return Pruned(replace(space, menus=menus), dropped)


def _sum(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


def _without(menu: Menu, lost: set[Encoding]) -> Menu:
    reason = "dominated: another encoding of its menu is no larger and no less accurate"
    return Menu(
        menu.layer,
        tuple(e for e in menu.encodings if e not in lost),
        {**menu.refused, **{e: reason for e in menu.encodings if e in lost}},
    )
