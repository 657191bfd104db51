"""Declared inputs in converted packages, and that the packages compute with them what their modules do."""

import coremltools as ct
import numpy as np
import pytest
import torch

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.interface.declared_inputs import (
    SpecializedError,
    classifier,
    dynamic_sizes,
    export_example,
    input_types,
    narrowed_sizes,
)
from palettune.device_bench.interface.program_interface import PLAIN, InputDeclaration, PixelScaling, ProgramInterface
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.runtime import load
from palettune.space.encoding import FP16
from palettune.space.footprint import layer_bytes
from palettune.space.target import DeploymentTarget
from tests.device_bench.declared import (
    IOS18,
    SCALING,
    Pictures,
    Specialized,
    Tokens,
    enumerated,
    of_lengths,
    packaged,
    picture,
    tokens_of,
)

ARGUMENTS = ("tokens", "mask")


def test_whole_numbers_stay_whole_and_shapes_are_those_of_the_example():
    tokens, _mask = input_types(PLAIN, ARGUMENTS, tokens_of(24), None)
    assert (tokens.name, tuple(tokens.shape.shape)) == ("tokens", (1, 24))
    assert tokens.dtype == ct.converters.mil.mil.types.int32
    (x,) = input_types(PLAIN, ("x",), (torch.ones(2),), None)
    assert x.dtype == ct.converters.mil.mil.types.fp32
    assert dynamic_sizes(PLAIN, ARGUMENTS, tokens_of(24)) is None


def test_sizes_that_torch_export_finds_equal_are_one_size():
    example = tokens_of(24)
    module, interface = Tokens().eval(), of_lengths()
    shapes = dynamic_sizes(interface, ARGUMENTS, example)["inputs"]
    program = torch.export.export(module, example, dynamic_shapes=shapes, strict=False)
    tokens, mask = input_types(interface, ARGUMENTS, example, program)
    assert tokens.shape.symbolic_shape[1] == mask.shape.symbolic_shape[1]
    traced = input_types(interface, ARGUMENTS, example, None)
    assert traced[0].shape.symbolic_shape[1] != traced[1].shape.symbolic_shape[1]
    assert tokens.shape.default == (1, 24)


def test_a_size_that_torch_export_fixes_is_an_error_with_the_size():
    interface, example = (
        ProgramInterface((InputDeclaration("x", shapes=(((1, 1), (4, 48), (8, 8)),)),)),
        torch.ones(1, 24, 8),
    )
    shapes = dynamic_sizes(interface, ("x",), (example,))["inputs"]
    program = torch.export.export(Specialized(), (example,), dynamic_shapes=shapes, strict=False)
    with pytest.raises(SpecializedError, match=r"inputs\.x: .* works with 24 along dimension 1 alone, 4\.\.48 is decl"):
        input_types(interface, ("x",), (example,), program)


class Long(torch.nn.Linear):
    """Another course for more than 20 rows."""

    def forward(self, x):
        return super().forward(x) * (2.0 if x.shape[1] > 20 else 1.0)


def test_sizes_that_torch_export_has_not_followed_are_said():
    example = (torch.ones(1, 24, 8),)
    for shapes, words in (((4, 48), ("sizes from 21 on along dimension 1 of x",)), ((22, 48), ()), ((24, 24), ())):
        interface = ProgramInterface((InputDeclaration("x", shapes=(((1, 1), shapes, (8, 8)),)),))
        sizes = (dynamic_sizes(interface, ("x",), example) or {"inputs": None})["inputs"]
        program = torch.export.export(Long(8, 4), example, dynamic_shapes=sizes, strict=False)
        assert narrowed_sizes(interface, ("x",), example, program) == words
    assert narrowed_sizes(interface, ("x",), example, None) == ()


def test_a_flexible_size_of_one_is_made_two_for_torch_export_alone():
    tokens, mask = export_example(of_lengths(), ARGUMENTS, tokens_of(1))
    assert tokens.shape == mask.shape == (1, 2)
    assert [value.shape for value in export_example(PLAIN, ARGUMENTS, tokens_of(1))] == [(1, 1), (1, 1)]


def test_labels_make_a_classifier():
    assert classifier(PLAIN) is None
    assert classifier(ProgramInterface(labels=("a", "b"))).class_labels == ["a", "b"]


def run(path, inputs):
    program = load(path)
    return next(iter(program.run_tensors(dict(zip(program.inputs, inputs, strict=True))).values()))


