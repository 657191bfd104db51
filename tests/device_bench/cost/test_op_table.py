import numpy as np

from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.encoding import Encoding


def network():
    b = ShapeBuilder()
    b.embedding("e", 1000, 16, 4)
    for i in range(6):
        b.linear(f"l{i}", (16, 16), 4)
    b.pointwise("add", 64, 2)
    return b.build()


def test_merging_counts_equal_ops_together_and_loses_nothing():
    table = OpTable.of((op, None, False) for op in network())
    merged = table.merged()
    assert len(merged) == 3 < len(table) == 8
    for column in ("macs", "weight_bytes", "activation_bytes"):
        totals = [float((getattr(t, column) * t.count).sum()) for t in (table, merged)]
        assert totals[0] == totals[1]


def test_a_look_up_fetches_its_rows_only():
    embedding = network()[0]
    table = OpTable.of([(embedding, None, False)])
    assert table.weight_bytes[0] == 0
    assert table.activation_bytes[0] == 2 * 4 * 16 * 2


def test_eight_bit_activations_halve_traffic_and_encodings_change_what_streams():
    op = network()[1]
    lut4 = StoredWeight.of(Encoding.parse("lut4"), op.weight_shape)
    table = OpTable.of([(op, None, False), (op, None, True), (op, lut4, False)])
    assert table.activation_bytes[1] == table.activation_bytes[0] / 2
    assert np.array_equal(table.int8, [0, 1, 0])
    assert table.weight_bytes[2] < table.weight_bytes[0]
    assert table.decoded[2] == op.weight_elements
    assert table.decoded[0] == 0
