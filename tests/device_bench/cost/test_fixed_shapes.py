"""Packages with flexible inputs."""

import pytest

from palettune.device_bench.cost.op_node import ProgramOpsError
from palettune.device_bench.cost.program_ops import ops_of_package
from palettune.device_bench.interface.program_interface import InputDeclaration, ProgramInterface
from tests.device_bench.cost.support.programs import flexible
from tests.device_bench.declared import SCALING, Pictures, packaged, picture


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


@pytest.mark.slow
def test_an_image_of_flexible_size_is_predicted_for_a_stated_one_but_not_a_classifier(tmp_path):
    image = InputDeclaration("image", shapes=(((1, 1), (3, 3), (8, 32), (8, 32)),), image=SCALING)
    path, _ = packaged(tmp_path, Pictures(), picture(), ProgramInterface((image,)))
    macs = [ops_of_package(path, {"image": (1, 3, n, n)}).ops.macs for n in (8, 32)]
    assert macs == [n * n * 27 * 8 + 8 * 5 for n in (8, 32)]
    with pytest.raises(ProgramOpsError, match=r"\(image \(1, 3, 8, 64\)\): it takes \(1, 3, 8 to 32, 8 to 32\)"):
        ops_of_package(path, {"image": (1, 3, 8, 64)})
    labelled, _ = packaged(tmp_path, Pictures(), picture(), ProgramInterface((image,), (), (1, 2, 3, 4, 5)))
    with pytest.raises(ProgramOpsError, match="a classifier with flexible inputs"):
        ops_of_package(labelled, {"image": (1, 3, 16, 16)})
