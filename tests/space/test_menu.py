"""Menus of layers."""

from __future__ import annotations

from palettune.space.encoding import FP16, Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.menu import menu
from palettune.space.target import DeploymentTarget

CONV = Layer("conv", LayerKind.CONV2D, (24, 6, 3, 3))


def test_a_menu_has_fp16_first_and_every_refusal_with_its_reason() -> None:
    asked = [Encoding.parse(s) for s in ("sparse50", "int8", "lut4-g16", "lut4", "lut4")]
    found = menu(CONV, asked, DeploymentTarget.IOS18)
    assert [str(e) for e in found.encodings] == ["fp16", "lut4", "int8", "sparse50"]
    assert {str(e) for e in found.refused} == {"lut4-g16"}
    assert set(found.encodings) | set(found.refused) == {FP16, *asked}
