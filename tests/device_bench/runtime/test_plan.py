"""Functions prepared for execution."""

import pytest
import torch

from palettune.device_bench.runtime import UnsupportedOpError
from palettune.device_bench.runtime.plan import plan_function
from palettune.device_bench.runtime.program_file import read_program_file
from palettune.device_bench.runtime.steps import ExecutionContext, run_steps
from palettune.device_bench.runtime.values import ComputePrecision
from tests.device_bench.runtime.support import packages


@pytest.fixture
def file(tmp_path):
    return read_program_file(packages.dense(tmp_path / "dense.mlpackage"))


def test_a_plan_knows_the_ops_and_frees_what_is_read_no_more(file):
    plan = plan_function(file, ComputePrecision.FP32, torch.device("cpu"))
    assert plan.op_types == {"dense": "linear", "y": "relu"}
    assert plan.sources["y"] == ("dense",)
    frame = plan.frame.copy()
    (entry,) = plan.inputs
    entry.put(frame, torch.randn(1, 8))
    run_steps(plan.steps, frame, ExecutionContext())
    assert frame[plan.outputs["y"]].shape == (1, 16)
    assert frame[plan.steps[0].outputs[0].place] is None
    assert all(frame[place] is not None for place in plan.weight_places.values())


def test_an_op_without_a_kernel_is_named(file, monkeypatch):
    monkeypatch.setattr("palettune.device_bench.runtime.plan.find", lambda *_: None)
    with pytest.raises(UnsupportedOpError, match="function 'main', op 'y' of type 'relu'"):
        plan_function(file, ComputePrecision.FP32, torch.device("cpu"))
