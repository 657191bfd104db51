from pathlib import Path

import pytest
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from palettune.device_bench.runtime.coverage import REASONS, covered, main, op_set, page, uncovered
from palettune.device_bench.runtime.registry import find, kernel, registered

PAGE = Path(__file__).parents[3] / "docs" / "op_coverage.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run python -m palettune.device_bench.runtime.coverage docs/op_coverage.md"
    )


def test_the_command_writes_the_page(tmp_path):
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page()


def test_every_uncovered_op_has_a_reason():
    assert uncovered() == set(REASONS)
    assert uncovered() | covered().keys() == op_set()


@pytest.mark.parametrize("op_type", sorted(registered()))
def test_kernels_take_every_input_of_their_op_in_every_opset(op_type):
    versions = SSAOpRegistry.core_ops[op_type]
    for opset, op in versions.items():
        found = find(op_type, opset)
        assert found is not None or opset < min(k.since for k in registered()[op_type])
        if found is not None:
            inputs = {name for name in op.input_spec.input_types if not name.startswith("_")}
            assert inputs <= {*found.tensors, *found.attributes}, opset


def test_an_op_has_one_kernel_for_an_opset():
    with pytest.raises(ValueError, match="already has a kernel"):
        kernel("relu")(lambda x: x)
