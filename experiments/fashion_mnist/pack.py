"""Writes `data/` from the whole data set, where it is installed: `python pack.py`. Its output is in the project."""

import clothes
import numpy as np
from PIL import Image


def main() -> None:
    """A mosaic and a file of classes for each split."""
    folder = clothes.installed_folder()
    if folder is None:
        raise SystemExit(
            "the whole data set is not installed: apt-get install dataset-fashion-mnist, or set FASHION_MNIST"
        )
    clothes.DATA.mkdir(exist_ok=True)
    for split, (original_split, of_each_class) in clothes.SPLITS.items():
        pixels, classes = clothes.original(folder, original_split, of_each_class)
        rows = pixels.reshape(-1, clothes.ACROSS, clothes.SIDE, clothes.SIDE).transpose(0, 2, 1, 3)
        mosaic = Image.fromarray(rows.reshape(-1, clothes.ACROSS * clothes.SIDE))
        mosaic.save(clothes.DATA / f"{split}.png", optimize=True)
        np.save(clothes.DATA / f"{split}.npy", classes)


if __name__ == "__main__":
    main()
