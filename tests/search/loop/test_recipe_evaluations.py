"""Recipes as evaluations of one model."""

import pytest

from palettune.search.experiment.recipes.recipe_file import Recipe, recipe_of
from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.search.loop.recipe_evaluations import recipe_evaluations


def test_each_recipe_is_asked_for_under_its_name_and_what_it_skips_is_said(small):
    said = []
    blocks = {"global_config": {"weight_dtype": "int4", "granularity": "per_block", "block_size": 8}}
    asked = recipe_evaluations(
        small[0], [Recipe("ours", recipe_of({"*": "lut6"}, "a")), Recipe("theirs", recipe_of(blocks, "b"))], said.append
    )
    assert [(item.recipe, item.origin) for item in asked] == [("ours", "recipe ours"), ("theirs", "recipe theirs")]
    assert {str(e) for e in asked[0].configuration.encodings.values()} == {"lut6"}
    assert {name: str(e) for name, e in asked[1].configuration.encodings.items()} == {"0": "fp16", "2": "int4-b8"}
    assert said == ["recipe theirs: b: global_config: int4-b8: not for 0, which stay fp16"]


def test_two_of_one_name_are_refused(small):
    twice = [Recipe("ours", recipe_of({"*": "lut6"}, "a"))] * 2
    with pytest.raises(RecipeError, match="two recipes are called 'ours'"):
        recipe_evaluations(small[0], twice, lambda words: None)
