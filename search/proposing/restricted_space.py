"""A search space with some of its choices taken: layers fixed in one encoding, encodings forbidden everywhere."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from palettune.space.encoding import Encoding
from palettune.space.errors import suggestion
from palettune.space.search_space import SearchSpace, SearchSpaceError

__all__ = ["restricted_space"]

_SHOWN = 12


def restricted_space(space: SearchSpace, fix: Mapping[str, str], forbid: Sequence[str] = ()) -> SearchSpace:
    """Return the space with shorter menus.

    Args:
        fix: layer name or pattern (``*.conv``) -> spelling of the one encoding that these layers, and the layers that
            share an encoding with them, are to have; of several that match a layer the last one counts.
        forbid: spellings, or patterns of them (``lut2*``), that no layer takes unless it is fixed in one.

    Raises:
        SearchSpaceError: a pattern that nothing matches, an encoding that a layer's menu lacks, layers of one group
            fixed in two, or a layer to which nothing is left.
    """
    wanted = _fixed(space, fix)
    barred = _barred(space, forbid)
    menus = dict(space.menus)
    for group in space.groups:
        chosen = {wanted[name] for name in group if name in wanted}
        if len(chosen) > 1:
            raise SearchSpaceError(
                f"the layers {', '.join(group)} share one encoding; fix them in one, not in {_listed(chosen)}"
            )
        left = tuple(e for e in space.menus[group[0]].encodings if (e in chosen if chosen else e not in barred))
        if not left:
            raise SearchSpaceError(f"layer {group[0]!r}: every encoding of its menu is forbidden; fix it, or allow one")
        for name in group:
            menus[name] = replace(space.menus[name], encodings=left)
    return replace(space, menus=MappingProxyType(menus))


def _fixed(space: SearchSpace, fix: Mapping[str, str]) -> dict[str, Encoding]:
    """The encoding of each fixed layer."""
    owner = {name: group for group in space.groups for name in group}
    found: dict[str, Encoding] = {}
    for pattern, spelling in fix.items():
        encoding = Encoding.parse(spelling)
        names = [name for name in owner if name == pattern or fnmatch.fnmatchcase(name, pattern)]
        if not names:
            raise SearchSpaceError(f"{pattern!r} matches no layer{suggestion(pattern, owner)}")
        for name in names:
            offered = space.menus[owner[name][0]].encodings
            if encoding not in offered:
                raise SearchSpaceError(
                    f"layer {name!r} cannot be fixed in {str(encoding)!r}: its menu is {_listed(offered)}"
                )
            found[name] = encoding
    return found


def _barred(space: SearchSpace, forbid: Sequence[str]) -> set[Encoding]:
    """The forbidden encodings."""
    offered = dict.fromkeys(e for menu in space.menus.values() for e in menu.encodings)
    found: set[Encoding] = set()
    for pattern in forbid:
        matching = {e for e in offered if fnmatch.fnmatchcase(str(e), pattern.lower())}
        if not matching:
            raise SearchSpaceError(f"no layer has the encoding {pattern!r} in its menu; offered are {_listed(offered)}")
        found |= matching
    return found


def _listed(encodings: Sequence[Encoding] | set[Encoding] | Mapping[Encoding, None]) -> str:
    spelt = [str(encoding) for encoding in encodings]
    more = f" and {len(spelt) - _SHOWN} more" if len(spelt) > _SHOWN else ""
    return ", ".join(spelt[:_SHOWN]) + more
