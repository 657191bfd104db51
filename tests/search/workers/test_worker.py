"""What a worker is told of its device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palettune.evaluators.placement import CPU, WorkerDeviceError
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.search.workers.requests import Evaluate
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.testing.workloads import parse_configuration, setting_of
from tests.evaluators.pretended_device import ELSEWHERE


def _settings(folder: Path, gpus: float) -> WorkerSettings:
    setting = setting_of(folder)
    layers = tuple(setting.weights.layers)
    return WorkerSettings(setting.workload.path, layers, DivergenceKind.KL, 0, folder / "bank", (), 1, gpus=gpus)


def test_a_worker_that_was_given_a_gpu_and_sees_none_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(WorkerDeviceError, match="gpus = 1"):
        Worker(_settings(tmp_path, 1))


@pytest.mark.parametrize(("gpus", "device"), [(0, CPU), (0.5, ELSEWHERE)])
def test_every_part_of_a_worker_has_its_device(tmp_path, monkeypatch, gpus, device):
    asked = []
    monkeypatch.setattr(
        "palettune.search.workers.worker.worker_device",
        lambda share: asked.append(share) or (ELSEWHERE if share else CPU),
    )
    worker = Worker(_settings(tmp_path, gpus))
    assert asked == [gpus]
    assert worker.setting.device == device
    assert worker.evaluator.quality.device == device
    assert worker.confirmer.quality.device == device
    assert worker._evaluator("calibration").setting.device == device
    configuration = parse_configuration(worker.setting, "lut4")
    assert Evaluate(configuration).run(worker).by_sample
