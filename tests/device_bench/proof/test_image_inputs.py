"""Pixels for programs that take images, from the tensors that their models take."""

import torch

from palettune.device_bench.interface.program_interface import PLAIN, InputDeclaration, PixelScaling, ProgramInterface
from palettune.device_bench.proof.image_inputs import to_program_inputs
from palettune.device_bench.runtime.features import Colour, Feature

SCALING = PixelScaling("RGB", (0.5,), (1.0,))
DECLARED = ProgramInterface((InputDeclaration("image", "picture", image=SCALING),))
TAKEN = {"picture": Feature("picture", (1, 3, 2, 2), (), Colour.RGB), "mask": Feature("mask", (1, 4), ())}


def test_an_image_comes_as_pixels_and_the_rest_as_it_is():
    to_inputs = to_program_inputs(DECLARED, ("image", "mask"), TAKEN)
    assert to_inputs is not None
    mask = torch.ones(1, 4)
    found = to_inputs((torch.full((1, 3, 2, 2), 11.0), mask))
    assert torch.equal(found["picture"], torch.full((1, 3, 2, 2), 20.0))
    assert found["mask"] is mask


def test_nothing_is_made_where_nothing_is_declared_or_the_program_takes_no_image():
    assert to_program_inputs(PLAIN, ("image", "mask"), TAKEN) is None
    plain = {"image": Feature("image", (1, 3, 2, 2), ())}
    assert to_program_inputs(DECLARED, ("image",), plain) is None


def test_inputs_that_may_be_left_out_are_left_out():
    to_inputs = to_program_inputs(DECLARED, ("image", "mask"), TAKEN)
    assert list(to_inputs((torch.ones(1, 3, 2, 2),))) == ["picture"]
