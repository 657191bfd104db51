"""Checkpoints are whole or not there."""

from __future__ import annotations

from pathlib import Path

import torch

from palettune.evaluators.fine_tuning.checkpoint import Checkpoint, CheckpointFolder


def test_the_last_one_comes_back_and_the_others_are_gone(tmp_path: Path) -> None:
    folder, other = CheckpointFolder(tmp_path, "a"), CheckpointFolder(tmp_path, "b")
    other.save(Checkpoint({"step": 9}, {"x": torch.zeros(2)}))
    for step in (1, 2):
        folder.save(Checkpoint({"step": step, "best": None}, {"layer.0/latent": torch.full((3,), float(step))}))
    assert len(list(tmp_path.iterdir())) == 2
    found = folder.load()
    assert found.values == {"step": 2, "best": None}
    assert torch.equal(found.tensors["layer.0/latent"], torch.full((3,), 2.0))
    folder.clear()
    assert folder.load() is None
    assert other.load().values == {"step": 9}


def test_a_damaged_one_is_as_good_as_none(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "a")
    folder.save(Checkpoint({"step": 1}, {"x": torch.zeros(2)}))
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert folder.load() is None


def test_without_a_folder_nothing_is_kept() -> None:
    folder = CheckpointFolder(None, "a")
    folder.save(Checkpoint({"step": 1}, {}))
    assert folder.load() is None
