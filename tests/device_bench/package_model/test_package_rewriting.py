"""Packages written again: bytes as predicted, weights as assembled, and all else computes what it did."""

import copy
import itertools

import coremltools as ct
import numpy as np
import pytest
import torch

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.package_model.package_rewriting import RewritingError
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization, quantize_activations
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare, load
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget
from tests.device_bench.odd_packages import HALF, LAYERS, SINGLE, everything
from tests.device_bench.runtime.support.architectures import ARCHITECTURES, TRACED, randomized, save_module
from tests.device_bench.runtime.support.packages import save

ENCODINGS = tuple(
    map(
        Encoding.parse,
        (
            *("fp16", "lut8", "lut6", "lut4", "lut3", "lut1", "lut4-g16", "lut6-g8in", "lut4-v2", "lut2-v2in"),
            *("lut4-int8", "lut4-uint8", "lut4-scaled", "lut4-g8-scaled", "int8", "int8-tensor", "uint8-asym", "int4"),
            *("int4-b16", "uint4-asym-b16", "int4-b2x8", "sparse50", "sparse2:4", "sparse50-b4", "sparse50-channel"),
            *("sparse50+lut4", "sparse75+int8", "sparse50+int4-b16", "sparse50+lut4-scaled", "sparse50+lut4-g8"),
        ),
    )
)


def assembled(module, configuration, layers):
    """A copy that holds a configuration, and the values that sparsity leaves of each layer."""
    made, kept = copy.deepcopy(module), {}
    for layer in layers:
        encoding = configuration.encodings[layer.name]
        weight = compress(module.get_submodule(layer.name).weight, layer, encoding)
        install(made, layer, weight)
        if encoding.sparsity is not None:
            kept[layer.name] = int(weight.weight.count_nonzero())
    return made, kept


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize(
    ("dtype", "source", "target"),
    [
        (HALF, ct.target.iOS17, "iOS17"),
        (HALF, ct.target.iOS17, "macOS15"),
        (SINGLE, ct.target.iOS16, "iOS16"),
        (SINGLE, ct.target.iOS16, "iOS18"),
    ],
)
def test_every_encoding_of_every_use_is_written_as_asked(dtype, source, target, tmp_path):
    torch.manual_seed(0)
    target, x = DeploymentTarget(target), torch.randn(1, 16, 32)
    path = everything(tmp_path / "odd.mlpackage", dtype, source, compressed=target.generation < 18)
    module = PackageModule(path)
    layers = layers_of(module)
    assert {layer.name for layer in layers} >= LAYERS
    base = base_program(module, (x,), target, layers)
    assert not base.refusals
    menus = {layer.name: [e for e in ENCODINGS if refusal(layer, e, target) is None] for layer in layers}
    used, out = set(), tmp_path / "out.mlpackage"
    for turn in range(max(map(len, menus.values()))):
        chosen = {name: menu[(turn + 5 * place) % len(menu)] for place, (name, menu) in enumerate(menus.items())}
        used |= {(layer.kind, chosen[layer.name]) for layer in layers}
        configuration = Configuration(chosen)
        made, kept = assembled(module, configuration, layers)
        convert(made, (x,), target, metadata={"turn": str(turn)}).save(str(out))
        proof = prove(out, made, (x,), configuration, layers, target, base=base)
        assert proof.passed, proof.failures
        assert weight_bytes(out) == base.rest_bytes + configuration_bytes(layers, configuration, target, kept)
        comparison = compare(out, as_stored(made), [(x,)])
        assert comparison.snr_db > 100, str(comparison)
    assert len({kind for kind, _ in used}) == len({layer.kind for layer in layers})
    assert ct.utils.load_spec(str(out)).description.metadata.userDefined["turn"] == str(turn)


