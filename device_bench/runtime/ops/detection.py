"""Non-maximum suppression.

Meaning: coremltools ``ops/defs/iOS15/tensor_operation.py``, ``iOS17/tensor_operation.py`` and the reference that
``ops/tests/iOS14/test_tensor_operation.py`` holds: places without a box have zeros and the index -1, and when no box
passes the score threshold the best one is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel


def _overlap(boxes: Tensor) -> Tensor:
    """Intersection over union of every pair of [B, 4] boxes given as centre x, centre y, width, height."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    sides = (torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)).clamp(min=0)
    shared, area = sides.prod(-1), boxes[:, 2:].prod(-1)
    return shared / (area[:, None] + area - shared)


def _kept(boxes: Tensor, scores: Tensor, iou: float, score: float | None, per_class: bool) -> list[int]:
    """Indices of the [B, 4] boxes that survive, best first; scores are [B, K]."""
    best, label = scores.max(-1)
    order = torch.argsort(best, descending=True, stable=True).tolist()
    overlap, labels, values = _overlap(boxes).tolist(), label.tolist(), best.tolist()
    kept: list[int] = []
    for box in order:
        if score is not None and not values[box] > score:
            break
        rivals = [other for other in kept if not per_class or labels[other] == labels[box]]
        if all(not overlap[box][other] > iou for other in rivals):
            kept.append(box)
    return kept or order[:1]


def _suppress(
    boxes: Tensor, scores: Tensor, iou: float, score: float | None, most: int, per_class: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Over a batch of [n, B, 4] boxes and [n, B, K] scores: boxes, scores, indices and their number."""
    chosen_boxes = boxes.new_zeros((boxes.shape[0], most, 4))
    chosen_scores = scores.new_zeros((boxes.shape[0], most, scores.shape[-1]))
    indices = torch.full((boxes.shape[0], most), -1, dtype=torch.int32, device=boxes.device)
    counts = torch.zeros(boxes.shape[0], dtype=torch.int32, device=boxes.device)
    for sample in range(boxes.shape[0]):
        kept = _kept(boxes[sample].detach(), scores[sample].detach(), iou, score, per_class)[:most]
        index = torch.tensor(kept, device=boxes.device)
        chosen_boxes[sample, : len(kept)] = boxes[sample, index]
        chosen_scores[sample, : len(kept)] = scores[sample, index]
        indices[sample, : len(kept)] = index.int()
        counts[sample] = len(kept)
    return chosen_boxes, chosen_scores, indices, counts


@kernel("non_maximum_suppression")
def non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    *,
    iou_threshold: float,
    score_threshold: float,
    max_boxes: int,
    per_class_suppression: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes [n, B, 4] in falling order of score without those that overlap a better one; also their number."""
    return _suppress(boxes, scores, iou_threshold, score_threshold, max_boxes, per_class_suppression)


@kernel("non_maximum_suppression", since="iOS17")
def non_maximum_suppression_ios17(
    boxes: Tensor, scores: Tensor, *, iou_threshold: float, max_boxes: int, per_class_suppression: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The same with boxes [n, 4, B] and scores [n, K, B], and no score threshold."""
    by_box, by_score = boxes.transpose(1, 2), scores.transpose(1, 2)
    chosen, values, indices, _ = _suppress(by_box, by_score, iou_threshold, None, max_boxes, per_class_suppression)
    return chosen.transpose(1, 2), values.transpose(1, 2), indices
