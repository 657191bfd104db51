"""The real photographs of this experiment, cut into square crops as the network expects them.

Every photograph belongs to one split for good, so evaluation, calibration and confirmation never share one. Where each
comes from, and under which licence, is in photographs.csv and README.md.
"""

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SIDE = 224
MEAN, DEVIATION = 127.0, 128.0  # the scaling EfficientNet-Lite was trained with, unlike EfficientNet's own
TABLE = Path(__file__).with_name("photographs.csv")
CENTRE_FRACTION = 0.875  # the usual ImageNet centre crop: 224 of 256
SMALLEST_FRACTION = 0.6  # of the shorter side, for the other crops
SMALLEST_TRAINING_FRACTION = 0.4


@dataclass(frozen=True)
class Photograph:
    """One row of the table: a picture inside an installed package, or in this folder (empty package)."""

    name: str
    split: str
    package: str
    path: str

    def open(self) -> Image.Image:
        """The picture, RGB. FileNotFoundError names the package that is missing."""
        with Image.open(self._folder() / self.path) as picture:
            return picture.convert("RGB")

    def _folder(self) -> Path:
        if not self.package:
            return TABLE.parent
        spec = find_spec(self.package)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"photograph {self.name} is part of the package {self.package}: install it")
        return Path(spec.origin).parent


@cache
def photographs(split: str) -> tuple[Photograph, ...]:
    """The photographs of a split (`evaluation`, `calibration`, `confirmation`), their kinds well mixed."""
    with TABLE.open(newline="", encoding="utf-8") as table:
        rows = [Photograph(r["name"], r["split"], r["package"], r["path"]) for r in csv.DictReader(table)]
    chosen = [row for row in rows if row.split == split]
    if not chosen:
        raise ValueError(f"split {split!r}: expected one of {sorted({row.split for row in rows})}")
    return tuple(sorted(chosen, key=lambda photograph: zlib.crc32(photograph.name.encode())))


@cache
def crops(split: str, per_photograph: int) -> torch.Tensor:
    """(photographs * per_photograph, 3, 224, 224), scaled; the first crop of each photograph is its centre.

    Photographs follow each other: the first `len(photographs(split))` crops are all the centres.
    """
    cuts = [_crops_of(photograph, per_photograph) for photograph in photographs(split)]
    return scaled(np.stack([crop for turn in zip(*cuts, strict=True) for crop in turn]))


def groups(data: str, samples: int) -> list[int]:
    """The photograph that each crop of `evaluation_data` or `confirmation_data` is cut from, by number."""
    count = len(photographs(data.removesuffix("_data")))
    return [crop % count for crop in range(samples)]  # as `crops` orders them


def random_crops(
    split: str, per_photograph: int, batch: int, seed: int, which: slice = slice(None)
) -> Iterator[torch.Tensor]:
    """Batches (batch, 3, 224, 224) of crops of random place and size, half of them mirrored, in random order.

    `which` photographs of the split; all unless given.
    """
    chance = np.random.default_rng(seed)
    pictures = [photograph.open() for photograph in photographs(split)[which]]
    order = chance.permutation(np.repeat(np.arange(len(pictures)), per_photograph))
    for start in range(0, len(order), batch):
        cut = [_random_square(pictures[which], chance) for which in order[start : start + batch]]
        yield scaled(np.stack(cut))


def scaled(pixels: np.ndarray) -> torch.Tensor:
    """Bytes (N, 224, 224, 3) as the network's input (N, 3, 224, 224)."""
    return torch.from_numpy(pixels.astype(np.float32)).sub_(MEAN).div_(DEVIATION).permute(0, 3, 1, 2).contiguous()


def square(picture: Image.Image, fraction: float, across: float, down: float) -> np.ndarray:
    """A square of `fraction` of the shorter side; `across` and `down` in [0, 1] place it. Bytes (224, 224, 3)."""
    width, height = picture.size
    side = fraction * min(width, height)
    left, top = across * (width - side), down * (height - side)
    resized = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(resized)


def _crops_of(photograph: Photograph, count: int) -> list[np.ndarray]:
    picture = photograph.open()
    places = np.random.default_rng(zlib.crc32(photograph.name.encode()))  # by name: adding a photograph moves no crop
    others = [(places.uniform(SMALLEST_FRACTION, 1.0), *places.random(2)) for _ in range(count - 1)]
    return [square(picture, *place) for place in [(CENTRE_FRACTION, 0.5, 0.5), *others]]


def _random_square(picture: Image.Image, chance: np.random.Generator) -> np.ndarray:
    crop = square(picture, chance.uniform(SMALLEST_TRAINING_FRACTION, 1.0), *chance.random(2))
    return crop[:, ::-1] if chance.random() < 0.5 else crop
