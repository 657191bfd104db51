"""Declared interfaces, as values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palettune.device_bench.interface.program_interface import (
    PLAIN,
    InputDeclaration,
    PixelScaling,
    ProgramInterface,
    shape_words,
)

RANGE = (((1, 1), (1, 512)),)
LIST = (((1, 1), (64, 64)), ((1, 1), (128, 128)))
numbers = st.floats(0.001, 10) | st.floats(-10, -0.001)


@given(scale=st.tuples(numbers, numbers, numbers), bias=st.tuples(numbers, numbers, numbers))
def test_pixels_and_values_are_each_others_inverse_channel_by_channel(scale, bias):
    scaling = PixelScaling("RGB", scale, bias)
    pixels = torch.arange(12, dtype=torch.float64).reshape(1, 3, 2, 2)
    values = scaling.values(pixels)
    torch.testing.assert_close(scaling.pixels(values), pixels)
    assert values[0, 1, 0, 0].item() == pytest.approx(scale[1] * 4 + bias[1])


def test_one_number_is_for_all_channels():
    assert torch.equal(
        PixelScaling("RGB", (2.0,), (1.0,)).values(torch.ones(1, 3, 1, 1)), torch.full((1, 3, 1, 1), 3.0)
    )
    assert PixelScaling("grayscale").channels == 1


def test_what_is_not_declared_is_taken_from_the_model():
    assert PLAIN.input_names(["x", "y"]) == ("x", "y")
    assert PLAIN.output_names(["output"]) == ("output",)
    assert not PLAIN.flexible
    assert PLAIN.words == ()
    (plain,) = PLAIN.of(["x"])
    assert plain.choices((1, 3)) == (((1, 1), (3, 3)),)


def test_names_are_given_by_argument_and_by_output():
    interface = ProgramInterface((InputDeclaration("y", "mask"),), (("output_1", "boxes"),))
    assert interface.input_names(["x", "y"]) == ("x", "mask")
    assert interface.output_names(["output_0", "output_1"]) == ("output_0", "boxes")


@pytest.mark.parametrize(
    ("shapes", "flexible"), [(RANGE, True), (LIST, True), ((((1, 1), (3, 3)),), False), ((), False)]
)
def test_ranges_and_lists_are_flexible_until_they_are_fixed(shapes, flexible):
    interface = ProgramInterface((InputDeclaration("x", "ids", shapes, "int32"),), (("output", "y"),), ("a",))
    assert interface.flexible is flexible
    fixed = interface.fixed()
    assert not fixed.flexible
    assert (fixed.input_names(["x"]), fixed.outputs, fixed.labels) == (("ids",), (("output", "y"),), ("a",))


def test_bounds_are_those_of_all_shapes():
    assert InputDeclaration("x", shapes=LIST).bounds((1, 64)) == ((1, 1), (64, 128))


@pytest.mark.parametrize(
    ("shapes", "taken", "refused"), [(RANGE, [1, 40, 512], [513]), (LIST, [64, 128], [96]), ((), [24], [25])]
)
def test_samples_are_taken_in_the_declared_shapes(shapes, taken, refused):
    interface, example = ProgramInterface((InputDeclaration("x", shapes=shapes),)), [torch.zeros(1, 24)]
    for size in taken:
        assert interface.takes(["x"], example, [torch.zeros(1, size)])
    for size in refused:
        assert not interface.takes(["x"], example, [torch.zeros(1, size)])
    assert not interface.takes(["x"], example, [torch.zeros(1, 24, 1)])
    assert not interface.takes(["x"], example, [])


def test_it_is_told_in_words():
    interface = ProgramInterface(
        (InputDeclaration("x", "ids", RANGE, "int32"), InputDeclaration("y", image=PixelScaling("BGR"))),
        (("output", "scores"),),
        (3, 5),
    )
    assert interface.words == (
        "input x: named ids, int32, (1, 1..512)",
        "input y: BGR image",
        "output output: named scores",
        "classifier of 2 labels",
    )
    assert shape_words(RANGE[0]) == "(1, 1..512)"
