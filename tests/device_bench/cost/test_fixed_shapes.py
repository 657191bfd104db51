"""Packages with flexible inputs."""

import pytest

from palettune.device_bench.cost.op_node import ProgramOpsError
from palettune.device_bench.cost.program_ops import ops_of_package
from tests.device_bench.cost.support.programs import flexible


def test_flexible_shapes_are_predicted_for_a_stated_shape_only(tmp_path):
    path = flexible(tmp_path)
    with pytest.raises(ProgramOpsError, match="state the shape"):
        ops_of_package(path)
    macs = [ops_of_package(path, {"x": (1, n, 16)}).ops.macs for n in (4, 40)]
    assert macs == [4 * 16 * 32, 40 * 16 * 32]
    with pytest.raises(ProgramOpsError, match=r"stated shapes do not fit \(x \(1, 1000, 16\)\)"):
        ops_of_package(path, {"x": (1, 1000, 16)})


def test_an_input_that_there_is_not_is_named(tmp_path):
    with pytest.raises(ProgramOpsError, match="a shape is stated for 'xs'; did you mean 'x'"):
        ops_of_package(flexible(tmp_path), {"xs": (1, 4, 16)})
