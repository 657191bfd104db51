import math

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

from palettune.device_bench.runtime import ProgramError, as_stored, compare, load
from palettune.device_bench.runtime.comparison import compare_all
from tests.device_bench.runtime.support.altered import altered
from tests.device_bench.runtime.support.architectures import save_module


def test_an_equal_package_passes(pair):
    path, module, samples = pair
    comparison = compare(path, module, samples)
    assert comparison.passed
    assert comparison.snr_db > 100
    assert comparison.largest_difference < 1e-4
    assert comparison.agreement == 1
    assert comparison.samples == 3
    assert comparison.first_difference is None


def test_a_module_as_stored_is_nearer_to_a_package_in_fp16(pair, tmp_path):
    _, module, samples = pair
    path = save_module(module, samples[1][0], tmp_path / "half.mlpackage", precision=ct.precision.FLOAT16)
    before = module.get_parameter("dense.weight").clone()
    stored = as_stored(module)
    assert compare(path, stored, samples).snr_db > compare(path, module, samples).snr_db + 20
    assert torch.equal(module.get_parameter("dense.weight"), before)


def test_the_figures_are_those_of_the_outputs(pair):
    path, module, samples = pair
    other = altered(module, "dense.bias", lambda bias: bias.add_(0.1))
    (output,) = compare(path, other, samples).outputs
    with torch.no_grad():
        wanted = torch.cat([other(*sample) for sample in samples])
        given = torch.cat([module(*sample) for sample in samples])
    noise = (wanted - given).square().sum()
    assert output.snr_db == pytest.approx(float(10 * torch.log10(wanted.square().sum() / noise)), abs=0.01)
    assert output.largest_difference == pytest.approx(0.1, abs=1e-3)
    share = float((wanted.argmax(1) == given.argmax(1)).float().mean())
    assert output.agreement == pytest.approx(share)


def test_a_package_against_another_program(pair, tmp_path):
    path, _, samples = pair
    config = ct.optimize.coreml.OptimizationConfig(
        ct.optimize.coreml.OpPalettizerConfig(mode="kmeans", nbits=1, weight_threshold=10)
    )
    model = ct.models.MLModel(str(path), skip_model_load=True)
    ct.optimize.coreml.palettize_weights(model, config).save(str(tmp_path / "small.mlpackage"))
    comparison = compare(tmp_path / "small.mlpackage", load(path), samples)
    assert not comparison.passed
    assert comparison.first_difference.op_type == "conv"
    assert compare(path, load(path), samples).snr_db == math.inf


def test_values_that_are_not_finite_fail_and_are_said_so(pair):
    path, module, samples = pair
    weight = next(iter(load(path).weights))
    poisoned = load(path)
    place = poisoned._plan.weight_places[weight]
    poisoned._plan.frame[place] = torch.full_like(poisoned._plan.frame[place], math.nan)
    comparison = compare(poisoned, module, samples)
    assert comparison.snr_db == -math.inf
    assert not comparison.first_difference.finite
    assert "not finite" in str(comparison)


def test_inputs_can_be_mapped(tmp_path):
    module = nn.Conv2d(3, 2, 1).eval()
    image = ct.ImageType("picture", (1, 3, 4, 4), scale=1 / 64, bias=[-1, -1, -1])
    model = ct.convert(
        torch.jit.trace(module, torch.randn(1, 3, 4, 4)),
        inputs=[image],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "image.mlpackage"))
    samples = [(torch.tensor(np.random.default_rng(i).integers(0, 255, (1, 3, 4, 4))) / 64 - 1,) for i in range(2)]
    pixels = compare(tmp_path / "image.mlpackage", module, samples, to_inputs=lambda s: {"picture": (s[0] + 1) * 64})
    assert pixels.snr_db > 100
    assert not compare(tmp_path / "image.mlpackage", module, samples).passed


def test_what_does_not_fit_together(pair):
    path, module, samples = pair
    with pytest.raises(ProgramError, match="no samples"):
        compare(path, module, [])
    with pytest.raises(ProgramError, match="takes 1 inputs"):
        compare(path, module, [(samples[0][0], samples[0][0])])

    class Two(nn.Module):
        def forward(self, x):
            return module(x), x

    with pytest.raises(ProgramError, match=r"has 1 outputs .*, the module returns 2"):
        compare(path, Two(), samples)
    with pytest.raises(ProgramError, match="the reference's has"):
        compare(path, nn.Flatten(0), samples)


def test_several_programs_are_compared_beside_one_run_of_the_reference(pair):
    path, module, samples = pair
    calls = []
    hook = module.register_forward_hook(lambda *_: calls.append(1))
    sharp, blunt = compare_all({load(path): 200.0, load(path): 40.0}, module, samples)
    hook.remove()
    assert len(calls) == len(samples) + 1  # and once to look for what departs
    assert not sharp.passed
    assert blunt.passed
    assert sharp.snr_db == blunt.snr_db


def test_outputs_without_elements_agree(tmp_path):
    class Picked(nn.Module):
        def forward(self, x):
            return x[x > 0]

    x = torch.rand(1, 8) + 0.1
    path = save_module(Picked(), x, tmp_path / "net.mlpackage", traced=True)
    comparison = compare(path, Picked(), [(x,), (-x,)])
    assert comparison.passed
    assert comparison.samples == 2


def test_values_that_are_finite_in_the_reference_alone_are_counted(pair):
    path, module, samples = pair
    poisoned = load(path)
    weight = next(iter(poisoned.weights))
    place = poisoned._plan.weight_places[weight]
    poisoned._plan.frame[place] = torch.full_like(poisoned._plan.frame[place], math.inf)
    comparison = compare(poisoned, module, samples)
    assert not comparison.finite
    assert comparison.loss == math.inf
    assert compare(path, module, samples).finite
