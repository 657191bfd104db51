"""Fashion-MNIST, the pictures of clothes (https://github.com/zalandoresearch/fashion-mnist, MIT licence).

A part of it lies in `data/` as PNG mosaics, so that the experiment runs with no download. The whole is used for
training where it is installed: Debian's package `dataset-fashion-mnist`, or the folder that FASHION_MNIST names.
"""

import gzip
import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

DATA = Path(__file__).with_name("data")
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
SIDE, ACROSS = 28, 50  # pixels of a picture, pictures in a row of a mosaic
# split -> (original split, pictures of each class, in the order of the original files)
SPLITS = {
    "evaluation": ("t10k", slice(0, 200)),
    "confirmation": ("t10k", slice(200, 1000)),
    "calibration": ("train", slice(0, 100)),
    "training": ("train", slice(100, 900)),
}
WHOLE_TRAINING = ("train", slice(100, 6000))

Clothes = tuple[torch.Tensor, torch.Tensor]


@cache
def clothes(split: str) -> Clothes:
    """Pictures (N, 1, 28, 28) scaled to [-1, 1] and classes (N,) of a split, from this folder."""
    with Image.open(DATA / f"{split}.png") as mosaic:
        pixels = np.asarray(mosaic)
    rows = pixels.reshape(-1, SIDE, ACROSS, SIDE)
    classes = np.load(DATA / f"{split}.npy", allow_pickle=False)
    return _tensors(rows.transpose(0, 2, 1, 3).reshape(-1, SIDE, SIDE), classes)


@cache
def training_clothes() -> Clothes:
    """The training pictures: 59,000 where the whole data set is installed, else the 8,000 of this folder."""
    folder = installed_folder()
    return clothes("training") if folder is None else _tensors(*original(folder, *WHOLE_TRAINING))


def installed_folder() -> Path | None:
    """Where the whole data set is: the folder that FASHION_MNIST names, or Debian's package; None without them."""
    folder = Path(os.environ.get("FASHION_MNIST", INSTALLED))
    return folder if (folder / "train-images-idx3-ubyte.gz").is_file() else None


def original(folder: Path, split: str, of_each_class: slice) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 28, 28) and classes (N,), bytes, of the published files (`train` or `t10k`), classes interleaved."""
    pixels = _bytes(folder / f"{split}-images-idx3-ubyte.gz", header=16).reshape(-1, SIDE, SIDE)
    classes = _bytes(folder / f"{split}-labels-idx1-ubyte.gz", header=8)
    chosen = np.stack([np.flatnonzero(classes == kind)[of_each_class] for kind in range(10)], axis=1).ravel()
    return pixels[chosen], classes[chosen]


def _bytes(path: Path, header: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def _tensors(pixels: np.ndarray, classes: np.ndarray) -> Clothes:
    scaled = torch.from_numpy(pixels.astype(np.float32))[:, None] / 127.5 - 1
    return scaled, torch.from_numpy(classes.astype(np.int64))


def augmented(pictures: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """The pictures (N, 1, 28, 28), half of them mirrored, all moved by up to 2 pixels each way."""
    mirrored = torch.rand(len(pictures), generator=chance) < 0.5
    pictures = torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures)
    padded = torch.nn.functional.pad(pictures, (2, 2, 2, 2), value=-1.0)
    down, across = torch.randint(0, 5, (2, len(pictures)), generator=chance)
    rows = (down[:, None] + torch.arange(SIDE))[:, None, :, None]
    columns = (across[:, None] + torch.arange(SIDE))[:, None, None, :]
    return padded[torch.arange(len(pictures))[:, None, None, None], 0, rows, columns]
