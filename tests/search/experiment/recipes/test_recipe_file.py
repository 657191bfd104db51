"""Recipe files in every form."""

import json

import pytest

from palettune.search.experiment.recipes.recipe_file import read_recipe
from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

LAYERS = (Layer("blocks.0.conv", LayerKind.CONV2D, (64, 64, 3, 3)), Layer("head", LayerKind.LINEAR, (128, 64)))


def spelt(folder, name, text):
    (folder / name).write_text(text)
    found, _ = read_recipe(folder / name).rules.configuration(LAYERS, DeploymentTarget("iOS18"))
    return [str(found.encodings[layer.name]) for layer in LAYERS]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.yaml", "'*': lut4\nhead: lut8\n", ["lut4", "lut8"]),
        ("a.toml", 'head = "lut8"\n"*" = "lut4"\n"blocks.*" = "lut2"\n', ["lut2", "lut8"]),
        ("a.json", '{"head": "lut8"}', ["fp16", "lut8"]),
        ("a.yml", "global_config: {n_bits: 6}\n", ["lut6", "lut6"]),
        ("a.yaml", "config_type: OpPalettizerConfig\nglobal_config: {mode: kmeans, nbits: 3}\n", ["lut3", "lut3"]),
        ("a.yaml", "kmeans_palettization_config:\n  module_name_configs: {head: null}\n", ["lut4", "fp16"]),
    ],
)
def test_each_form_is_known_by_its_keys(tmp_path, name, text, found):
    assert spelt(tmp_path, name, text) == found
    assert read_recipe(tmp_path / name).name == "a"


def test_what_palettune_writes_of_a_configuration_is_a_recipe(tmp_path):
    whole = Configuration({layer.name: Encoding.parse("lut6") for layer in LAYERS})
    assert spelt(tmp_path, "a.json", whole.to_json()) == ["lut6", "lut6"]
    entry = {"trial": 3, "configuration": json.loads(whole.to_json())}
    assert spelt(tmp_path, "b.json", json.dumps(entry)) == ["lut6", "lut6"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", r"a\.txt: expected a file that ends in \.json"),
        ("a.json", "{", r"a\.json: not valid JSON"),
        ("a.yaml", "a: [", r"a\.yaml: not valid YAML"),
        ("a.yaml", "", r"a\.yaml: expected layer = encoding"),
        ("a.yaml", "head: 4", r"a\.yaml: expected layer = encoding"),
        ("a.yaml", "head: lut99", r"a\.yaml: head: .*lut99"),
    ],
)
def test_what_is_no_recipe_names_the_file_and_the_entry(tmp_path, name, text, said):
    with pytest.raises(RecipeError, match=said):
        spelt(tmp_path, name, text)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RecipeError, match=r"a\.yaml: cannot be read"):
        read_recipe(tmp_path / "a.yaml")
