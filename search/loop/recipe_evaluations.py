"""Recipes as evaluations that are asked for beside a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palettune.search.experiment.recipes.recipe_file import Recipe
from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.search.loop.added_evaluations import AskedEvaluation
from palettune.search.preparation.preparation import Preparation

__all__ = ["recipe_evaluations"]


def recipe_evaluations(
    preparation: Preparation, recipes: Sequence[Recipe], warn: Callable[[str], None]
) -> list[AskedEvaluation]:
    """Turn recipes into evaluations to ask for, of the model of an experiment.

    Args:
        warn: told of layers that a recipe cannot be applied to, and that stay fp16.

    Raises:
        RecipeError: two recipes of one name, or one that the model does not allow; the entry is named.
    """
    found: dict[str, AskedEvaluation] = {}
    for recipe in recipes:
        if recipe.name in found:
            raise RecipeError(f"two recipes are called {recipe.name!r}; rename one of the files")
        target = preparation.experiment.deployment_target
        configuration, notes = recipe.rules.configuration(preparation.layers, target)
        for note in notes:
            warn(f"recipe {recipe.name}: {note}")
        found[recipe.name] = AskedEvaluation(f"recipe {recipe.name}", configuration, recipe=recipe.name)
    return list(found.values())
