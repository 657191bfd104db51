"""Networks converted, saved, opened again and run: the outputs are the module's."""

import coremltools as ct
import numpy as np
import pytest
import torch

from palettune.device_bench.runtime import ComputePrecision, compare, load
from tests.device_bench.runtime.architectures import ARCHITECTURES, randomized


def save(module, example, path, *, target=ct.target.iOS17, precision=ct.precision.FLOAT32, traced=False, **options):
    inputs = [
        ct.TensorType(name="x", shape=example.shape, dtype=np.float32 if example.is_floating_point() else np.int32)
    ]
    if traced:
        program = torch.jit.trace(module, (example,), check_trace=False)
    else:
        program = torch.export.export(module, (example,), strict=False).run_decompositions({})
    options = {"inputs": inputs, **options}
    model = ct.convert(
        program, minimum_deployment_target=target, compute_precision=precision, skip_model_load=True, **options
    )
    model.save(str(path))
    return path


# torch.export spells recurrent layers out step by step; a traced one keeps them, and their loops.
TRACED = {"lstm", "gru", "detection head"}


@pytest.mark.matrix(4)
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_saved_package_computes_what_its_module_does(name, tmp_path):
    torch.manual_seed(len(name))
    make, example = ARCHITECTURES[name]
    module = randomized(make())
    path = save(module, example(), tmp_path / "net.mlpackage", traced=name in TRACED)
    comparison = compare(path, module, [(example(),) for _ in range(3)])
    assert comparison.snr_db > 90, str(comparison)
    batch = torch.cat([example() for _ in range(3)])
    program = load(path)
    together = program.run({"x": batch}, vectorize=True)
    for row in range(3):
        alone = program.run({"x": batch[row : row + 1]})
        for output, value in alone.items():
            assert torch.allclose(together[output][row : row + 1].float(), value.float(), atol=1e-5), output


@pytest.mark.matrix(2)
@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS17", "iOS18"])
def test_every_opset_and_fp16(target, tmp_path):
    torch.manual_seed(0)
    make, example = ARCHITECTURES["transformer encoder"]
    module, x = randomized(make()), example()
    precision = ct.precision.FLOAT16
    path = save(module, x, tmp_path / "net.mlpackage", target=ct.target[target], precision=precision)
    exact = compare(path, module, [(x,)])
    assert 50 < exact.snr_db < 90  # weights are stored in fp16, activations are not rounded
    half = compare(load(path, precision=ComputePrecision.FP16), module, [(x,)])
    assert 35 < half.snr_db < exact.snr_db
    values = load(path, precision=ComputePrecision.FP16).run({"x": x}, capture=load(path).op_types)
    rounded = [value for name, value in values.items() if value.is_floating_point() and name.endswith("fp16")]
    assert rounded
    assert all(torch.equal(value, value.half().float()) for value in rounded)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_recurrent_layers_keep_their_ops_when_traced(name, tmp_path):
    make, example = ARCHITECTURES[name]
    program = load(save(make().eval(), example(), tmp_path / "net.mlpackage", traced=True))
    assert {"lstm": "lstm", "gru": "while_loop"}[name] in program.op_types.values()


def test_quantized_activations(tmp_path):
    """coremltools' own quantizer puts 8-bit activations into the module, and its converter into the package."""
    from coremltools.optimize.torch.quantization import LinearQuantizer, LinearQuantizerConfig

    torch.manual_seed(0)
    make, example = ARCHITECTURES["convolutional"]
    config = LinearQuantizerConfig.from_dict({"global_config": {"quantization_scheme": "symmetric"}})
    quantizer = LinearQuantizer(randomized(make()), config)
    module = quantizer.prepare(example_inputs=(example(),), inplace=False)
    quantizer.step()
    for _ in range(4):
        module(example())
    for _ in range(4):
        quantizer.step()  # observers are frozen in the end
    module = quantizer.finalize(inplace=False).eval()
    path = save(module, example(), tmp_path / "net.mlpackage", traced=True)
    program = load(path)
    assert {"quantize", "dequantize"} <= set(program.op_types.values())
    comparison = compare(program, module, [(example(),) for _ in range(3)])
    assert comparison.snr_db > 35, str(comparison)
    levels = program.run({"x": example()}, capture=[n for n, kind in program.op_types.items() if kind == "quantize"])
    assert {value.dtype for value in levels.values()} & {torch.int8, torch.uint8}
