"""A package as a torch module: names, hooks, gradients, copies, and what cannot be one."""

import copy

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.package_module import PackageLayer, PackageModule
from palettune.device_bench.runtime import ProgramError, load
from palettune.evaluators.calibration.layer_statistics import layer_statistics
from palettune.evaluators.workload.layer_inputs import layer_inputs
from palettune.space.groups import groupable_layers, shared_groups
from tests.device_bench.odd_packages import HALF, SINGLE, everything, random
from tests.device_bench.runtime.support.packages import dense, save


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return PackageModule(everything(tmp_path_factory.mktemp("odd") / "odd.mlpackage"))


@pytest.mark.parametrize("dtype", [HALF, SINGLE])
def test_it_computes_what_the_program_does(dtype, tmp_path):
    path = everything(tmp_path / "odd.mlpackage", dtype)
    module, x = PackageModule(path), torch.randn(3, 16, 32)
    expected = load(path).run({"x": x})
    for name, value in module(x).items():
        assert torch.equal(value, expected[name]), name


def test_hooks_see_what_a_weight_works_on_and_may_change_it(module):
    module, x, seen = copy.deepcopy(module), torch.randn(1, 16, 32), {}
    before = module(x)
    for name, layer in module.named_modules():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs}))
    module(x)
    called = {name for name, layer in module.named_modules() if layer.__class__ is not PackageLayer or "." not in name}
    assert set(seen) == called  # the weights of the recurrent op are held by it, and it is called itself
    assert all(len(inputs) == 1 for inputs in seen.values())
    assert seen["plane"][0].shape == (1, 16, 1, 32)
    assert seen["table"][0].dtype is torch.int32
    module.get_submodule("right").register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2,))
    assert not torch.allclose(module(x)["stacked"], before["stacked"])
    module.get_submodule("memory").register_forward_hook(lambda *call: tuple(value + 1 for value in call[2]))
    assert torch.allclose(module(x)["states"], before["states"] + 1)


def test_ops_that_do_what_torch_layers_do_are_such(module):
    found = {name for name, part in module.named_modules() if isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d))}
    assert found == {"dense_weight", "turned", "twice", "twice_2", "plane"}
    module, calls = copy.deepcopy(module), {}
    for name in found:
        module.get_submodule(name).register_forward_hook(lambda _, x, y, name=name: calls.update({name: (x[0], y)}))
    module(torch.randn(1, 16, 32))
    for name, (x, output) in calls.items():
        layer = module.get_submodule(name)
        if isinstance(layer, nn.Linear):
            difference = output - F.linear(x, layer.weight)
            assert torch.allclose(difference, difference[:, :1].expand_as(difference), atol=1e-4), name  # its bias
            continue
        convolve = F.conv1d if isinstance(layer, nn.Conv1d) else F.conv2d
        padded = F.pad(x, layer._reversed_padding_repeated_twice)
        again = convolve(padded, layer.weight, None, layer.stride, 0, layer.dilation, layer.groups)
        assert torch.allclose(output, again, atol=1e-4), name


def test_layer_statistics_of_a_package_are_those_of_its_inputs(module):
    samples = [(torch.randn(1, 16, 32),) for _ in range(4)]
    chosen = [layer for layer in layers_of(module) if layer.name in ("plane", "turned")]
    found = layer_statistics(module, chosen, samples[:3], samples[3:])
    assert found["plane"].gram.shape == (4, 12, 12)
    assert found["turned"].gram.shape == (1, 32, 32)


def test_gradients_are_those_of_finite_differences(module):
    torch.manual_seed(0)
    module, x = copy.deepcopy(module), torch.randn(1, 16, 32)
    for name in ("dense_weight", "left", "memory.hh", "twice", "up"):
        weight = module.get_submodule(name).weight
        weight.requires_grad_(True)
        direction = torch.randn_like(weight)

        def output():
            return sum((value.double() ** 2).sum() for value in module(x).values())

        def stepped(step, weight=weight, direction=direction):
            with torch.no_grad():
                weight += step * direction
                value = float(output())
                weight -= step * direction
            return value

        (gradient,) = torch.autograd.grad(output(), weight)
        slope = (stepped(3e-4) - stepped(-3e-4)) / 6e-4  # longer steps cross kinks, shorter ones drown in float32
        assert float((gradient * direction).sum()) == pytest.approx(slope, rel=2e-2, abs=1e-2), name
        weight.requires_grad_(False)


