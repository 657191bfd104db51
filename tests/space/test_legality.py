"""Legality: reasons in words, and a sample of what coremltools really does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.benchmarks.legality.run import Outcome, batches, judge
from palettune.space.encoding import FP16, Encoding
from palettune.space.encoding_spelling import common_spellings
from palettune.space.layer import Layer, LayerKind
from palettune.space.legality import refusal, refusals
from palettune.space.target import DeploymentTarget

IOS18 = DeploymentTarget.IOS18

CONV = Layer("conv", LayerKind.CONV2D, (24, 6, 3, 3))
DEPTHWISE = Layer("depthwise", LayerKind.CONV2D, (32, 1, 3, 3), groups=32)
TRANSPOSED = Layer("transposed", LayerKind.CONV_TRANSPOSE2D, (6, 24, 3, 3))
LINEAR = Layer("linear", LayerKind.LINEAR, (24, 16))
MASK = Layer("mask", LayerKind.OPERAND, (1, 2, 32, 32))
LOOKED_UP = Layer("table", LayerKind.EMBEDDING, (64, 32), tied=(("table", LayerKind.OPERAND),))


@pytest.mark.parametrize(
    ("layer", "spelling", "target", "words"),
    [
        (CONV, "lut4-g16", IOS18, "groups of 16 do not divide the 24 output channels"),
        (TRANSPOSED, "lut4-g16", IOS18, "groups of 16 do not divide the 24 output channels"),
        (TRANSPOSED, "lut4-g4in", IOS18, "groups of 4 do not divide the 6 input channels"),
        (CONV, "lut4-g24", IOS18, "write the encoding without groups"),
        (DEPTHWISE, "int4-b32", IOS18, "blocks of 32 do not divide the 1 input channels"),
        (DEPTHWISE, "sparse2:4", IOS18, "neighbourhoods of 4 do not divide the 1 input channels"),
        (LINEAR, "int4-b16", IOS18, "write the encoding without blocks"),
        (LINEAR, "int4-b5x8", IOS18, "blocks of 5 do not divide the 24 output channels"),
        (LINEAR, "int4-b24x8", IOS18, "blocks cannot hold all of the 24 output channels"),
        (LINEAR, "lut8-v4", IOS18, "96 vectors are fewer than the 256 entries"),
        (LINEAR, "sparse50-channel", IOS18, "pruned one by one"),
        (LINEAR, "sparse50-kernel", IOS18, "kernels of one value"),
        (LINEAR, "sparse50-b5", IOS18, "blocks of 5 do not divide"),
        (MASK, "sparse50", IOS18, "nothing of an operand is pruned"),
        (LOOKED_UP, "sparse50", IOS18, "nothing of an operand is pruned"),
        (MASK, "lut4-g2in", IOS18, "write the encoding without groups"),
        (
            LINEAR,
            "lut4-g8",
            DeploymentTarget.IOS17,
            "more than one table needs iOS18 or macOS15, and the target is iOS17",
        ),
        (LINEAR, "lut3", DeploymentTarget.MACOS13, "a 3-bit table needs"),
        (LINEAR, "int4", DeploymentTarget.IOS16, "4-bit linear quantization needs"),
        (LINEAR, "int8-b8", DeploymentTarget.IOS16, "a scale per block needs"),
        (LINEAR, "sparse50+int8", DeploymentTarget.IOS17, "a joint form needs"),
    ],
)
def test_reasons(layer: Layer, spelling: str, target: DeploymentTarget, words: str) -> None:
    reason = refusal(layer, Encoding.parse(spelling), target)
    assert reason is not None
    assert words in reason


def test_small_layers_can_be_left_alone() -> None:
    assert refusal(LINEAR, Encoding.parse("int8"), IOS18, min_elements=384) is None
    assert "384 elements, fewer than 385" in str(refusal(LINEAR, Encoding.parse("int8"), IOS18, min_elements=385))
    assert refusal(LINEAR, FP16, IOS18, min_elements=10**9) is None


SHAPES = st.lists(st.integers(1, 70), min_size=2, max_size=5).map(tuple)


@given(SHAPES, st.sampled_from([Encoding.parse(s) for s in common_spellings()]), st.sampled_from(DeploymentTarget))
def test_newer_targets_take_whatever_older_ones_take(shape, encoding, target) -> None:
    kind = [LayerKind.LINEAR, LayerKind.CONV1D, LayerKind.CONV2D, LayerKind.CONV3D][len(shape) - 2]
    layer = Layer("x", kind, shape)
    newer = [other for other in DeploymentTarget if other.generation > target.generation]
    if refusal(layer, encoding, target) is None:
        assert all(refusal(layer, encoding, other) is None for other in newer)
    else:
        assert list(refusals(layer, encoding, target))


@pytest.mark.slow
def test_a_sample_agrees_with_coremltools() -> None:
    verdicts = [verdict for batch in batches(seed=11, pairs=36) for verdict in judge(batch)]
    assert len(verdicts) == 36
    assert [v for v in verdicts if not v.agrees] == []
    assert {v.outcome for v in verdicts} >= {Outcome.AS_ASKED, Outcome.SKIPPED, Outcome.NOT_CONVERTED}
    compared = [v.bytes_off for v in verdicts if v.authority is None]
    assert len(compared) > 10
    assert set(compared) == {0}