@pytest.mark.slow
def test_a_range_is_taken_at_every_length_and_inputs_and_outputs_have_their_names(tmp_path):
    interface = ProgramInterface(of_lengths(mask="attention").inputs, (("output", "scores"),))
    module = Tokens().eval()
    path, conversion = packaged(tmp_path, module, tokens_of(24), interface)
    assert conversion.front_end.name == "torch.export"
    program = load(path)
    assert (list(program.inputs), list(program.outputs)) == (["tokens", "attention"], ["scores"])
    assert program.inputs["tokens"].shape == (1, 24)
    for length in (1, 7, 64):
        torch.testing.assert_close(run(path, tokens_of(length)), module(*tokens_of(length)), atol=2e-3, rtol=1e-2)
    assert not program.inputs["tokens"].accepts((1, 65))


def test_a_list_is_taken_and_nothing_in_between(tmp_path):
    interface, module = of_lengths(enumerated((1, 16), (1, 24))), Tokens().eval()
    path, _ = packaged(tmp_path, module, tokens_of(24), interface)
    for length in (16, 24):
        torch.testing.assert_close(run(path, tokens_of(length)), module(*tokens_of(length)), atol=2e-3, rtol=1e-2)
    assert not load(path).inputs["mask"].accepts((1, 20))


@pytest.mark.slow
@pytest.mark.parametrize("scaling", [SCALING, PixelScaling("RGB", (1 / 255,)), PixelScaling("RGB", (0.02,), (-2.0,))])
def test_an_image_with_its_scale_and_bias_is_the_float_tensor_of_the_model(tmp_path, scaling):
    example, module = picture(scaling=scaling), Pictures().eval()
    interface = ProgramInterface((InputDeclaration("image", image=scaling),))
    path, _ = packaged(tmp_path, module, example, interface)
    pixels = scaling.pixels(*example)
    torch.testing.assert_close(run(path, (pixels,)), module(*example), atol=2e-3, rtol=1e-2)
    assert load(path).inputs["image"].colour.name == scaling.colour


def test_a_picture_goes_through_in_the_order_of_the_models_channels(tmp_path):
    """A picture in memory is RGB; the model's first channel is blue."""
    interface = ProgramInterface((InputDeclaration("image", image=SCALING),))
    path, _ = packaged(tmp_path, Pictures().eval(), picture(), interface)
    pixels = SCALING.pixels(*picture())
    shown = pixels[0].flip(0).permute(1, 2, 0).round().numpy().astype(np.uint8)
    torch.testing.assert_close(run(path, (shown,)), run(path, (pixels.round(),)))


def test_grey_pictures_have_one_channel(tmp_path):
    scaling = PixelScaling("grayscale", (0.01,), (-1.0,))
    module, example = torch.nn.Conv2d(1, 4, 3).eval(), picture(scaling=scaling)
    interface = ProgramInterface((InputDeclaration("input", "photo", image=scaling),))
    path, _ = packaged(tmp_path, module, example, interface, DeploymentTarget("iOS16"))
    torch.testing.assert_close(run(path, (scaling.pixels(*example),)), module(*example), atol=2e-3, rtol=1e-2)


def test_float16_is_what_the_package_says(tmp_path):
    interface = ProgramInterface((InputDeclaration("image", dtype="float16"),))
    model = convert(Pictures().eval(), picture(), IOS18, interface=interface)
    array = model.get_spec().description.input[0].type.multiArrayType
    assert array.dataType == ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT16


def test_a_classifier_gives_the_label_and_the_probabilities(tmp_path):
    labels = ("cat", "dog", "emu", "fox", "gnu")
    module = Pictures().eval()
    path, _ = packaged(tmp_path, module, picture(), ProgramInterface(labels=labels))
    found = load(path).run({"image": picture()[0]})
    expected = module(*picture())[0]
    assert found["classLabel"] == labels[int(expected.argmax())]
    torch.testing.assert_close(run(path, picture())[0], expected, atol=2e-3, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "example", "interface"),
    [
        (Tokens, tokens_of(24), of_lengths()),
        (Pictures, picture(), ProgramInterface((InputDeclaration("image", image=SCALING),), (), (7, 8, 9, 10, 11))),
    ],
)
def test_the_base_program_has_the_bytes_and_the_places_of_the_package(tmp_path, module, example, interface):
    network = module().eval()
    layers = layers_of(network)
    base = base_program(network, example, IOS18, layers, interface=interface)
    assert not base.refusals
    path, _ = packaged(tmp_path, network, example, interface)
    weights = sum(layer_bytes(layer, FP16, IOS18) for layer in layers)
    assert 0 <= base.rest_bytes + weights - weight_bytes(path) < 64
