"""What workers can be asked for."""

import pickle

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Rival, Screened, Workflow
from palettune.search.study.escalation import EscalationOrder
from palettune.search.workers.requests import Compress, Confirm, Convert, Describe, Escalate, Evaluate
from palettune.search.workers.worker import Worker
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget
from palettune.testing.evaluations_contract import small_settings

LUT4 = Configuration(dict.fromkeys(("0", "2"), Encoding.parse("lut4")))
REQUESTS = (
    Evaluate(LUT4, (Rival(3, (0.5,)),), 4),
    Escalate(Workflow("fine_tuning"), EscalationOrder("fine_tuning", LUT4)),
    Confirm(LUT4, ("state.safetensors", Workflow("calibration"))),
    Describe(),
    Compress("0", tuple(LUT4.encodings.values())),
    Convert(LUT4, DeploymentTarget("iOS18")),
)


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    return Worker(small_settings(tmp_path_factory.mktemp("requests")))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_requests_travel_and_only_escalations_are_long_and_for_other_workers(request_):
    assert pickle.loads(pickle.dumps(request_)) == request_
    escalation = isinstance(request_, Escalate)
    assert request_.long == escalation
    assert request_.workflow == (Workflow("fine_tuning") if escalation else Workflow.DATA_FREE)


def test_what_is_surely_worse_than_a_rival_ends_early(worker):
    found = Evaluate(LUT4).run(worker)
    assert isinstance(found, Evaluation)
    count = len(found.by_sample)
    better, worse = (Rival(7, tuple(d + change for d in found.by_sample)) for change in (-1, 1))
    ended = Evaluate(LUT4, (better,), count // 2).run(worker)
    assert isinstance(ended, Screened)
    assert Evaluate(LUT4, (worse,), count // 2).run(worker).divergence == pytest.approx(found.divergence)


def test_the_float_model_is_described_by_its_outputs(worker):
    facts = Describe().run(worker)
    reference = worker.evaluator.reference
    assert (facts.chance, facts.energy) == (reference.chance, tuple(reference.energy))
    assert facts.metrics == {}


def test_data_free_weights_are_confirmed_on_other_data(worker):
    confirmed, evaluated = Confirm(LUT4).run(worker), Evaluate(LUT4).run(worker)
    assert confirmed.configuration_hash == evaluated.configuration_hash
    assert confirmed.by_sample != evaluated.by_sample
