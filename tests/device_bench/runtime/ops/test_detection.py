"""Suppression of overlapping boxes against its definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import SOME, close, floats, seeds
from tests.device_bench.runtime.support.mil import outputs_of


def suppressed(boxes, scores, iou, score, per_class):
    """Greedy suppression by its definition, for one sample."""
    best, label = scores.max(-1), scores.argmax(-1)
    kept = []
    for box in np.argsort(-best):
        if best[box] <= score:
            continue
        low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
        ok = True
        for other in kept:
            if per_class and label[other] != label[box]:
                continue
            inter = np.prod(np.maximum(np.minimum(high[box], high[other]) - np.maximum(low[box], low[other]), 0))
            union = np.prod(boxes[box, 2:]) + np.prod(boxes[other, 2:]) - inter
            ok &= inter / union <= iou
        if ok:
            kept.append(box)
    return kept or [int(best.argmax())]


@SOME
@given(st.booleans(), st.integers(1, 3), st.sampled_from([0.1, 0.5, 5.0]), seeds)
def test_non_maximum_suppression(per_class, classes, score, seed):
    boxes, scores = floats((1, 9, 4), seed, 1, 4), floats((1, 9, classes), seed + 1, 0, 1)
    attributes = {"iou_threshold": np.float32(0.3), "max_boxes": 6, "per_class_suppression": per_class}
    kept = suppressed(boxes[0], scores[0], 0.3, score, per_class)[:6]
    older = {**attributes, "score_threshold": np.float32(score)}
    picked, values, indices, count = outputs_of("non_maximum_suppression", older, "iOS16", boxes=boxes, scores=scores)
    assert count[0] == len(kept)
    np.testing.assert_array_equal(indices[0], kept + [-1] * (6 - len(kept)))
    close(picked[0, : len(kept)], boxes[0, kept])
    close(values[0, : len(kept)], scores[0, kept])
    kept = suppressed(boxes[0], scores[0], 0.3, -1, per_class)[:6]
    turned = {"boxes": boxes.transpose(0, 2, 1).copy(), "scores": scores.transpose(0, 2, 1).copy()}
    _, _, indices = outputs_of("non_maximum_suppression", attributes, **turned)
    np.testing.assert_array_equal(indices[0], kept + [-1] * (6 - len(kept)))
