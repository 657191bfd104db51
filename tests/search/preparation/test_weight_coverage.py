"""What inspection, a search and the manifest say of large constants that are no layer's."""

import io

import pytest
from rich.console import Console

from palettune.device_bench.package.float_constants import FloatConstant
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
    (constant,) = large_constants(preparation.base.floats)
    assert (constant.name, constant.shape, constant.bytes) == ("kernel", (24, 24, 3), 64 + 24 * 24 * 3 * 2)
    assert constant.reason.startswith(REASON)
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


def test_full_coverage_needs_no_words(tmp_path):
    preparation = prepared(tmp_path, PLAIN)
    assert preparation.coverage == 1.0
    assert coverage_warning(preparation) is None
    assert large_constants(preparation.base.floats) == ()


def test_parts_of_one_parameter_are_one_and_small_constants_none():
    parts = [FloatConstant("a", (8, 80), 1300, "why"), FloatConstant("a", (8, 80), 1300, "why")]
    assert large_constants([*parts, FloatConstant("b", (4, 4), 32)]) == (FloatConstant("a", (8, 80), 2600, "why"),)
