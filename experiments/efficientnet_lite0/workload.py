"""Workload: EfficientNet-Lite0 on real photographs, without labels; the float network's own answers are the reference.

Batches are of `BATCH` crops only to bound memory: every function that reads them accepts any batch size.
"""

from collections.abc import Iterator
from functools import cache

import torch
from efficientnet_lite0 import EfficientNetLite0, pretrained
from photographs import crops, random_crops

BATCH = 24
CROPS_PER_PHOTOGRAPH = {"evaluation": 1, "calibration": 2, "confirmation": 2}
TRAINING_BATCH, TRAINING_CROPS, TRAINING_SEED = 16, 40, 20

Batch = tuple[tuple[torch.Tensor, ...], torch.Tensor | None]


def model() -> EfficientNetLite0:
    """The float network with its ImageNet weights, eval mode: images (N, 3, 224, 224) to logits (N, 1000)."""
    return pretrained()


def example_inputs() -> tuple[torch.Tensor, ...]:
    """One crop of the evaluation data, (1, 3, 224, 224)."""
    return (_images("evaluation")[:1],)


def evaluation_data() -> Iterator[Batch]:
    """Crops and, as targets, the float network's own classes."""
    return _batches("evaluation")


def calibration_data() -> Iterator[Batch]:
    """Crops of other photographs, without targets."""
    return (((images,), None) for images in _images("calibration").split(BATCH))


def confirmation_data() -> Iterator[Batch]:
    """As the evaluation data, from photographs that no search sees."""
    return _batches("confirmation")


def training_data() -> Iterator[Batch]:
    """One epoch of random crops of the calibration photographs, without targets; the same every time."""
    batches = random_crops("calibration", TRAINING_CROPS, TRAINING_BATCH, TRAINING_SEED)
    return (((images,), None) for images in batches)


def metrics(outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Share of crops (N logits, N classes) on which the largest logit is the float network's."""
    return {"top1_agreement": (outputs.argmax(1) == targets).float().mean().item()}


def _batches(split: str) -> Iterator[Batch]:
    pairs = zip(_images(split).split(BATCH), _float_classes(split).split(BATCH), strict=True)
    return (((images,), classes) for images, classes in pairs)


def _images(split: str) -> torch.Tensor:
    return crops(split, CROPS_PER_PHOTOGRAPH[split])


@cache
def _float_classes(split: str) -> torch.Tensor:
    network = pretrained()
    with torch.no_grad():
        return torch.cat([network(images).argmax(1) for images in _images(split).split(BATCH)])
