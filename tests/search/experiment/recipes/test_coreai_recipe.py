"""Configurations of coreai-opt as recipes."""

import pytest

from palettune.search.experiment.recipes.coreai_recipe import coreai_recipe
from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

LAYERS = (Layer("blocks.0.conv", LayerKind.CONV2D, (64, 64, 3, 3)), Layer("head", LayerKind.LINEAR, (128, 64)))


def spelt(values):
    found, _ = coreai_recipe(values, "mine.yaml").configuration(LAYERS, DeploymentTarget("iOS18"))
    return [str(found.encodings[layer.name]) for layer in LAYERS]


def test_palettization_by_name_type_and_default():
    grouped = {"n_bits": 4, "granularity": {"type": "per_grouped_channel", "axis": 0, "group_size": 16}}
    values = {
        "kmeans_palettization_config": {
            "global_config": {"op_state_spec": {"weight": {"n_bits": 6}}},
            "module_type_configs": {"torch.nn.modules.linear.Linear": {"op_state_spec": {"*": grouped}}},
        }
    }
    assert spelt(values) == ["lut6", "lut4-g16"]
    values["kmeans_palettization_config"]["module_name_configs"] = {r"blocks\..*": None}
    assert spelt(values) == ["fp16", "lut4-g16"]
    assert spelt({"kmeans_palettization_config": {}}) == ["lut4", "lut4"]  # its default
    int8_entries = {"op_state_spec": {"weight": {"n_bits": 4, "lut_qspec": {"dtype": "int8"}}}}
    assert spelt({"kmeans_palettization_config": {"global_config": int8_entries}}) == ["lut4-int8"] * 2


def test_quantization_of_weights_and_pruning():
    block = {
        "dtype": "int4",
        "qscheme": "symmetric_with_clipping",
        "granularity": {"type": "per_block", "block_size": 32},
    }
    weights = {"op_input_spec": None, "op_output_spec": None, "op_state_spec": {"weight": block}}
    assert spelt({"quantization_config": {"global_config": weights}}) == ["int4-b32"] * 2
    weights = weights | {"op_state_spec": {"weight": {"dtype": "uint8", "qscheme": "asymmetric"}}}
    assert spelt({"quantization_config": {"global_config": weights}}) == ["uint8-asym"] * 2
    pruned = {"op_state_spec": {"weight": {"target_sparsity": 0.75, "pruning_scheme": {"type": "channel_structured"}}}}
    assert spelt({"magnitude_pruning_config": {"global_config": pruned}}) == [
        "sparse75-channel",
        "fp16",
    ]  # no channels of a linear layer


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"quantization_config": {}}, r"global_config\.op_input_spec: a recipe is of weights"),
        (
            {"kmeans_palettization_config": {"global_config": {"op_type_config": {"aten.linear": None}}}},
            r"op_type_config: ops within a module",
        ),
        (
            {
                "kmeans_palettization_config": {
                    "global_config": {"op_state_spec": {"weight": {"lut_qspec": {"dtype": "fp8"}}}}
                }
            },
            r"op_state_spec\.weight\.lut_dtype: 'fp8'",
        ),
        ({"magnitude_pruning_config": {"module_type_configs": {"x.ReLU": None}}}, r"module_type_configs\.x\.ReLU"),
    ],
)
def test_what_cannot_be_expressed_names_its_entry(values, said):
    with pytest.raises(RecipeError, match=said) as error:
        spelt(values)
    assert str(error.value).startswith("mine.yaml: ")
