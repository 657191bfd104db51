"""Workload: all-MiniLM-L6-v2 on real sentences, without labels; the float encoder's embeddings are the reference.

Batches are of `BATCH` sentences only to bound memory: every function that reads them accepts any batch size.
"""

from collections.abc import Iterator
from functools import cache

import torch
from minilm import MiniLM, pretrained
from sentences import Tokens, sentences, tokens

BATCH = 32
TRAINING_BATCH, TRAINING_EPOCHS, TRAINING_SEED = 16, 8, 20

Batch = tuple[Tokens, torch.Tensor | None]


def model() -> MiniLM:
    """The float encoder, eval mode: token numbers and mask, int32 (N, 64) each, to embeddings (N, 384)."""
    return pretrained()


def example_inputs() -> Tokens:
    """One sentence of the evaluation data, (1, 64) twice."""
    return tokens(sentences("evaluation")[:1])


def evaluation_data() -> Iterator[Batch]:
    """Sentences and, as targets, the float encoder's embeddings (N, 384)."""
    return zip(_batches("evaluation"), _float_embeddings("evaluation").split(BATCH), strict=True)


def calibration_data() -> Iterator[Batch]:
    """Sentences of other documents, without targets."""
    return ((inputs, None) for inputs in _batches("calibration"))


def confirmation_data() -> Iterator[Batch]:
    """As the evaluation data, from documents that no search sees."""
    return zip(_batches("confirmation"), _float_embeddings("confirmation").split(BATCH), strict=True)


def training_data() -> Iterator[Batch]:
    """The calibration sentences, several times over in random order, without targets; the same every time."""
    numbers, masks = tokens(sentences("calibration"))
    chance = torch.Generator().manual_seed(TRAINING_SEED)
    for _ in range(TRAINING_EPOCHS):
        for rows in torch.randperm(len(numbers), generator=chance).split(TRAINING_BATCH):
            yield (numbers[rows], masks[rows]), None


def metrics(outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Mean cosine similarity between embeddings (N, 384) and the float encoder's."""
    return {"cosine_similarity": torch.nn.functional.cosine_similarity(outputs, targets).mean().item()}


def _batches(split: str) -> Iterator[Tokens]:
    return zip(*(part.split(BATCH) for part in tokens(sentences(split))), strict=True)


@cache
def _float_embeddings(split: str) -> torch.Tensor:
    encoder = pretrained()
    with torch.no_grad():
        return torch.cat([encoder(*inputs) for inputs in _batches(split)])
