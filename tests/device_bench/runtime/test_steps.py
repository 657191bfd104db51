"""Control flow, states and failing ops."""

import coremltools as ct
import pytest
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.runtime import ExecutionError, ProgramError, load
from tests.device_bench.runtime.support import packages


@pytest.mark.parametrize(
    ("x", "count", "picked"), [([4, 2, 2], 4, -0.25), ([0.5, 0.4, 0.05], 0, 100.5), ([1, 1, 1], 2, 100.25)]
)
def test_control_flow(x, count, picked, tmp_path):
    program = load(packages.halving(tmp_path / "loop.mlpackage"))
    values = program.run({"x": [x]})
    assert float(values["count"]) == count
    assert float(values["picked"][0, 0]) == pytest.approx(picked)


def test_states_live_from_run_to_run(tmp_path):
    program = load(packages.counter(tmp_path / "state.mlpackage"))
    state = program.new_state()
    assert list(program.run({"x": [1.0, 2.0]}, state=state)["twice"]) == [2, 4]
    assert list(program.run({"x": [1.0, 1.0]}, state=state)["twice"]) == [4, 6]
    assert list(state["total"]) == [2, 3]
    assert list(program.run({"x": [1.0, 2.0]})["twice"]) == [2, 4]
    with pytest.raises(ProgramError, match="states"):
        program.run({"x": [1.0, 2.0]}, state={})


def test_a_failing_op_is_named(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS17)
    def program(x):
        place = mb.cast(x=mb.reduce_sum(x=x, axes=[0, 1], keep_dims=False), dtype="int32")
        return mb.gather(x=x, indices=place, axis=1, name="picked")

    path = packages.save(program, tmp_path / "fails.mlpackage", ct.target.iOS17)
    assert load(path).run({"x": [[0.5, 0.5, 0.5, 0.5]]})["picked"] == 0.5
    with pytest.raises(ExecutionError, match="op 'picked' of type 'gather'"):
        load(path).run({"x": [[1.0, 1, 1, 2]]})
