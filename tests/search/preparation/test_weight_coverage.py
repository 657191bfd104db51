"""What inspection, a search and the manifest say of large constants that are no layer's."""

import io
import re

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from rich.console import Console

from palettune.device_bench.package.other_constants import OtherConstant
from palettune.search.display.inspection_tables import print_inspection
from palettune.search.display.progress import Display
from palettune.search.preparation.inspection import Inspection
from palettune.search.preparation.weight_coverage import coverage_warning, large_constants
from tests.search.odd_weights import MODULATED, PLAIN, prepared

REASON = "operand 'x' of mul, which is not a weight operand"


@pytest.mark.slow
def test_constants_that_are_no_layers_are_listed_with_their_reason_and_low_coverage_is_a_warning(tmp_path):
    assert (
        prepared(tmp_path / "whole", MODULATED).coverage == 1.0
    )  # a modulated kernel is a layer, unless operands are none
    preparation = prepared(tmp_path, MODULATED, "operands = false")
    (constant,) = large_constants(preparation.base.others)
    assert (constant.name, constant.shape, constant.bytes) == ("kernel", (24, 24, 3), 64 + 24 * 24 * 3 * 2)
    assert constant.reason.startswith(REASON)
    assert re.search(r"; workload\.py:\d+ \(`return F\.conv1d\(", constant.reason)
    warning = coverage_warning(preparation)
    assert warning is not None
    assert warning.startswith(f"layers are {100 * preparation.coverage:.0f} % of the weights' bytes")
    assert f"kernel: {REASON}" in warning
    facts = Inspection.of(preparation).to_json()
    assert facts["coverage"] == preparation.coverage < 0.5
    assert facts["uncompressed"] == [
        {"name": "kernel", "shape": [24, 24, 3], "bytes": constant.bytes, "reason": constant.reason}
    ]
    shows = (
        lambda console: print_inspection(Inspection.of(preparation), console),
        lambda console: Display(console).on_prepared(preparation),
    )
    for show in shows:
        text = io.StringIO()
        show(Console(file=text, width=400))
        assert warning in text.getvalue()


PACKAGE = """
import torch
def model():
    return "half.mlpackage"
def example_inputs():
    return (torch.zeros(1, 64),)
def evaluation_data():
    for _ in range(2):
        yield (torch.randn(1, 64, generator=torch.Generator().manual_seed(2)),), None
"""


def _half_palettized(path):
    generator = np.random.default_rng(0)
    first, second = (generator.standard_normal((64, 64)).astype(np.float32) for _ in range(2))

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 64))], opset_version=ct.target.iOS17)
    def program(x):
        return mb.linear(x=mb.linear(x=x, weight=first, name="first"), weight=second, name="second")

    target = ct.target.iOS17
    plain = ct.convert(program, convert_to="mlprogram", minimum_deployment_target=target, skip_model_load=True)
    table = cto.OpPalettizerConfig(nbits=4, weight_threshold=100)
    config = cto.OptimizationConfig(op_name_configs={"first_cast_fp16": table, "first": table})
    cto.palettize_weights(plain, config).save(str(path))


@pytest.mark.slow
def test_constants_that_are_compressed_already_are_listed_and_count_as_what_they_decode_to(tmp_path):
    _half_palettized(tmp_path / "half.mlpackage")
    preparation = prepared(tmp_path, PACKAGE, head="", target="iOS17")
    assert len(preparation.layers) == 1
    (constant,) = large_constants(preparation.base.others)
    assert constant.reason == "compressed already"
    assert constant.shape == (64, 64)
    assert 64 * 64 / 2 < constant.bytes < 64 * 64
    assert preparation.coverage == pytest.approx(0.5)
    assert "layers are 50 %" in str(coverage_warning(preparation))


def test_full_coverage_needs_no_words(tmp_path):
    preparation = prepared(tmp_path, PLAIN)
    assert preparation.coverage == 1.0
    assert coverage_warning(preparation) is None
    assert large_constants(preparation.base.others) == ()


def test_parts_of_one_parameter_are_one_and_small_constants_none():
    parts = [OtherConstant("a", (8, 80), 1300, "why"), OtherConstant("a", (8, 80), 1300, "why")]
    assert large_constants([*parts, OtherConstant("b", (4, 4), 32)]) == (OtherConstant("a", (8, 80), 2600, "why"),)