def test_a_wrong_weight_in_the_package_fails_the_proof(tmp_path):
    x, target = torch.randn(1, 16, 32), DeploymentTarget.IOS18
    module = PackageModule(everything(tmp_path / "odd.mlpackage", compressed=False))
    layers = layers_of(module)
    configuration = Configuration({layer.name: FP16 for layer in layers} | {"right": Encoding.parse("lut4")})
    made, _ = assembled(module, configuration, layers)
    convert(made, (x,), target).save(str(tmp_path / "out.mlpackage"))
    with torch.no_grad():
        made.get_submodule("left").weight[0, 0] += 0.5
    proof = prove(tmp_path / "out.mlpackage", made, (x,), configuration, layers, target)
    assert len(proof.failures) == 1
    assert "'left'" in proof.failures[0]


def test_what_the_package_says_of_itself_stays(tmp_path):
    path = everything(tmp_path / "bare.mlpackage", HALF)
    model = ct.models.MLModel(str(path), skip_model_load=True)
    model.author, model.short_description = "somebody", "odd"
    model.user_defined_metadata["their.key"] = "theirs"
    model.save(str(tmp_path / "odd.mlpackage"))
    module = PackageModule(tmp_path / "odd.mlpackage")
    convert(module, (), DeploymentTarget.IOS17, metadata={"our.key": "ours"}).save(str(tmp_path / "out.mlpackage"))
    before, after = (ct.utils.load_spec(str(tmp_path / f"{name}.mlpackage")) for name in ("odd", "out"))
    assert after.description.metadata.author == "somebody"
    assert after.description.metadata.userDefined["their.key"] == "theirs"
    assert after.description.metadata.userDefined["our.key"] == "ours"
    assert after.description.input == before.description.input
    assert after.description.output == before.description.output


def test_flexible_shapes_stay_flexible(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 2, 1))
    size = ct.RangeDim(8, 64, default=16)
    image = ct.ImageType(name="picture", shape=(1, 3, size, size), scale=1 / 127.5, bias=[-1, -1, -1])
    traced = torch.jit.trace(network.eval(), (torch.zeros(1, 3, 16, 16),))
    model = ct.convert(
        traced, inputs=[image], minimum_deployment_target=ct.target.iOS17, skip_model_load=True
    )  # fmt: skip
    model.save(str(tmp_path / "net.mlpackage"))
    module = PackageModule(tmp_path / "net.mlpackage")
    layers = layers_of(module)
    configuration = Configuration({layer.name: Encoding.parse("int8") for layer in layers})
    made, _ = assembled(module, configuration, layers)
    out = tmp_path / "out.mlpackage"
    convert(made, (), DeploymentTarget.IOS18).save(str(out))
    samples = [(torch.rand(1, 3, side, 24) * 255,) for side in (8, 40)]
    assert prove(out, made, samples[0], configuration, layers, DeploymentTarget.IOS18).passed
    assert compare(out, as_stored(made), samples).snr_db > 100
    assert load(out).inputs["picture"] == load(tmp_path / "net.mlpackage").inputs["picture"]


def test_targets_that_cannot_hold_the_package_are_said(tmp_path):
    new = PackageModule(everything(tmp_path / "new.mlpackage", target=ct.target.iOS17))
    with pytest.raises(RewritingError, match='deployment_target = "iOS17"'):
        convert(new, (), DeploymentTarget.IOS16)
    with pytest.raises(RewritingError, match="compressed in the form of iOS16"):
        convert(new, (), DeploymentTarget.IOS18)


