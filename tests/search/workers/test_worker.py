"""What a worker does that takes more than one call, and on which device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package.package_archive import unpack
from palettune.evaluators.placement import CPU, WorkerDeviceError
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.evaluators.sensitivity.base import ScoringPart, join_scores
from palettune.search.study.escalation import EscalationOrder, EscalationResult
from palettune.search.workers.requests import Evaluate
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.encoding import Encoding
from palettune.testing.workloads import parse_configuration, setting_of
from tests.evaluators.pretended_device import ELSEWHERE
from tests.search.small_experiment import changed, small_worker, uniform

SHORT = {"escalation": {"fine_tuning": {"steps": 1, "vector_steps": 1}}}


@pytest.fixture
def prepared(small):
    return changed(small[0], **SHORT), small[1]


@pytest.fixture
def worker(prepared):
    return small_worker(*prepared)


@pytest.fixture
def lut4(prepared, worker):
    """A configuration whose weights are in the bank."""
    found = uniform(prepared[0], "lut4")
    for name, encoding in found.encodings.items():
        assert worker.compress(name, (encoding,)) == ()
    return found


def test_what_cannot_be_compressed_comes_back_and_the_rest_is_in_the_bank(worker):
    asked = tuple(Encoding.parse(spelling) for spelling in ("lut4-g3", "int8"))
    (failure,) = worker.compress("0", asked)
    assert (failure.stage, failure.layer) == (Stage.COMPRESS, "0")
    assert failure.reason.startswith("lut4-g3: ")
    assert worker.weights.key("0", asked[1]) in worker.weights.bank


def test_an_escalation_leaves_its_state_which_the_next_one_and_the_confirmation_take(prepared, worker, lut4):
    below = EscalationOrder("calibration", lut4)
    calibrated = worker.escalate(below)
    assert isinstance(calibrated, EscalationResult)
    states = prepared[1].states
    whole = (states / calibrated.state).read_bytes()
    confirmed = worker.confirm(lut4, (calibrated.state, Workflow("calibration")))
    assert isinstance(confirmed, Evaluation)
    assert confirmed.workflow == Workflow("calibration")
    (states / calibrated.state).unlink()
    order = EscalationOrder("fine_tuning", lut4, below, calibrated.state, calibrated.evaluation)
    tuned = worker.escalate(order)
    assert isinstance(tuned, EscalationResult)
    assert tuned.evaluation.workflow == Workflow("fine_tuning")
    assert (states / calibrated.state).read_bytes() == whole  # made again, the same


def test_a_state_that_is_gone_is_a_failure_where_nothing_can_make_it_again(worker, lut4):
    found = worker.confirm(lut4, ("none.safetensors", Workflow("calibration")))
    assert isinstance(found, Failure)
    assert found.stage is Stage.ASSEMBLE
    assert "none.safetensors" in found.reason


def test_scores_of_parts_are_those_of_the_whole(worker, lut4):
    columns = tuple(lut4.encodings.items())
    energy = tuple(worker.evaluator.reference.energy)
    whole = worker.score("fisher", columns, ScoringPart(range(2), range(4)), energy)
    parts = [ScoringPart(range(2), range(first, first + 2)) for first in (0, 2)]
    joined = join_scores([(part, worker.score("fisher", columns, part, energy)) for part in parts])
    assert joined.by_sample == pytest.approx(whole.by_sample, rel=1e-6)
    assert whole.by_sample.shape == (4, 2)


@pytest.mark.slow
def test_a_package_travels_as_bytes(worker, lut4, prepared, tmp_path):
    package = unpack(worker.convert(lut4, prepared[0].experiment.deployment_target), tmp_path / "one.mlpackage")
    assert weight_bytes(package) == prepared[0].weight_bytes(lut4)


def _settings(folder: Path, gpus: float) -> WorkerSettings:
    setting = setting_of(folder)
    layers = tuple(setting.weights.layers.values())
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
