from __future__ import annotations

from pathlib import Path

import coremltools as ct
import coremltools.optimize as cto
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.package import PackageError, package_bytes, weight_bytes, weights
from tests.device_bench.networks import build, compress_layers, layer_names

torch.set_num_threads(1)

_LINEAR = cto.coreml.OpLinearQuantizerConfig
_TABLE = cto.coreml.OpPalettizerConfig
_COMPRESSIONS = {
    "int8": ("iOS16", cto.coreml.linear_quantize_weights, _LINEAR(mode="linear_symmetric", weight_threshold=100)),
    "uint8": ("iOS17", cto.coreml.linear_quantize_weights, _LINEAR(dtype="uint8", mode="linear", weight_threshold=100)),
    "int4": (
        "iOS18",
        cto.coreml.linear_quantize_weights,
        _LINEAR(dtype="int4", granularity="per_block", block_size=16, weight_threshold=100),
    ),
    "table": ("iOS16", cto.coreml.palettize_weights, _TABLE(nbits=2, weight_threshold=100)),
    "grouped_table": (
        "iOS18",
        cto.coreml.palettize_weights,
        _TABLE(nbits=3, granularity="per_grouped_channel", group_size=4, weight_threshold=100),
    ),
    "scaled_table": (
        "iOS18",
        cto.coreml.palettize_weights,
        _TABLE(nbits=4, enable_per_channel_scale=True, weight_threshold=100),
    ),
    "sparse16": (
        "iOS16",
        cto.coreml.prune_weights,
        cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.6, weight_threshold=100),
    ),
    "sparse18": (
        "iOS18",
        cto.coreml.prune_weights,
        cto.coreml.OpMagnitudePrunerConfig(n_m_ratio=(3, 4), weight_threshold=100),
    ),
}


@pytest.fixture(scope="module")
def plain():
    module, inputs = build("language_model")
    return {target: convert(module, inputs, target) for target in ("iOS16", "iOS17", "iOS18")}


def _save(model, folder: Path, name: str = "model") -> Path:
    model.save(str(folder / f"{name}.mlpackage"))
    return folder / f"{name}.mlpackage"


def _by_consumer(packaged):
    return {consumer: weight for weight in packaged for consumer in weight.consumers}


@pytest.mark.slow
@pytest.mark.matrix(4)
@pytest.mark.parametrize("compression", _COMPRESSIONS)
def test_values_are_those_of_coremltools_own_decompression(compression, plain, tmp_path):
    target, compress, settings = _COMPRESSIONS[compression]
    compressed = compress(plain[target], cto.coreml.OptimizationConfig(global_config=settings))
    ours = _by_consumer(weights(_save(compressed, tmp_path)))
    theirs = _by_consumer(weights(_save(cto.coreml.decompress_weights(compressed), tmp_path, "dense")))
    assert any(weight.chain for weight in ours.values())
    assert not any(weight.chain for weight in theirs.values())
    for consumer, weight in ours.items():
        assert np.array_equal(weight.value, theirs[consumer].value), consumer


def test_joint_compression_is_read_through_its_chain(plain, tmp_path):
    pruner = cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=100)
    sparse = cto.coreml.prune_weights(plain["iOS18"], cto.coreml.OptimizationConfig(global_config=pruner))
    table = cto.coreml.OptimizationConfig(global_config=_TABLE(nbits=4, weight_threshold=100))
    path = _save(cto.coreml.palettize_weights(sparse, table, joint_compression=True), tmp_path)
    (weight,) = [w for w in weights(path) if w.chain and w.shape == (128, 32)]
    assert weight.chain == ("constexpr_lut_to_sparse", "constexpr_sparse_to_dense")
    assert {(key, part.dtype) for _, key, part in weight.parts()} >= {
        ("indices_mask", "uint1"),
        ("indices_nonzero_data", "uint4"),
        ("lut", "fp16"),
    }
    assert np.mean(weight.value == 0) == pytest.approx(0.5, abs=0.01)
    assert weight.part("constexpr_lut_to_sparse", "lut").shape == (1, 1, 16, 1)


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_bytes_of_the_weights_and_the_header_make_up_the_weight_file(target, tmp_path):
    module, inputs = build("decoder")
    compress_layers(module, layer_names(module)[1::2])
    path = _save(convert(module, inputs, target), tmp_path)
    packaged = weights(path)
    assert 64 + sum(weight.bytes for weight in packaged) == weight_bytes(path)
    assert weight_bytes(path) == (path / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    manifest, program = path / "Manifest.json", path / "Data/com.apple.CoreML/model.mlmodel"
    assert package_bytes(path) == weight_bytes(path) + manifest.stat().st_size + program.stat().st_size


def test_flexible_shapes_and_nested_blocks_are_read(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec((1, 20))], opset_version=ct.target.iOS16)
    def program(x):
        total = mb.reduce_sum(x=x, axes=[0, 1])
        return mb.cond(
            pred=mb.greater(x=total, y=0.0),
            _true_fn=lambda: mb.linear(x=x, weight=np.ones((4, 20), np.float32)),
            _false_fn=lambda: mb.linear(x=x, weight=np.full((4, 20), 2.0, np.float32)),
        )

    shape = ct.Shape((ct.RangeDim(1, 8), 20))
    model = ct.convert(
        program,
        inputs=[ct.TensorType(name="x", shape=shape)],
        minimum_deployment_target=ct.target.iOS16,
        skip_model_load=True,
    )
    found = [w for w in weights(_save(model, tmp_path)) if w.shape == (4, 20)]
    assert sorted(float(w.value.max()) for w in found) == [1.0, 2.0]
    assert all(w.consumers[0].operand == "weight" for w in found)


def test_two_functions_share_the_entries_of_one_file(plain, tmp_path):
    path = _save(plain["iOS18"], tmp_path)
    both = ct.utils.MultiFunctionDescriptor()
    both.add_function(str(path), "main", "first")
    both.add_function(str(path), "main", "second")
    both.default_function_name = "first"
    merged = tmp_path / "both.mlpackage"
    ct.utils.save_multifunction(both, str(merged))
    packaged = weights(merged)
    halves = [[w.name for w in packaged if w.function == function] for function in ("first", "second")]
    assert halves[0]
    assert len(halves[0]) == len(halves[1])
    assert weight_bytes(merged) < 1.1 * weight_bytes(path)


def test_what_is_no_package_is_refused_with_its_path(plain, tmp_path):
    with pytest.raises(PackageError, match="nowhere"):
        weights(tmp_path / "nowhere.mlpackage")
    path = _save(plain["iOS16"], tmp_path)
    (path / "Data/com.apple.CoreML/weights/weight.bin").unlink()
    with pytest.raises(PackageError, match=r"model\.mlpackage"):
        weights(path)