def test_weights_in_the_blocks_of_a_loop_are_replaced(tmp_path):
    from coremltools.converters.mil.mil import Builder as mb

    from tests.device_bench.odd_packages import random

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 16))], opset_version=ct.target.iOS17)
    def program(x):
        inside = random(1, 16, 16, scale=0.2)
        count, value = mb.while_loop(
            _cond=lambda count, value: mb.less(x=count, y=3.0),
            _body=lambda count, value: (mb.add(x=count, y=1.0), mb.linear(x=mb.tanh(x=value), weight=inside)),
            loop_vars=(0.0, x),
        )
        return mb.identity(x=value, name="y"), mb.identity(x=count, name="count")

    module = PackageModule(save(program, tmp_path / "loop.mlpackage", ct.target.iOS17))
    layers = layers_of(module)
    assert len(layers) == 1
    for target, spelling in itertools.product((DeploymentTarget.IOS17, DeploymentTarget.IOS18), ("lut4", "fp16")):
        configuration = Configuration({layers[0].name: Encoding.parse(spelling)})
        made, _ = assembled(module, configuration, layers)
        x = torch.randn(1, 16)
        convert(made, (x,), target).save(str(tmp_path / "out.mlpackage"))
        proof = prove(tmp_path / "out.mlpackage", made, (x,), configuration, layers, target)
        assert proof.passed, proof.failures
        assert compare(tmp_path / "out.mlpackage", as_stored(made), [(x,)]).snr_db > 100


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [HALF, SINGLE])
def test_activations_are_rounded_where_the_module_rounds_them(dtype, tmp_path):
    x, target, out = torch.randn(1, 16, 32), DeploymentTarget.IOS17, tmp_path / "out.mlpackage"
    module = PackageModule(everything(tmp_path / "odd.mlpackage", dtype))
    layers = layers_of(module)
    configuration = Configuration({layer.name: Encoding.parse("int8") for layer in layers})
    made, _ = assembled(module, configuration, layers)
    unrounded = {name: value.clone() for name, value in made(x).items()}
    quantize_activations(made, "dense_weight", ActivationQuantization(0.03125, 0, signed=True))
    quantize_activations(made, "left", ActivationQuantization(0.125, 130))
    convert(made, (x,), target).save(str(out))
    proof = prove(out, made, (x,), configuration, layers, target)
    assert proof.passed, proof.failures
    kinds = list(load(out).op_types.values())
    assert (kinds.count("quantize"), kinds.count("dequantize")) == (2, 2)
    assert compare(out, as_stored(made), [(x,)]).snr_db > 40
    assert not torch.allclose(made(x)["stacked"], unrounded["stacked"])
    old = PackageModule(everything(tmp_path / "old.mlpackage", SINGLE, ct.target.iOS16))
    quantize_activations(old, "left", ActivationQuantization(0.125, 0, signed=True))
    with pytest.raises(RewritingError, match="need iOS17"):
        convert(old, (x,), DeploymentTarget.IOS16)


SPELLINGS = ("int8", "lut6", "sparse50", "fp16")


#: What is no layer in these networks: parts of a recurrent layer spelled out, and constants that are no weights.
FEWEST = {"lstm": 4, "gru": 1, "detection head": 3, "text convolution": 5, "transformer decoder": 6, "sampler": 1}


IN_HALF = [(name, ct.precision.FLOAT16) for name in sorted(ARCHITECTURES)]


IN_SINGLE = [(name, ct.precision.FLOAT32) for name in ("audio", "detection head", "lstm", "text convolution")]


@pytest.mark.slow
@pytest.mark.matrix(4)
@pytest.mark.parametrize(("name", "precision"), [*IN_HALF, *IN_SINGLE])
def test_a_package_of_any_architecture_is_a_model(name, precision, tmp_path):
    torch.manual_seed(len(name))
    make, example = ARCHITECTURES[name]
    x, target = example(), DeploymentTarget.IOS18
    save_module(randomized(make()), x, tmp_path / "net.mlpackage", precision=precision, traced=name in TRACED)
    module = PackageModule(tmp_path / "net.mlpackage")
    layers = layers_of(module)
    assert len(layers) >= FEWEST.get(name, 1), module.kept
    chosen = {}
    for place, layer in enumerate(layers):
        encoding = Encoding.parse(SPELLINGS[place % len(SPELLINGS)])
        chosen[layer.name] = FP16 if refusal(layer, encoding, target) else encoding
    configuration = Configuration(chosen)
    made, kept = assembled(module, configuration, layers)
    base = base_program(module, (x,), target)
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
