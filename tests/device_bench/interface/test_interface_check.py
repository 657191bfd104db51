"""What a declared interface is refused for, by key."""

from dataclasses import replace

import pytest
import torch

from palettune.device_bench.interface.interface_check import InterfaceError, check_inputs, check_outputs
from palettune.device_bench.interface.program_interface import InputDeclaration, PixelScaling, ProgramInterface
from palettune.space.target import DeploymentTarget

EXAMPLE = (torch.arange(24)[None], torch.ones(1, 24))
PICTURE = (torch.rand(1, 3, 8, 8),)
RANGE = ((1, 1), (1, 512))
IMAGE = InputDeclaration("image", image=PixelScaling("RGB", (1 / 255,)))


def sizes(*shapes):
    return tuple(tuple((size, size) for size in shape) for shape in shapes)


def checked(*inputs, example=EXAMPLE, arguments=("tokens", "mask"), target="iOS18"):
    check_inputs(ProgramInterface(inputs), arguments[: len(example)], example, DeploymentTarget(target))


def test_what_fits_passes():
    checked(InputDeclaration("tokens", "ids", (RANGE,), "int32"), InputDeclaration("mask", dtype="float16"))
    checked(*(InputDeclaration(name, shapes=sizes((1, 24), (1, 48))) for name in ("tokens", "mask")))
    checked(replace(IMAGE, shapes=(((1, 1), (3, 3), (4, 64), (4, 64)),)), example=PICTURE, arguments=("image",))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (InputDeclaration("token"), r"inputs\.token: the model has no such input; did you mean 'tokens'.*tokens, mask"),
        (
            InputDeclaration("tokens", shapes=((*RANGE, (8, 8)),)),
            r"inputs\.tokens\.shape: \(1, 1\.\.512, 8\) has 3 dim",
        ),
        (
            InputDeclaration("tokens", shapes=(((1, 1), (32, 64)),)),
            r"inputs\.tokens\.shape: \(1, 32\.\.64\) does not contain .*\(1, 24\)",
        ),
        (
            InputDeclaration("tokens", shapes=sizes((1, 64), (1, 128))),
            r"inputs\.tokens\.shapes: \(1, 64\) or \(1, 128\) does not contain",
        ),
        (InputDeclaration("tokens", dtype="float16"), r'inputs\.tokens\.dtype: .float16. for .*int64.*"int32" is exp'),
        (InputDeclaration("mask", dtype="int32"), r'inputs\.mask\.dtype: .*"float32" or "float16" is expected'),
        (InputDeclaration("mask", "tokens"), r"inputs: two .* would be named 'tokens'"),
        (
            InputDeclaration("mask", image=PixelScaling()),
            r"inputs\.mask\.image: a float tensor of shape \(1, 3, height",
        ),
    ],
)
def test_what_does_not_fit_is_named_by_its_key(declared, words):
    with pytest.raises(InterfaceError, match=words):
        checked(declared)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (replace(IMAGE, image=PixelScaling("grayscale", (1 / 255,))), r"\(1, 1, height, width\) is expected for grays"),
        (replace(IMAGE, dtype="float16"), r"inputs\.image\.dtype: an image input holds pixels"),
        (replace(IMAGE, shapes=(((1, 4), (3, 3), (8, 8), (8, 8)),)), r"only height and width may vary"),
        (
            replace(IMAGE, image=PixelScaling("RGB", (0.001,))),
            r"pixels from .* to \d+.*0 to 255 are expected.*deviation",
        ),
    ],
)
def test_an_image_holds_pixels_of_a_picture(declared, words):
    with pytest.raises(InterfaceError, match=words):
        checked(declared, example=PICTURE, arguments=("image",))


def test_lists_of_shapes_for_several_inputs_need_ios18_and_go_together():
    both = [InputDeclaration(name, shapes=sizes((1, 24), (1, 48))) for name in ("tokens", "mask")]
    with pytest.raises(InterfaceError, match=r"may have one such input.*iOS18"):
        checked(*both, target="iOS17")
    longer = replace(both[1], shapes=sizes((1, 24), (1, 48), (1, 96)))
    with pytest.raises(InterfaceError, match="of different lengths"):
        checked(both[0], longer)


def outputs(names, renamed=(), labels=(), numbers=(5, 5)):
    check_outputs(ProgramInterface((), renamed, labels), names, ("x",), numbers)


@pytest.mark.parametrize(
    ("names", "renamed", "labels", "words"),
    [
        (("logits",), (("logit", "y"),), (), r"outputs\.logit: the model has no such output; did you mean 'logits'"),
        (("a", "b"), (("a", "b"), ("b", "a")), (), r"outputs\.a: 'b' is the name of another output"),
        (("a", "b"), (("a", "y"), ("b", "y")), (), r"outputs: two .* named 'y'"),
        (("a",), (("a", "x"),), (), r"outputs: two .* named 'x'"),
        (("a", "b"), (), ("cat", "dog"), r"labels: the model returns 2 tensors \(a, b\)"),
        (("a",), (), ("cat", "dog"), r"labels: 2 are given, and the model returns 5 values"),
    ],
)
def test_outputs_and_labels_that_the_model_does_not_have_are_refused(names, renamed, labels, words):
    with pytest.raises(InterfaceError, match=words):
        outputs(names, renamed, labels)


def test_outputs_and_labels_that_fit_pass():
    outputs(("a", "b"), (("a", "boxes"), ("b", "b")))
    outputs(("a",), (), ("a", "b", "c", "d", "e"))
