import json

from palettune.device_bench.cost.op import CostOp, OpKind, OpList
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.package.stored_weight import StoredWeight


def test_an_op_list_survives_json_whole():
    b = ShapeBuilder(batch=2)
    b.conv("stem", (3, 8), (16, 16), 3, 2)
    b.attention("attention", 4, 16, 64, count=3)
    b.embedding("words", 1000, 64, 12)
    b.host("pick", 5)
    ops = b.build()
    assert OpList.from_rows(json.loads(json.dumps(ops.to_rows()))) == ops


def test_what_a_program_holds_survives_json_and_older_rows_are_read():
    held = StoredWeight(64, 40.0, 2, 0.25, True, True)
    op = CostOp("dense", OpKind.LINEAR, 640, (8, 8), 160, 160, int8=True, stored=held, float_bits=32)
    (row,) = json.loads(json.dumps(OpList([op]).to_rows()))
    assert OpList.from_rows([row]) == OpList([op])
    (older,) = OpList.from_rows([row[:9]])  # of studies before ops said how their weights are stored
    assert older == CostOp("dense", OpKind.LINEAR, 640, (8, 8), 160, 160)
