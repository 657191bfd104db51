"""A recipe as rules: which encoding a layer has, by its name, by its type, or by default."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.errors import UserError, suggestion
from palettune.space.layer import Layer, LayerKind
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget

__all__ = ["NameRule", "RecipeEntry", "RecipeError", "RecipeRules"]

_SHOWN = 5


class RecipeError(UserError):
    """A recipe that cannot be expressed: names the file and the entry."""


@dataclass(frozen=True)
class RecipeEntry:
    """One entry of a recipe: its place, its encoding and the size from which it applies.

    Attributes:
        where: the entry's place in the recipe, for messages.
        encoding: ``fp16`` where it asks for no compression.
        threshold: weights of at most so many elements are left as they are.
    """

    where: str
    encoding: Encoding
    threshold: int = 0


@dataclass(frozen=True)
class NameRule:
    """An entry for layers by name.

    Attributes:
        pattern: a name, a pattern with ``*``, or a regular expression.
        regular: whether it is a regular expression, which the whole name has to match.
    """

    pattern: str
    entry: RecipeEntry
    regular: bool = False

    def matches(self, layer: Layer) -> bool:
        """Return whether the rule applies to a layer; a layer of tied weights has several names."""
        names = (layer.name, *(name for name, _ in layer.tied))
        if self.regular:
            return any(re.fullmatch(self.pattern, name) for name in names)
        return any(name == self.pattern or fnmatch.fnmatchcase(name, self.pattern) for name in names)


@dataclass(frozen=True)
class RecipeRules:
    """Rules of a recipe; the first name that matches counts, then the type, then the default.

    Attributes:
        types: by kind of layer.
        default: of all other layers; none leaves them as they are.
        strict: whether an encoding that a layer cannot take is an error; a library skips such layers silently, so that
            what is shipped has them in fp16.
    """

    names: tuple[NameRule, ...] = ()
    types: Mapping[LayerKind, RecipeEntry] = field(default_factory=dict)
    default: RecipeEntry | None = None
    strict: bool = True

    def configuration(self, layers: Sequence[Layer], target: DeploymentTarget) -> tuple[Configuration, tuple[str, ...]]:
        """Apply the rules to a model's layers; return the configuration, and notes on layers that are left as they are.

        Raises:
            RecipeError: a name that no layer has, or an encoding that a layer cannot take.
        """
        self._check_names(layers)
        encodings: dict[str, Encoding] = {}
        skipped: dict[str, list[str]] = {}
        for layer in layers:
            entry = self._entry(layer)
            encodings[layer.name] = FP16
            if entry is None or layer.parameters <= entry.threshold:
                continue
            reason = refusal(layer, entry.encoding, target)
            if reason is None:
                encodings[layer.name] = entry.encoding
            elif self.strict:
                raise RecipeError(f"{entry.where}: layer {layer.name!r} cannot take {str(entry.encoding)!r}: {reason}")
            else:
                skipped.setdefault(f"{entry.where}: {entry.encoding}", []).append(layer.name)
        notes = (f"{where}: not for {_listed(names)}, which stay fp16" for where, names in skipped.items())
        return Configuration(encodings), tuple(notes)

    def _entry(self, layer: Layer) -> RecipeEntry | None:
        named = next((rule.entry for rule in self.names if rule.matches(layer)), None)
        return named or self.types.get(layer.kind) or self.default

    def _check_names(self, layers: Sequence[Layer]) -> None:
        known = [layer.name for layer in layers]
        for rule in self.names:
            if not any(rule.matches(layer) for layer in layers):
                raise RecipeError(
                    f"{rule.entry.where}: matches no layer{suggestion(rule.pattern, known)}; layers are named like "
                    f"{', '.join(known[:_SHOWN])}"
                )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
