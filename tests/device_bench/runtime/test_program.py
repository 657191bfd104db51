"""A program that runs: weights, gradients, functions, and networks of many architectures."""

import coremltools as ct
import pytest
import torch
from torch import nn

from palettune.device_bench.runtime import ComputePrecision, ProgramError, compare, load
from tests.device_bench.runtime.support import packages
from tests.device_bench.runtime.support.architectures import ARCHITECTURES, TRACED, randomized, save_module


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return packages.dense(tmp_path_factory.mktemp("dense") / "dense.mlpackage")


def by_hand(program, x, names=("dense_weight_0", "dense_bias_0")):
    weight, bias = (program.weights[name].tensor for name in names)
    return torch.relu(x @ weight.T + bias)


def test_weights_are_listed_with_their_uses(dense):
    weights = load(dense).weights
    assert {name: weight.uses[0].parameter for name, weight in weights.items()} == {
        "dense_weight_0": "weight",
        "dense_bias_0": "bias",
    }
    assert weights["dense_weight_0"].uses[0].op_name == "dense"
    assert weights["dense_weight_0"].encoding is None
    assert weights["dense_weight_0"].tensor.shape == (16, 8)


def test_weights_can_be_replaced_and_have_gradients(dense):
    program, x = load(dense), torch.randn(5, 8)
    weight = torch.randn(16, 8, requires_grad=True)
    (output,) = program.run({"x": x}, weights={"dense_weight_0": weight}).values()
    bias = program.weights["dense_bias_0"].tensor
    expected = torch.relu(x @ weight.T + bias)
    assert torch.allclose(output, expected, atol=1e-5)
    mine = torch.autograd.grad(output.square().sum(), weight)[0]
    theirs = torch.autograd.grad(expected.square().sum(), weight)[0]
    assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    (again,) = program.run({"x": x}).values()
    assert torch.allclose(again, by_hand(program, x), atol=1e-5)


def test_gradients_pass_the_rounding_to_half(tmp_path):
    module = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    example = torch.randn(1, 8)
    exported = torch.export.export(module, (example,)).run_decompositions({})
    path = tmp_path / "half.mlpackage"
    ct.convert(exported, minimum_deployment_target=ct.target.iOS16, skip_model_load=True).save(str(path))
    gradients = []
    for precision in ComputePrecision:
        program = load(path, precision=precision)
        name = next(name for name, weight in program.weights.items() if weight.tensor.dim() == 2)
        weight = program.weights[name].tensor.clone().requires_grad_()
        (output,) = program.run({"input": example}, weights={name: weight}).values()
        output.sum().backward()
        gradients.append(weight.grad)
    assert gradients[0].abs().sum() > 0
    assert torch.allclose(*gradients, rtol=0.02, atol=1e-3)


def test_intermediate_values_are_captured_and_observed(dense):
    program, x = load(dense), torch.randn(1, 8)
    values = program.run({"x": x}, capture=["dense"])
    assert torch.equal(values["dense"].relu(), values["y"])
    seen = []
    program.run({"x": torch.randn(3, 8)}, observe=lambda name, value: seen.append((name, tuple(value.shape))))
    assert seen == [("dense", (1, 16)), ("y", (1, 16))] * 3


def test_functions_of_one_package(tmp_path):
    one = packages.dense(tmp_path / "one.mlpackage", seed=1)
    two = packages.dense(tmp_path / "two.mlpackage", seed=2)
    description = ct.utils.MultiFunctionDescriptor()
    description.add_function(str(one), "main", "first")
    description.add_function(str(two), "main", "second")
    description.default_function_name = "second"
    both = tmp_path / "both.mlpackage"
    ct.utils.save_multifunction(description, str(both))
    x = {"x": torch.randn(1, 8)}
    assert torch.equal(load(both, "first").run(x)["y"], load(one).run(x)["y"])
    assert torch.equal(load(both).run(x)["y"], load(two).run(x)["y"])
    with pytest.raises(ProgramError, match=r"no function 'frist'.*did you mean 'first'"):
        load(both, "frist")


def test_wrong_names_and_shapes(dense):
    program = load(dense)
    with pytest.raises(ProgramError, match="no input 'X', only x"):
        program.run({"X": torch.randn(1, 8)})
    with pytest.raises(ProgramError, match="input 'x' is missing"):
        program.run({})
    with pytest.raises(ProgramError, match=r"shape \(1, 9\); \(1, 8\) is expected"):
        program.run({"x": torch.randn(1, 9)})
    with pytest.raises(ProgramError, match=r"no weight 'dense_weight'.*did you mean"):
        program.run({"x": torch.randn(1, 8)}, weights={"dense_weight": torch.zeros(1)})
    with pytest.raises(ProgramError, match=r"shape \(16, 8\) is expected, got \(8, 16\)"):
        program.run({"x": torch.randn(1, 8)}, weights={"dense_weight_0": torch.zeros(8, 16)})
    with pytest.raises(ProgramError, match="no op makes a value 'dence'"):
        program.run({"x": torch.randn(1, 8)}, capture=["dence"])


@pytest.mark.matrix(4)
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_saved_package_computes_what_its_module_does(name, tmp_path):
    torch.manual_seed(len(name))
    make, example = ARCHITECTURES[name]
    module = randomized(make())
    path = save_module(module, example(), tmp_path / "net.mlpackage", traced=name in TRACED)
    comparison = compare(path, module, [(example(),) for _ in range(3)])
    assert comparison.snr_db > 90, str(comparison)
    batch = torch.cat([example() for _ in range(3)])
    program = load(path)
    together = program.run({"x": batch}, vectorize=True)
    for row in range(3):
        alone = program.run({"x": batch[row : row + 1]})
        for output, value in alone.items():
            assert torch.allclose(together[output][row : row + 1].float(), value.float(), atol=1e-5), output


@pytest.mark.slow
@pytest.mark.matrix(2)
@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS17", "iOS18"])
def test_every_opset_and_fp16(target, tmp_path):
    torch.manual_seed(0)
    make, example = ARCHITECTURES["transformer encoder"]
    module, x = randomized(make()), example()
    precision = ct.precision.FLOAT16
    path = save_module(module, x, tmp_path / "net.mlpackage", target=ct.target[target], precision=precision)
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
    program = load(save_module(make().eval(), example(), tmp_path / "net.mlpackage", traced=True))
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
    path = save_module(module, example(), tmp_path / "net.mlpackage", traced=True)
    program = load(path)
    assert {"quantize", "dequantize"} <= set(program.op_types.values())
    comparison = compare(program, module, [(example(),) for _ in range(3)])
    assert comparison.snr_db > 35, str(comparison)
    levels = program.run({"x": example()}, capture=[n for n, kind in program.op_types.items() if kind == "quantize"])
    assert {value.dtype for value in levels.values()} & {torch.int8, torch.uint8}
