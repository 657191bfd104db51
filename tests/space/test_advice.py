"""Advice has a source, and the rules the published measurements support."""

from __future__ import annotations

import pytest

from palettune.space.advice import Processor, advice
from palettune.space.encoding import Encoding
from palettune.space.encoding_spelling import common_spellings
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

LINEAR = Layer("l", LayerKind.LINEAR, (128, 128))


def said(spelling: str, processor: Processor, target: DeploymentTarget = DeploymentTarget.IOS18) -> dict[str, bool]:
    return {a.text: a.suits for a in advice(LINEAR, Encoding.parse(spelling), target, processor)}


@pytest.mark.parametrize(
    ("spelling", "processor", "words", "suits"),
    [
        ("int4-b32", Processor.NEURAL_ENGINE, "off the Neural Engine", False),
        ("int4-b32", Processor.GPU, "halved", True),
        ("lut4-g1", Processor.NEURAL_ENGINE, "128 tables", False),
        ("lut4-scaled", Processor.NEURAL_ENGINE, "one table per output channel", False),
        ("lut4", Processor.NEURAL_ENGINE, "streams", True),
        ("lut4", Processor.GPU, "expanded before use on the GPU", False),
        ("sparse50", Processor.NEURAL_ENGINE, "from about 75 %", False),
        ("sparse75", Processor.NEURAL_ENGINE, "skip strings", True),
        ("sparse50-b4", Processor.NEURAL_ENGINE, "skip blocks", True),
        ("sparse3:4", Processor.CPU, "newer CPUs", True),
        ("sparse1:3", Processor.CPU, "does not fit", False),
    ],
)
def test_rules(spelling: str, processor: Processor, words: str, suits: bool) -> None:
    found = {text: good for text, good in said(spelling, processor).items() if words in text}
    assert list(found.values()) == [suits]


def test_groups_of_16_and_fp16_get_no_warning() -> None:
    assert not said("lut4-g16", Processor.NEURAL_ENGINE)
    assert not said("fp16", Processor.NEURAL_ENGINE, DeploymentTarget.IOS16)


def test_before_ios17_weights_are_expanded() -> None:
    assert any("when the model loads" in text for text in said("lut4", Processor.CPU, DeploymentTarget.MACOS13))


@pytest.mark.parametrize("spelling", list(common_spellings()))
def test_every_piece_has_a_source(spelling: str) -> None:
    for processor in Processor:
        for piece in advice(LINEAR, Encoding.parse(spelling), DeploymentTarget.IOS16, processor):
            assert piece.source.startswith("https://")


def test_processors_of_a_compute_unit() -> None:
    assert Processor.of("CPU_AND_NE") == (Processor.NEURAL_ENGINE, Processor.CPU)
