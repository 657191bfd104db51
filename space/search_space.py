"""Search spaces: all menus, plus groups of layers that must share an encoding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.encoding_parts import Linear, Table
from palettune.space.errors import UserError, suggestion
from palettune.space.layer import Layer
from palettune.space.menu import Menu, menu
from palettune.space.target import DeploymentTarget

__all__ = ["SearchSpace", "SearchSpaceError"]


class SearchSpaceError(UserError):
    """A search space that cannot be built, or a choice outside it."""


@dataclass(frozen=True)
class SearchSpace:
    """All configurations of a model: a menu for each layer, and groups that share an encoding.

    Attributes:
        layers: the layers, in the model's order.
        menus: layer name -> menu; layers of one group have the same encodings.
        groups: disjoint groups that cover all layers, each a tuple of layer names; a parameter each, named by the
            group's first layer.
    """

    layers: tuple[Layer, ...]
    menus: Mapping[str, Menu]
    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def build(
        cls,
        layers: Sequence[Layer],
        encodings: Iterable[Encoding],
        target: DeploymentTarget,
        *,
        groups: Iterable[Sequence[str]] = (),
        found: Iterable[Sequence[str]] = (),
        keep: Iterable[str] = (),
        min_elements: int = 0,
    ) -> SearchSpace:
        """Build the menus of all layers, and the groups.

        Args:
            layers: the model's layers.
            encodings: the encodings asked for; each must be legal for at least one layer.
            target: the deployment target.
            groups: layers that must share an encoding, as the user says; a group of one stands alone. A layer that
                is kept leaves its group.
            found: groups found in the model (``groups.shared_groups``). A layer named in ``groups`` leaves them, and of the
                others those share an encoding that have the same menu.
            keep: names of layers that stay fp16.
            min_elements: smaller layers stay fp16.

        Raises:
            SearchSpaceError: for an unknown or repeated layer, an encoding that no layer can take, or a group of the
                user's whose layers have nothing but fp16 in common.
        """
        names = [layer.name for layer in layers]
        wanted, kept = list(encodings), set(keep)
        _known(kept, names)
        menus = {
            layer.name: menu(layer, () if layer.name in kept else wanted, target, min_elements=min_elements)
            for layer in layers
        }
        _each_has_a_layer(wanted, menus.values())
        asked = [[name for name in group if name not in kept] for group in _checked(groups, names)]
        for group in asked:
            menus.update(_shared(group, menus))
        named = {name for group in asked for name in group}
        alike = _alike([[name for name in group if name not in named] for group in _checked(found, names)], menus)
        return cls(tuple(layers), menus, _complete([*asked, *alike], names))

    @property
    def size(self) -> int:
        """Number of configurations."""
        return math.prod(len(self.menus[group[0]].encodings) for group in self.groups)

    @cached_property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Categorical parameters: group name -> spellings, for each group with more than one encoding."""
        found = {group[0]: tuple(map(str, self.menus[group[0]].encodings)) for group in self.groups}
        return {name: spellings for name, spellings in found.items() if len(spellings) > 1}

    def to_parameters(self, configuration: Configuration) -> dict[str, str]:
        """Return the spelling chosen for each parameter; raise SearchSpaceError for a configuration outside the space."""
        for group in self.groups:
            self._check(group, configuration)
        return {name: str(configuration.encodings[name]) for name in self.choices}

    def from_parameters(self, parameters: Mapping[str, str]) -> Configuration:
        """Return the configuration of these choices; raise SearchSpaceError for a choice outside the space."""
        choices = self.choices
        if set(parameters) != set(choices):
            wrong = sorted(set(parameters) ^ set(choices))[0]
            raise SearchSpaceError(f"parameter {wrong!r} is missing or not of this search space")
        known = {name: self._offered[name].get(spelling) for name, spelling in parameters.items()}
        chosen = {name: found or Encoding.parse(parameters[name]) for name, found in known.items()}
        encodings = {name: chosen.get(group[0], FP16) for group in self.groups for name in group}
        configuration = self.configuration(encodings)
        if None in known.values():
            self.to_parameters(configuration)
        return configuration

    @cached_property
    def _offered(self) -> dict[str, dict[str, Encoding]]:
        """Encodings by parameter and spelling: thousands of choices are read back, and spellings are few."""
        return {name: {str(e): e for e in self.menus[name].encodings} for name in self.choices}

    def uniform(self, encoding: Encoding) -> Configuration:
        """Return the configuration with every layer as near to one encoding as its menu allows.

        A layer that cannot take it gets the first of these in its menu: the same without groups, vectors, blocks,
        scales and 8-bit entries; the same without zeros; int8; lut8; fp16.
        """
        encodings = {}
        for group in self.groups:
            allowed = self.menus[group[0]].encodings
            encodings.update(dict.fromkeys(group, next(e for e in _relatives(encoding) if e in allowed)))
        return self.configuration(encodings)

    def configuration(self, encodings: Mapping[str, Encoding]) -> Configuration:
        """Return the configuration of these encodings, whose layers are in the order of the model."""
        return Configuration({layer.name: encodings[layer.name] for layer in self.layers})

    def _check(self, group: tuple[str, ...], configuration: Configuration) -> None:
        found = {configuration.encodings.get(name) for name in group}
        encoding = found.pop()
        if encoding is None or found:
            raise SearchSpaceError(f"the layers {', '.join(group)} must all have one and the same encoding")
        if encoding not in self.menus[group[0]].encodings:
            reason = self.menus[group[0]].refused.get(encoding, "it was not asked for")
            raise SearchSpaceError(f"layer {group[0]!r} cannot take {str(encoding)!r}: {reason}")


