import json

from device_bench.cost.op import OpList
from device_bench.cost.shapes import ShapeBuilder


def test_an_op_list_survives_json_whole():
    b = ShapeBuilder(batch=2)
    b.conv("stem", (3, 8), (16, 16), 3, 2)
    b.attention("attention", 4, 16, 64, count=3)
    b.embedding("words", 1000, 64, 12)
    b.host("pick", 5)
    ops = b.build()
    assert OpList.from_rows(json.loads(json.dumps(ops.to_rows()))) == ops
