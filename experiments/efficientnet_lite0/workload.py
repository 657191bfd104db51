"""Workload: EfficientNet-Lite0 on real photographs, without labels; the float network's own answers are the reference.

Batches are of `BATCH` crops only to bound memory: every function that reads them accepts any batch size.
"""

from collections.abc import Iterator
from functools import cache
from itertools import chain

import torch
from efficientnet_lite0 import EfficientNetLite0, pretrained
from photographs import crops, random_crops

BATCH = 8  # two workers with more compete for the cache
CROPS_PER_PHOTOGRAPH = {"evaluation": 1, "calibration": 2, "confirmation": 2}
TRAINING_BATCH, TRAINING_CROPS, TRAINING_SEED = 16, 40, 20
JUDGES, JUDGES_CROPS = 16, 8  # photographs that training is judged by, and crops of each

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
    """One epoch of random crops of the calibration photographs, without targets; the same every time.

    Fine-tuning holds out what comes first, so that is 128 crops of 16 photographs of which no more come later. The
    others are mixed in pairs, for few photographs are soon known by heart (Zhang et al. 2018,
    https://arxiv.org/abs/1710.09412; for distillation, Beyer et al. 2022, https://arxiv.org/abs/2106.05237).
    """
    judges = random_crops("calibration", JUDGES_CROPS, TRAINING_BATCH, TRAINING_SEED, slice(JUDGES))
    others = random_crops("calibration", TRAINING_CROPS, TRAINING_BATCH, TRAINING_SEED, slice(JUDGES, None))
    return (((images,), None) for images in chain(judges, _mixed(others)))


def _mixed(batches: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Each crop with a share of its neighbour in the batch, less than half."""
    chance = torch.Generator().manual_seed(TRAINING_SEED)
    for images in batches:
        share = torch.rand(len(images), 1, 1, 1, generator=chance) / 2
        yield (1 - share) * images + share * images.roll(1, dims=0)


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
