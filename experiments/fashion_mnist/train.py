"""Trains the network and writes its checkpoint: `python train.py`. Its output is in the project.

Needs the whole data set (`clothes.py` says where it is looked for). Nothing is chosen on the test pictures: the last
epoch's weights are kept, and their accuracy on the 10,000 test pictures is reported.
"""

import logging
import time

import clothes
import torch
from fashion_network import FashionNetwork, save
from torch import nn

EPOCHS, BATCH, SEED = 12, 128, 20
PEAK_RATE, WEIGHT_DECAY, SMOOTHING = 4e-3, 0.02, 0.05

log = logging.getLogger("train")


def main() -> None:
    """Trains on one core, reproducibly."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    if clothes.installed_folder() is None:
        raise SystemExit(
            "the whole data set is not installed: apt-get install dataset-fashion-mnist, or set FASHION_MNIST"
        )
    pictures, classes = (
        torch.cat(parts) for parts in zip(clothes.training_clothes(), clothes.clothes("calibration"), strict=True)
    )
    network = FashionNetwork().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * (len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.25)
    chance = torch.Generator().manual_seed(SEED)
    for epoch in range(EPOCHS):
        start = time.monotonic()
        loss = _epoch(network, pictures, classes, optimizer, schedule, chance)
        log.info("epoch %d of %d: loss %.4f, %.0f s", epoch + 1, EPOCHS, loss, time.monotonic() - start)
    save(network)
    log.info("accuracy on the test pictures: %.2f %%", 100 * accuracy(network.eval()))


def _epoch(
    network: nn.Module,
    pictures: torch.Tensor,
    classes: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    chance: torch.Generator,
) -> float:
    network.train()
    criterion = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    total = 0.0
    batches = torch.randperm(len(pictures), generator=chance).split(BATCH)[: len(pictures) // BATCH]
    for rows in batches:
        inputs = clothes.augmented(pictures[rows], chance).to(memory_format=torch.channels_last)
        loss = criterion(network(inputs), classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
    return total / len(batches)


def accuracy(network: nn.Module) -> float:
    """Share of the 10,000 test pictures (evaluation and confirmation together) that get their class."""
    pictures, classes = (
        torch.cat(parts) for parts in zip(clothes.clothes("evaluation"), clothes.clothes("confirmation"), strict=True)
    )
    with torch.inference_mode():
        found = torch.cat([network(part).argmax(1) for part in pictures.split(500)])
    return (found == classes).float().mean().item()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