def test_copies_share_the_program_and_no_weight(module):
    other, x = copy.deepcopy(module), torch.randn(1, 16, 32)
    assert other.program is module.program
    before = module(x)
    with torch.no_grad():
        other.get_submodule("twice").weight.zero_()
    assert other.get_submodule("twice_2").weight.abs().max() == 0  # still one weight
    assert not torch.equal(other(x)["up_scaled"], before["up_scaled"])
    assert torch.equal(module(x)["up_scaled"], before["up_scaled"])


def test_the_content_follows_every_constant(tmp_path):
    one, same, other = (PackageModule(dense(tmp_path / f"{i}.mlpackage", seed)) for i, seed in enumerate((0, 0, 1)))
    assert torch.equal(one.content, same.content)
    assert not torch.equal(one.content, other.content)


def test_projections_of_one_input_are_a_group(tmp_path):
    from coremltools.converters.mil.mil import Builder as mb

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4, 16))], opset_version=ct.target.iOS16)
    def program(x):
        x = mb.relu(x=x)
        query = mb.linear(x=x, weight=mb.const(val=random(0, 16, 16), name="query"), bias=random(1, 16))
        key = mb.linear(x=x, weight=mb.const(val=random(2, 16, 16), name="key"), bias=random(3, 16))
        scores = mb.matmul(x=query, y=key, transpose_y=True)
        return mb.matmul(x=scores, y=mb.matmul(x=x, y=mb.const(val=random(4, 16, 16), name="value")), name="y")

    module = PackageModule(save(program, tmp_path / "attention.mlpackage", ct.target.iOS16))
    inputs = layer_inputs(module, (torch.randn(1, 4, 16),), groupable_layers(layers_of(module)))
    assert shared_groups(inputs) == (("query", "key", "value"),)


def test_a_classifier_gives_its_probabilities_with_gradients(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3), torch.nn.Softmax(-1))
    model = ct.convert(
        torch.jit.trace(network.eval(), (torch.zeros(1, 8),)),
        inputs=[ct.TensorType(name="x", shape=(1, 8))],
        classifier_config=ct.ClassifierConfig(["cat", "dog", "cow"]),
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "classifier.mlpackage"))
    module, x = PackageModule(tmp_path / "classifier.mlpackage"), torch.randn(4, 8)
    (probabilities,) = module(x).values()
    assert torch.allclose(probabilities, network(x), atol=1e-6)
    weight = module.get_submodule(layers_of(module)[0].name).weight.requires_grad_(True)
    module(x)[next(iter(module(x)))][:, 0].sum().backward()
    assert weight.grad.abs().max() > 0


def test_what_cannot_be_one_is_said(tmp_path, module):
    with pytest.raises(ProgramError, match="no such package"):
        PackageModule(tmp_path / "none.mlpackage")
    with pytest.raises(ProgramError, match=r"takes 1 inputs \(x\), 2 were given"):
        module(torch.zeros(1, 16, 32), torch.zeros(1))
    with pytest.raises(ProgramError, match=r"input 'x' has shape \(1, 8, 32\); \(1, 16, 32\) is expected"):
        module(torch.zeros(1, 8, 32))
    descriptor = ct.utils.MultiFunctionDescriptor()
    for name in ("first", "second"):
        descriptor.add_function(str(dense(tmp_path / f"{name}.mlpackage")), "main", name)
    descriptor.default_function_name = "first"
    ct.utils.save_multifunction(descriptor, str(tmp_path / "both.mlpackage"))
    with pytest.raises(ProgramError, match="has the functions first, second"):
        PackageModule(tmp_path / "both.mlpackage")
    assert np.isfinite(module.content.numpy()).all()
