"""The sentences of this experiment as tokens. Every document they come from belongs to one split for good."""

import csv
from functools import cache
from pathlib import Path

import torch
from minilm import LENGTH, package_folder
from tokenizers import Tokenizer

TABLE = Path(__file__).with_name("sentences.csv")

Tokens = tuple[torch.Tensor, torch.Tensor]


@cache
def sentences(split: str) -> tuple[str, ...]:
    """The sentences of a split: `evaluation`, `calibration` or `confirmation`."""
    with TABLE.open(newline="", encoding="ascii") as table:
        rows = list(csv.DictReader(table))
    chosen = tuple(row["text"] for row in rows if row["split"] == split)
    if not chosen:
        raise ValueError(f"split {split!r}: expected one of {sorted({row['split'] for row in rows})}")
    return chosen


def tokens(texts: tuple[str, ...]) -> Tokens:
    """Token numbers and attention mask, int32 (N, LENGTH) each; longer texts are cut."""
    encoded = _tokenizer().encode_batch(list(texts))
    numbers = torch.tensor([text.ids for text in encoded], dtype=torch.int32)
    return numbers, torch.tensor([text.attention_mask for text in encoded], dtype=torch.int32)


@cache
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(package_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    return tokenizer
