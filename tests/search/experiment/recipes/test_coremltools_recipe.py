"""Configurations of coremltools as recipes; coremltools itself reads each of them."""

import copy

import coremltools.optimize.coreml as by_op
import pytest
from coremltools.optimize.torch.palettization import PostTrainingPalettizerConfig
from coremltools.optimize.torch.quantization import PostTrainingQuantizerConfig

from palettune.search.experiment.recipes.coremltools_recipe import op_recipe, torch_recipe
from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

LAYERS = (
    Layer("stem.conv", LayerKind.CONV2D, (16, 3, 3, 3)),
    Layer("blocks.0.conv", LayerKind.CONV2D, (64, 64, 3, 3)),
    Layer("head", LayerKind.LINEAR, (128, 64)),
)


def spelt(rules):
    found, _ = rules.configuration(LAYERS, DeploymentTarget("iOS18"))
    return [str(found.encodings[layer.name]) for layer in LAYERS]


def test_ops_by_type_and_name_with_the_threshold_of_coremltools():
    values = {
        "config_type": "OpPalettizerConfig",
        "global_config": {"mode": "kmeans", "nbits": 4},
        "op_type_configs": {
            "linear": {"config_type": "OpLinearQuantizerConfig", "dtype": "int4", "granularity": "per_block"}
        },
        "op_name_configs": {"blocks_0_conv_weight": {"nbits": 6, "granularity": "per_grouped_channel"}},
    }
    by_op.OptimizationConfig.from_dict(copy.deepcopy(values))
    assert spelt(op_recipe(values, "x.yaml")) == ["fp16", "lut6-g32", "int4-b32"]  # 432 weights are left as they are
    del values["global_config"]
    values["op_type_configs"] = {"conv": None}
    by_op.OptimizationConfig.from_dict(copy.deepcopy(values))
    assert spelt(op_recipe(values, "x.yaml")) == ["fp16", "lut6-g32", "fp16"]


def test_modules_of_torch_by_regular_expression_and_class():
    values = {
        "global_config": {"n_bits": 8},
        "module_type_configs": {"Linear": {"n_bits": 2, "cluster_dim": 2}},
        "module_name_configs": {r"blocks\.\d+\.conv": None},
    }
    PostTrainingPalettizerConfig.from_dict(copy.deepcopy(values))
    assert spelt(torch_recipe(values, "x.yaml")) == ["lut8", "fp16", "lut2-v2"]
    values = {"global_config": {"weight_dtype": "int4", "granularity": "per_block", "block_size": 32}}
    PostTrainingQuantizerConfig.from_dict(copy.deepcopy(values))
    assert spelt(torch_recipe(values, "x.yaml")) == ["fp16", "int4-b32", "int4-b32"]  # 3 channels: coremltools skips it


@pytest.mark.parametrize(
    ("read", "values", "said"),
    [
        (op_recipe, {"config_type": "OpPalettizerConfig", "global_config": {"mode": "uniform", "nbits": 4}}, "mode"),
        (op_recipe, {"config_type": "OpThresholdPrunerConfig", "global_config": {"threshold": 0.1}}, "ThresholdPruner"),
        (op_recipe, {"config_type": "OpPalettizerConfig", "op_type_configs": {"relu": {"nbits": 4}}}, "relu"),
        (op_recipe, {"config_type": "OpPalettizerConfig", "op_types": {}}, "op_types: not a key"),
        (torch_recipe, {"global_config": {"weight_dtype": "int8", "activation_dtype": "quint8"}}, "activation_dtype"),
        (torch_recipe, {"module_name_configs": {"nobody": {"n_bits": 4}}}, "module_name_configs.nobody: matches no"),
    ],
)
def test_what_cannot_be_expressed_names_its_entry(read, values, said):
    with pytest.raises(RecipeError, match=said) as error:
        spelt(read(values, "mine.yaml"))
    assert "mine.yaml: " in str(error.value)
