import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.device_bench.cost.fit import PROGRAM
from palettune.device_bench.cost.fitted import parameters
from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.cost.unit_cost import UnitParameters, combined, op_milliseconds
from palettune.device_bench.devices import specifications
from palettune.device_bench.devices.unit import Unit
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.encoding import Encoding

PARAMETERS = parameters(Unit.NEURAL_ENGINE, specifications()["A17 Pro"])
NEURAL_ENGINE = UnitParameters(**{k: v for k, v in PARAMETERS.items() if k not in PROGRAM})


def times(encoding, features=(1024, 1024), positions=64, int8=False):
    b = ShapeBuilder()
    b.linear("l", features, positions)
    (op,) = b.build()
    stored = StoredWeight.of(Encoding.parse(encoding), op.weight_shape)
    busy, stream = op_milliseconds(OpTable.of([(op, stored, int8)]), NEURAL_ENGINE)
    return float(busy[0]), float(stream[0])


def test_streaming_is_proportional_to_bytes():
    assert times("fp16")[1] / times("lut8")[1] == pytest.approx(2, rel=0.01)
    assert times("fp16")[1] / times("lut4")[1] == pytest.approx(4, rel=0.01)


def test_many_small_tables_keep_the_neural_engine_busy_longer():
    busy = [times(f"lut4{group}")[0] for group in ("", "-g16", "-g4", "-g2", "-g1")]
    assert busy == sorted(busy)
    assert busy[-1] > 2 * busy[0]


def test_eight_bit_arithmetic_and_zeros_pay_where_arithmetic_rules():
    assert times("int8", positions=4096, int8=True)[0] < 0.75 * times("int8", positions=4096)[0]
    half, most = times("sparse50", positions=4096)[0], times("sparse90", positions=4096)[0]
    dense = times("fp16", positions=4096)[0]
    assert most < half < dense
    assert dense - half < half - most


@given(st.floats(0.01, 1e3), st.floats(0.01, 1e3), st.floats(1.5, 8))
def test_the_join_is_above_the_larger_and_below_the_sum(busy, stream, sharpness):
    joined = combined(busy, stream, sharpness)
    assert max(busy, stream) * (1 - 1e-9) <= joined <= (busy + stream) * (1 + 1e-9)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 512))
def test_more_work_never_takes_less_time(a, b, positions):
    small = times("lut4", (8 * a, 8 * b), positions)
    large = times("lut4", (8 * a + 8, 8 * b), positions + 1)
    assert np.all(np.array(large) >= np.array(small))
