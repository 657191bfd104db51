"""Compressed packages: what the runtime computes with is what coremltools decodes."""

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
from torch import nn

from palettune.device_bench.package.package import weights as package_weights
from palettune.device_bench.runtime import compare, load


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.depth = nn.Conv2d(8, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.head = nn.Linear(32, 16)

    def forward(self, x):
        return self.head(self.depth(self.conv(x).relu()).mean((2, 3)))


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    module, example = Net().eval(), torch.randn(1, 8, 6, 6)
    exported = torch.export.export(module, (example,)).run_decompositions({})
    models = {}
    for target in ("iOS16", "iOS18"):
        models[target] = ct.convert(exported, minimum_deployment_target=ct.target[target], skip_model_load=True)
    return models


def config(op):
    return cto.OptimizationConfig(op)


ENCODINGS = {
    "lut4": ("iOS16", lambda m: cto.palettize_weights(m, config(cto.OpPalettizerConfig(nbits=4, weight_threshold=0)))),
    "int8": (
        "iOS16",
        lambda m: cto.linear_quantize_weights(m, config(cto.OpLinearQuantizerConfig(weight_threshold=0))),
    ),
    "sparse": (
        "iOS16",
        lambda m: cto.prune_weights(m, config(cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=0))),
    ),
    "lut3 in groups": (
        "iOS18",
        lambda m: cto.palettize_weights(
            m,
            config(
                cto.OpPalettizerConfig(nbits=3, granularity="per_grouped_channel", group_size=8, weight_threshold=0)
            ),
        ),
    ),
    "lut2 of vectors": (
        "iOS18",
        lambda m: cto.palettize_weights(m, config(cto.OpPalettizerConfig(nbits=2, cluster_dim=2, weight_threshold=0))),
    ),
    "int4 in blocks": (
        "iOS18",
        lambda m: cto.linear_quantize_weights(
            m,
            config(
                cto.OpLinearQuantizerConfig(dtype="int4", granularity="per_block", block_size=8, weight_threshold=0)
            ),
        ),
    ),
    "sparse lut4": (
        "iOS18",
        lambda m: cto.palettize_weights(
            cto.prune_weights(m, config(cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=0))),
            config(cto.OpPalettizerConfig(nbits=4, weight_threshold=0)),
            joint_compression=True,
        ),
    ),
    "sparse int8": (
        "iOS18",
        lambda m: cto.linear_quantize_weights(
            cto.prune_weights(m, config(cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=0))),
            config(cto.OpLinearQuantizerConfig(weight_threshold=0)),
            joint_compression=True,
        ),
    ),
    "int8 tables": (
        "iOS18",
        lambda m: cto.linear_quantize_weights(
            cto.palettize_weights(m, config(cto.OpPalettizerConfig(nbits=4, weight_threshold=0))),
            config(cto.OpLinearQuantizerConfig(granularity="per_tensor", weight_threshold=0)),
            joint_compression=True,
        ),
    ),
}


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_compressed_weights_are_decoded(name, plain, tmp_path):
    target, compress = ENCODINGS[name]
    small = compress(plain[target])
    small.save(str(tmp_path / "small.mlpackage"))
    program = load(tmp_path / "small.mlpackage")
    stored = {weight.name: weight for weight in package_weights(tmp_path / "small.mlpackage")}
    encoded = [weight for weight in program.weights.values() if weight.encoding]
    assert len(encoded) >= 2
    for weight in encoded:
        np.testing.assert_array_equal(weight.tensor.numpy(), stored[weight.name].value.astype(np.float32))
        assert weight.encoding == stored[weight.name].operation
    cto.decompress_weights(small).save(str(tmp_path / "big.mlpackage"))
    samples = [(torch.randn(1, 8, 6, 6),) for _ in range(2)]
    assert compare(program, load(tmp_path / "big.mlpackage"), samples).snr_db > 80


def test_names_are_those_of_coremltools_own_listing(plain, tmp_path):
    plain["iOS16"].save(str(tmp_path / "net.mlpackage"))
    listed = cto.get_weights_metadata(plain["iOS16"], weight_threshold=0)
    weights = load(tmp_path / "net.mlpackage").weights
    big = {name for name, weight in weights.items() if weight.tensor.dim() > 1}
    assert big <= set(listed)