def _relatives(encoding: Encoding) -> tuple[Encoding, ...]:
    values = encoding.values
    plain = Table(values.bits) if isinstance(values, Table) else values
    if isinstance(values, Linear):
        plain = replace(Linear(values.bits), signed=values.signed, scheme=values.scheme)
    bare = Encoding(plain, encoding.sparsity)
    return (encoding, bare, Encoding(values), Encoding(plain), Encoding(Linear(8)), Encoding(Table(8)), FP16)


def _known(names: Iterable[str], known: Sequence[str]) -> None:
    known_names = set(known)
    for name in names:
        if name not in known_names:
            raise SearchSpaceError(f"there is no layer {name!r}{suggestion(name, known)}")


def _checked(groups: Iterable[Sequence[str]], names: Sequence[str]) -> list[list[str]]:
    """Groups of known layers, each layer in one, in the model's order."""
    order = {name: index for index, name in enumerate(names)}
    checked, taken = [], set[str]()
    for group in groups:
        _known(group, names)
        members = sorted(set(group), key=order.__getitem__)
        twice = next((name for name in members if name in taken), None)
        if twice is not None:
            raise SearchSpaceError(f"layer {twice!r} is in two groups; list it in one")
        taken.update(members)
        checked.append(members)
    return checked


def _alike(groups: Iterable[Sequence[str]], menus: Mapping[str, Menu]) -> list[list[str]]:
    """Split groups into layers with equal menus."""
    parts: dict[tuple[int, tuple[Encoding, ...]], list[str]] = {}
    for index, group in enumerate(groups):
        for name in group:
            parts.setdefault((index, menus[name].encodings), []).append(name)
    return list(parts.values())


def _complete(groups: Iterable[Sequence[str]], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    owner = {name: tuple(group) for group in groups for name in group}
    return tuple(dict.fromkeys(owner.get(name, (name,)) for name in names))


def _each_has_a_layer(encodings: Iterable[Encoding], menus: Iterable[Menu]) -> None:
    found = list(menus)
    for encoding in encodings:
        if not any(encoding in one.encodings for one in found):
            reasons = dict.fromkeys(one.refused[encoding] for one in found if encoding in one.refused)
            why = "; ".join(list(reasons)[:3]) or "no layer is left to compress"
            raise SearchSpaceError(f"no layer can take encoding {str(encoding)!r}: {why}")


def _shared(group: Sequence[str], menus: Mapping[str, Menu]) -> dict[str, Menu]:
    common = set.intersection(*(set(menus[name].encodings) for name in group)) if group else set[Encoding]()
    if len(common) == 1 and any(len(menus[name].encodings) > 1 for name in group):
        shapes = ", ".join(f"{name} {menus[name].layer.shape}" for name in group)
        raise SearchSpaceError(
            f"the layers of this group can share no encoding but fp16: {shapes}; split the group, or offer an "
            "encoding that all of them can take"
        )
    return {name: _restricted(menus[name], common, group) for name in group}


def _restricted(one: Menu, common: set[Encoding], group: Sequence[str]) -> Menu:
    lost = {
        e: f"another layer of its group ({', '.join(group)}) cannot take it" for e in one.encodings if e not in common
    }
    return Menu(one.layer, tuple(e for e in one.encodings if e in common), {**one.refused, **lost})
