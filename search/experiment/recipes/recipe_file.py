"""Recipe files: JSON, YAML or TOML, in a form of Palettune's own or in one that other tools read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from palettune.search.experiment.recipes.coreai_recipe import COREAI_KEYS, coreai_recipe
from palettune.search.experiment.recipes.coremltools_recipe import op_recipe, torch_recipe
from palettune.search.experiment.recipes.recipe_rules import NameRule, RecipeEntry, RecipeError, RecipeRules
from palettune.space.encoding import Encoding, EncodingError

__all__ = ["Recipe", "read_recipe", "recipe_of"]

_EXPECTED = (
    "expected layer = encoding (patterns with * are welcome), a configuration of coremltools (global_config, "
    "op_type_configs, module_name_configs ...), or one of coreai-opt (" + ", ".join(COREAI_KEYS) + ")"
)
_READERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
}


@dataclass(frozen=True)
class Recipe:
    """A recipe under its name."""

    name: str
    rules: RecipeRules


def read_recipe(path: Path) -> Recipe:
    """Read a recipe, whose name is the file's.

    Raises:
        RecipeError: naming the file and the entry.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise RecipeError(f"{path}: expected a file that ends in {', '.join(_READERS)}")
    try:
        values = reader(path.read_text())
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: not valid {path.suffix[1:].upper()}: {error}") from None
    return Recipe(path.stem, recipe_of(values, str(path)))


def recipe_of(values: Any, where: str) -> RecipeRules:
    """Return the rules of a recipe in any known form.

    Args:
        where: the recipe's own name, for messages.

    Raises:
        RecipeError: naming the entry.
    """
    if not isinstance(values, Mapping) or not values:
        raise RecipeError(f"{where}: {_EXPECTED}")
    if any(key in values for key in COREAI_KEYS):
        return coreai_recipe(values, where)
    if "config_type" in values or "op_type_configs" in values or "op_name_configs" in values:
        return op_recipe(values, where)
    if "global_config" in values or "module_type_configs" in values or "module_name_configs" in values:
        return torch_recipe(values, where)
    return _own(values, where)


def _own(values: Mapping[str, Any], where: str) -> RecipeRules:
    """Layer = encoding; the name of a layer counts before a pattern, and a later pattern before an earlier one."""
    held = values.get("configuration", values)
    held = held.get("encodings", held) if isinstance(held, Mapping) else held
    if not isinstance(held, Mapping) or not all(isinstance(value, str) for value in held.values()):
        raise RecipeError(f"{where}: {_EXPECTED}")
    if isinstance(values.get("activations"), Mapping) and values["activations"]:
        raise RecipeError(f"{where}: activations: a recipe is of weights; leave the key out")
    rules = [NameRule(pattern, _entry(f"{where}: {pattern}", spelling)) for pattern, spelling in held.items()]
    exact = [rule for rule in rules if "*" not in rule.pattern]
    return RecipeRules((*exact, *(rule for rule in reversed(rules) if "*" in rule.pattern)))


def _entry(where: str, spelling: str) -> RecipeEntry:
    try:
        return RecipeEntry(where, Encoding.parse(spelling))
    except EncodingError as error:
        raise RecipeError(f"{where}: {error}") from None
