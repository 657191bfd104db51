from dataclasses import replace

import pytest

from palettune.device_bench.cost.op import OpList
from palettune.device_bench.cost.placement import ComputeUnit, ComputeUnitError, place, refuses
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.devices import specifications
from palettune.device_bench.devices.unit import Unit
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget


def network(width=4096):
    b = ShapeBuilder()
    b.linear("l0", (width, width), 64)
    b.host("a", 10)
    b.host("b", 10)
    b.linear("l1", (width, width), 64)
    b.host("c", 10)
    return b.build()


def test_settings_choose_the_processor():
    found = {setting: place(network(), setting).unit for setting in ComputeUnit}
    assert found == {
        ComputeUnit.ALL: Unit.NEURAL_ENGINE,
        ComputeUnit.CPU_AND_NE: Unit.NEURAL_ENGINE,
        ComputeUnit.CPU_AND_GPU: Unit.GPU,
        ComputeUnit.CPU_ONLY: Unit.CPU,
    }


def test_small_programs_stay_on_the_cpu_only_when_core_ml_may_choose():
    assert place(network(16), ComputeUnit.ALL).unit is Unit.CPU
    assert place(network(16), ComputeUnit.CPU_AND_NE).unit is Unit.NEURAL_ENGINE


def test_runs_of_foreign_ops_are_one_detour_each():
    assert place(network(), ComputeUnit.ALL).detours(network()) == 2


def test_block_scales_leave_the_neural_engine_and_go_where_the_setting_allows():
    blocks = StoredWeight.of(Encoding.parse("int4-b32"), (64, 64))
    assert not place(network(), ComputeUnit.ALL).takes(blocks)
    assert place(network(), ComputeUnit.CPU_AND_GPU).takes(blocks)
    assert place(network(), ComputeUnit.ALL).fallback is Unit.GPU
    assert place(network(), ComputeUnit.CPU_AND_NE).fallback is Unit.CPU


def test_old_systems_cpus_and_early_neural_engines_expand_weights_at_load():
    lut4, int8 = (StoredWeight.of(Encoding.parse(e), (64, 64)) for e in ("lut4", "int8"))
    m1, m2 = specifications()["M1"], specifications()["M2"]
    new, old = (place(network(), ComputeUnit.ALL, t) for t in (DeploymentTarget.IOS17, DeploymentTarget.IOS16))
    assert new.held(lut4, Unit.NEURAL_ENGINE, m1) == lut4
    assert old.held(lut4, Unit.NEURAL_ENGINE, m1) == lut4.expanded()
    assert new.held(lut4, Unit.CPU, m2) == lut4.expanded()
    assert new.held(int8, Unit.NEURAL_ENGINE, m1) == int8.expanded()
    assert new.held(int8, Unit.NEURAL_ENGINE, m2) == int8


def test_a_processor_that_the_device_lacks_is_an_error_and_all_does_without():
    with pytest.raises(ComputeUnitError, match="no neural engine; use ALL"):
        place(network(), ComputeUnit.CPU_AND_NE, lacks=("neural_engine",))
    assert place(network(), ComputeUnit.ALL, lacks=("neural_engine",)).unit is Unit.GPU
    assert place(network(), ComputeUnit.ALL, lacks=("neural_engine", "gpu")).unit is Unit.CPU


def test_unknown_settings_suggest():
    assert ComputeUnit.parse("cpu_and_ne") is ComputeUnit.CPU_AND_NE
    with pytest.raises(ComputeUnitError, match="did you mean 'CPU_AND_NE'"):
        ComputeUnit.parse("CPU_AND_ANE")


def in_float32(ops, *names):
    return OpList(replace(op, float32=True) if op.name in names or not names else op for op in ops)


def test_ops_in_float32_leave_the_neural_engine_and_a_program_of_nothing_else_never_goes_there():
    some = in_float32(network(), "l1")
    placement = place(some, ComputeUnit.ALL)
    assert placement.unit is Unit.NEURAL_ENGINE
    assert [refuses(Unit.NEURAL_ENGINE, op) for op in some if op.name in ("l0", "l1")] == [False, True]
    assert not any(refuses(Unit.GPU, op) for op in some if op.name in ("l0", "l1"))
    found = {setting: place(in_float32(network()), setting).unit for setting in ComputeUnit}
    assert found[ComputeUnit.ALL] is found[ComputeUnit.CPU_AND_GPU] is Unit.GPU
    assert found[ComputeUnit.CPU_AND_NE] is found[ComputeUnit.CPU_ONLY] is Unit.CPU
    assert place(in_float32(network(16)), ComputeUnit.ALL).unit is Unit.CPU
