"""Packages of many architectures, as others convert them, taken as models: written again as asked, proven and run."""

import coremltools as ct
import numpy as np
import pytest
import torch

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget
from tests.device_bench.package_model.test_package_rewriting import assembled
from tests.device_bench.runtime.architectures import ARCHITECTURES, randomized
from tests.device_bench.runtime.test_packages import TRACED, save

SPELLINGS = ("int8", "lut6", "sparse50", "fp16")
#: What is no layer in these networks: parts of a recurrent layer spelled out, and constants that are no weights.
FEWEST = {"lstm": 4, "gru": 1, "detection head": 3, "text convolution": 5, "transformer decoder": 6, "sampler": 1}


HALF = [(name, ct.precision.FLOAT16) for name in sorted(ARCHITECTURES)]
SINGLE = [(name, ct.precision.FLOAT32) for name in ("audio", "detection head", "lstm", "text convolution")]


@pytest.mark.matrix(4)
@pytest.mark.parametrize(("name", "precision"), [*HALF, *SINGLE])
def test_a_package_of_any_architecture_is_a_model(name, precision, tmp_path):
    torch.manual_seed(len(name))
    make, example = ARCHITECTURES[name]
    x, target = example(), DeploymentTarget.IOS18
    save(randomized(make()), x, tmp_path / "net.mlpackage", precision=precision, traced=name in TRACED)
    module = PackageModule(tmp_path / "net.mlpackage")
    layers = layers_of(module)
    assert len(layers) >= FEWEST.get(name, 1), module.kept
    chosen = {}
    for place, layer in enumerate(layers):
        encoding = Encoding.parse(SPELLINGS[place % len(SPELLINGS)])
        chosen[layer.name] = FP16 if refusal(layer, encoding, target) else encoding
    configuration = Configuration(chosen)
    made, kept = assembled(module, configuration, layers)
    base = base_program(module, (x,), target, list(chosen))
    assert not base.refusals
    convert(made, (x,), target).save(str(tmp_path / "out.mlpackage"))
    proof = prove(tmp_path / "out.mlpackage", made, (x,), configuration, layers, target, base=base)
    assert proof.passed, proof.failures
    off = base.rest_bytes + configuration_bytes(layers, configuration, target, kept)
    off -= weight_bytes(tmp_path / "out.mlpackage")
    assert off in (range(64) if base.ends_with_layer else (0,))
    inputs = [(x,)] if np.issubdtype(x.numpy().dtype, np.integer) else [(example(),) for _ in range(3)]
    comparison = compare(tmp_path / "out.mlpackage", as_stored(made), inputs)
    assert comparison.snr_db > 50, str(comparison)
