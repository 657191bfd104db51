from palettune.device_bench.cost.op import OpKind
from palettune.device_bench.cost.shapes import ShapeBuilder


def test_a_convolution_counts_what_its_definition_says():
    b = ShapeBuilder()
    assert b.conv("c", (3, 8), (11, 12), 3, 2) == (6, 6)
    (op,) = b.build()
    assert op.macs == 8 * 6 * 6 * 3 * 9
    assert op.weight_shape == (8, 3, 3, 3)
    assert (op.read_bytes, op.written_bytes) == (2 * 3 * 11 * 12, 2 * 8 * 6 * 6)
    assert op.positions == 36


def test_depthwise_is_told_apart_and_repeats_get_their_own_names():
    b = ShapeBuilder()
    b.conv("c", (8, 8), (4, 4), 3, 1, 8)
    b.conv("c", (8, 8), (4, 4))
    ops = b.build()
    assert [op.kind for op in ops] == [OpKind.DEPTHWISE, OpKind.CONV]
    assert ops.layers == ("c", "c.1")


def test_batch_multiplies_work_but_not_weights():
    one, two = ShapeBuilder(), ShapeBuilder(2)
    for b in (one, two):
        b.linear("l", (16, 32), 5, count=3)
        b.attention("a", 2, 8, 5)
    assert two.build().macs == 2 * one.build().macs
    assert two.build().weight_elements == one.build().weight_elements == 3 * 16 * 32


def test_attention_is_two_products_and_a_softmax_over_the_same_matrix():
    b = ShapeBuilder()
    b.attention("a", 4, 8, 10, 20)
    scores, softmax, total = b.build()
    assert scores.macs == total.macs == 4 * 8 * 10 * 20
    assert softmax.read_bytes == scores.written_bytes == 2 * 4 * 10 * 20
    assert scores.matrix_bytes == softmax.matrix_bytes == 2 * 10 * 20
