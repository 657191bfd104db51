"""Settings of compressors as encodings."""

import pytest

from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.search.experiment.recipes.weight_settings import Settings


def settings(**values):
    return Settings("here", values)


@pytest.mark.parametrize(
    ("given", "spelling"),
    [
        ({}, "lut4"),
        ({"n_bits": 6}, "lut6"),
        ({"n_bits": 4, "granularity": "per_grouped_channel", "group_size": 16}, "lut4-g16"),
        ({"granularity": "per_grouped_channel", "group_size": 8, "channel_axis": 1}, "lut4-g8in"),
        ({"cluster_dim": 2}, "lut4-v2"),
        ({"lut_dtype": "torch.int8"}, "lut4-int8"),
        ({"enable_per_channel_scale": True, "n_bits": 2}, "lut2-scaled"),
    ],
)
def test_palettizations(given, spelling):
    assert str(settings(**given).table("n_bits")) == spelling


@pytest.mark.parametrize(
    ("given", "spelling"),
    [
        ({}, "int8"),
        ({"dtype": "uint4", "scheme": "affine"}, "uint4-asym"),
        ({"dtype": "int4", "granularity": "per_block", "block_size": 32}, "int4-b32"),
        ({"dtype": "int4", "granularity": "per_block", "block_size": [8, 32]}, "int4-b8x32"),
        ({"dtype": "int4", "granularity": "per_block", "block_size": (1, 32, 0, 0)}, "int4-b32"),
        ({"dtype": "int8", "granularity": "per_tensor"}, "int8-tensor"),
        ({"dtype": "float32"}, "fp16"),
    ],
)
def test_quantizations(given, spelling):
    assert str(settings(**given).linear("dtype", "scheme")) == spelling


@pytest.mark.parametrize(
    ("given", "spelling"),
    [
        ({}, "sparse50"),
        ({"target_sparsity": 0.75, "block_size": 4}, "sparse75-b4"),
        ({"n_m_ratio": [2, 4]}, "sparse2:4"),
        ({"n_m_ratio": [2, 4], "dim": 0}, "sparse2:4out"),
        ({"target_sparsity": 0.5, "granularity": "per_channel"}, "sparse50-channel"),
    ],
)
def test_prunings(given, spelling):
    assert str(settings(**given).sparse()) == spelling


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: settings(n_bits=5).table("n_bits"), "here: .*5"),
        (lambda: settings(lut_dtype="float8_e4m3fn").table("n_bits"), r"here\.lut_dtype: 'float8_e4m3fn' cannot be"),
        (lambda: settings(n_bits=4, colour="red").table("n_bits"), r"here\.colour: 'red' cannot be expressed"),
        (lambda: settings(dtype="int2").linear("dtype", "scheme"), r"here\.dtype: 'int2'"),
        (lambda: settings(granularity="per_row").linear("dtype", "scheme"), r"here\.granularity"),
        (lambda: settings(target_sparsity=0.333).sparse(), r"here\.target_sparsity: 0\.333.*whole percent"),
    ],
)
def test_what_no_encoding_has_names_the_setting(read, said):
    with pytest.raises(RecipeError, match=said):
        read()
