"""Rules of recipes, applied to layers."""

import pytest

from palettune.search.experiment.recipes.recipe_rules import NameRule, RecipeEntry, RecipeError, RecipeRules
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

TARGET = DeploymentTarget("iOS18")
LAYERS = (
    Layer("stem.conv", LayerKind.CONV2D, (16, 3, 3, 3)),
    Layer("blocks.0.conv", LayerKind.CONV2D, (64, 64, 3, 3)),
    Layer("head", LayerKind.LINEAR, (100, 64), tied=(("tail", LayerKind.LINEAR),)),
)


def entry(spelling, where="here", **more):
    return RecipeEntry(where, Encoding.parse(spelling), **more)


def applied(rules):
    found, notes = rules.configuration(LAYERS, TARGET)
    return {name: str(encoding) for name, encoding in found.encodings.items()}, notes


def test_a_name_counts_before_a_type_and_a_type_before_the_default():
    rules = RecipeRules(
        (NameRule("blocks.*", entry("lut6")), NameRule("blocks.0.conv", entry("lut2"))),
        {LayerKind.CONV2D: entry("lut8"), LayerKind.LINEAR: entry("fp16")},
        entry("int8"),
    )
    assert applied(rules) == ({"stem.conv": "lut8", "blocks.0.conv": "lut6", "head": "fp16"}, ())
    assert applied(RecipeRules())[0] == dict.fromkeys(("stem.conv", "blocks.0.conv", "head"), "fp16")


def test_small_weights_stay_and_regular_expressions_match_whole_names_of_tied_layers_too():
    rules = RecipeRules((NameRule("ta.l", entry("lut4"), regular=True),), {}, entry("lut8", threshold=2048))
    assert applied(rules)[0] == {"stem.conv": "fp16", "blocks.0.conv": "lut8", "head": "lut4"}


def test_a_layer_that_cannot_take_it_is_an_error_or_is_skipped_with_a_note():
    with pytest.raises(RecipeError, match=r"here: layer 'stem\.conv' cannot take 'int4-b32'"):
        applied(RecipeRules(default=entry("int4-b32")))
    found, notes = applied(RecipeRules(default=entry("int4-b32"), strict=False))
    assert found == {"stem.conv": "fp16", "blocks.0.conv": "int4-b32", "head": "int4-b32"}
    assert notes == ("here: int4-b32: not for stem.conv, which stay fp16",)


def test_a_name_that_no_layer_has_is_said_with_the_nearest():
    rules = RecipeRules((NameRule("heat", entry("lut4", where="mine.yaml: heat")),))
    with pytest.raises(RecipeError, match=r"mine\.yaml: heat: matches no layer; did you mean 'head'"):
        applied(rules)
