"""What a worker does that takes more than one call."""

import pytest

from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package.package_archive import unpack
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.evaluators.sensitivity.base import ScoringPart, join_scores
from palettune.search.study.escalation import EscalationOrder, EscalationResult
from palettune.space.encoding import Encoding
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
    confirmed = worker.confirm(lut4, (calibrated.state, Workflow.CALIBRATION))
    assert isinstance(confirmed, Evaluation)
    assert confirmed.workflow is Workflow.CALIBRATION
    (states / calibrated.state).unlink()
    order = EscalationOrder("fine_tuning", lut4, below, calibrated.state, calibrated.evaluation)
    tuned = worker.escalate(order)
    assert isinstance(tuned, EscalationResult)
    assert tuned.evaluation.workflow is Workflow.FINE_TUNING
    assert (states / calibrated.state).read_bytes() == whole  # made again, the same


def test_a_state_that_is_gone_is_a_failure_where_nothing_can_make_it_again(worker, lut4):
    found = worker.confirm(lut4, ("none.safetensors", Workflow.CALIBRATION))
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


def test_a_package_travels_as_bytes(worker, lut4, prepared, tmp_path):
    package = unpack(worker.convert(lut4, prepared[0].experiment.deployment_target), tmp_path / "one.mlpackage")
    assert weight_bytes(package) == prepared[0].weight_bytes(lut4)
