"""Workload: a small network on Fashion-MNIST, with labels; its own metric is top-1 accuracy.

Batches are of `BATCH` pictures only to bound memory: every function that reads them accepts any batch size. Evaluation
and confirmation pictures are together the data set's test split; the others are from its training split.
"""

from collections.abc import Iterator

import torch
from clothes import Clothes, augmented, clothes, training_clothes
from fashion_network import FashionNetwork, trained

BATCH = 500
TRAINING_BATCH, TRAINING_SEED = 128, 20

Batch = tuple[tuple[torch.Tensor, ...], torch.Tensor]


def model() -> FashionNetwork:
    """The trained float network, eval mode: pictures (N, 1, 28, 28) to logits (N, 10)."""
    return trained()


def example_inputs() -> tuple[torch.Tensor, ...]:
    """One picture of the evaluation data, (1, 1, 28, 28)."""
    return (clothes("evaluation")[0][:1],)


def evaluation_data() -> Iterator[Batch]:
    """2,000 pictures of the test split and their classes."""
    return _batches(clothes("evaluation"))


def calibration_data() -> Iterator[Batch]:
    """1,000 pictures of the training split and their classes."""
    return _batches(clothes("calibration"))


def confirmation_data() -> Iterator[Batch]:
    """The other 8,000 pictures of the test split, which no search sees."""
    return _batches(clothes("confirmation"))


def training_data() -> Iterator[Batch]:
    """One epoch of augmented pictures of the training split, in random order; the same every time."""
    chance = torch.Generator().manual_seed(TRAINING_SEED)
    pictures, classes = training_clothes()
    for rows in torch.randperm(len(pictures), generator=chance).split(TRAINING_BATCH):
        yield (augmented(pictures[rows], chance),), classes[rows]


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of logits (N, 10) against classes (N,)."""
    return torch.nn.functional.cross_entropy(outputs, targets)


def metrics(outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Share of pictures whose largest logit (N, 10) is their class (N,)."""
    return {"top1": (outputs.argmax(1) == targets).float().mean().item()}


def _batches(data: Clothes) -> Iterator[Batch]:
    pictures, classes = (part.split(BATCH) for part in data)
    return (((inputs,), targets) for inputs, targets in zip(pictures, classes, strict=True))
