"""The training loss: distance to the float model and the workload's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palettune.evaluators.fine_tuning.training_loss import TrainingLoss
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.workload import Split, WorkloadError
from palettune.testing.workloads import CONVOLUTIONS, setting_of, write_workload
from tests.evaluators.fine_tuning.tuned import COUNTED, REAL, tuned


def test_a_training_function_that_raises_is_said_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"workload\.py: loss\(\) failed: KeyError"):
        tuned(setting_of(tmp_path / "a", COUNTED + "    raise KeyError('label')\n"))
    with pytest.raises(WorkloadError, match=r"loss\(\) returned shape \(8,\)"):
        tuned(setting_of(tmp_path / "b", COUNTED + "    return F.cross_entropy(outputs, targets, reduction='none')\n"))
    with pytest.raises(WorkloadError, match=r"loss\(\) returned a tensor without gradient"):
        tuned(setting_of(tmp_path / "c", COUNTED + f"    return {REAL}.detach()\n"))
    failing = CONVOLUTIONS + "\ndef training_data():\n    yield from _data(4, 2)\n    raise OSError('disk')\n"
    with pytest.raises(WorkloadError, match=r"training_data\(\) failed at item 2: OSError: disk"):
        tuned(setting_of(tmp_path / "d", failing))


@pytest.mark.parametrize("kind", list(DivergenceKind))
def test_it_is_the_mean_over_samples_and_mixes_in_the_workloads_loss(kind: DivergenceKind, tmp_path: Path) -> None:
    workload = write_workload(tmp_path, "convolutions")
    batch = workload.batches(Split.EVALUATION)[0]
    outputs = workload.model(*batch.inputs) + torch.randn(8, 10, requires_grad=True)
    found = {}
    for share in (0.0, 0.5, 1.0):
        loss = TrainingLoss(workload, kind, (batch,), share, torch.device("cpu"))
        found[share] = float(loss.of_batch(outputs, batch))
        assert sum(loss.by_sample(outputs, batch)) / 8 == pytest.approx(found[share], rel=1e-5)
    assert found[0.0] == pytest.approx(float(torch.nn.functional.cross_entropy(outputs, batch.targets)), rel=1e-6)
    assert found[0.5] == pytest.approx((found[0.0] + found[1.0]) / 2, rel=1e-6)
    exact = TrainingLoss(workload, kind, (batch,), 1.0, torch.device("cpu"))
    assert float(exact.of_batch(workload.model(*batch.inputs), batch)) == pytest.approx(0.0, abs=1e-9)


def test_without_a_loss_of_its_own_all_is_distillation(tmp_path: Path) -> None:
    workload = write_workload(tmp_path, "convolutions", without=["loss"])
    assert (
        TrainingLoss(
            workload, DivergenceKind.KL, (workload.batches(Split.EVALUATION)[0],), 0.5, torch.device("cpu")
        ).share
        == 1.0
    )
