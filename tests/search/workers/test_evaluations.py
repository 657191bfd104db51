"""Evaluations on Ray, in this process and from a record, all through the same suite; and what each does alone."""

import os
import signal
from dataclasses import dataclass

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.experiment.experiment import Needs, load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import prepare
from palettune.search.workers.evaluations import Request, WorkerError
from palettune.search.workers.evaluations_by_workflow import EvaluationsByWorkflow
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.ray_evaluations import RayEvaluations
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.search.workers.requests import Compress, Confirm, Describe, Evaluate
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.search.conftest import Project
from tests.search.workers.evaluations_contract import EvaluationsContract, Where, WorkersContract

SPELLINGS = ("fp16", "lut8", "lut4", "int8")


@dataclass(frozen=True)
class Deadly(Request[int]):
    """Takes its worker down with it, unless there is no file of this name any more."""

    path: str

    def run(self, worker: Worker) -> int:
        if os.path.exists(self.path):
            os.remove(self.path)
            os.kill(os.getpid(), signal.SIGKILL)
        return 1


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A small experiment with its weights compressed: preparation and settings of its workers."""
    project = Project(tmp_path_factory.mktemp("workers"))
    experiment = load_experiment(project.experiment)
    preparation = prepare(experiment)
    folder = RunFolder(project.root, experiment.name)
    folder.create()
    settings = worker_settings(preparation, folder, Needs(workers=1))
    inline = InlineEvaluations(settings)
    for layer in settings.layers:
        assert not inline.result(Compress(layer, tuple(map(Encoding.parse, SPELLINGS))))
    return preparation, settings


class OfThePreparedExperiment:
    @pytest.fixture
    def configurations(self, prepared):
        return [prepared[0].space.uniform(Encoding.parse(spelling)) for spelling in SPELLINGS]


class TestInlineEvaluations(OfThePreparedExperiment, WorkersContract):
    @pytest.fixture
    def evaluations(self, prepared):
        return InlineEvaluations(prepared[1])

    def test_the_work_is_done_here(self, evaluations):
        assert evaluations.result(Where()) == os.getpid()


@pytest.mark.usefixtures("cluster")
class TestRayEvaluations(OfThePreparedExperiment, WorkersContract):
    @pytest.fixture
    def evaluations(self, prepared):
        made = RayEvaluations(prepared[1], Needs(workers=1))
        made.start()
        yield made
        made.stop()

    def test_the_work_is_done_elsewhere(self, evaluations):
        assert evaluations.result(Where()) != os.getpid()

    def test_a_lost_worker_is_replaced_and_its_request_done_again(self, evaluations, tmp_path):
        said = []
        evaluations.on_lost = said.append
        (tmp_path / "once").touch()
        assert evaluations.result(Deadly(str(tmp_path / "once"))) == 1
        assert any("a worker was lost during deadly" in words for words in said)
        assert evaluations.size == 1


@pytest.mark.usefixtures("cluster")
def test_inline_and_ray_measure_the_same(prepared):
    preparation, settings = prepared
    configuration = preparation.space.uniform(Encoding.parse("lut4"))
    remote = RayEvaluations(settings, Needs(workers=1))
    remote.start()
    try:
        there, here = (e.result(Evaluate(configuration)) for e in (remote, InlineEvaluations(settings)))
    finally:
        remote.stop()
    assert there.by_sample == pytest.approx(here.by_sample, rel=1e-6)


def measured(configuration):
    value = 1.0 / (1 + len(str(configuration)))
    return Evaluation(configuration.hash, Workflow.DATA_FREE, value, (value, value))


def configurations_of_two_layers():
    names = [Encoding.parse(spelling) for spelling in SPELLINGS]
    return [Configuration({"a": one, "b": names[0]}) for one in names]


class TestRecordedEvaluations(EvaluationsContract):
    @pytest.fixture
    def evaluations(self):
        return RecordedEvaluations(measured, workers=2)

    @pytest.fixture
    def configurations(self):
        return configurations_of_two_layers()

    def test_the_clock_is_that_of_so_many_workers(self, configurations):
        seconds = dict(zip([c.hash for c in configurations], (5.0, 1.0, 1.0, 1.0), strict=True))
        evaluations = RecordedEvaluations(measured, lambda c: seconds[c.hash], workers=2)
        order = [index for index, _ in evaluations.completed([Evaluate(c) for c in configurations])]
        assert order == [1, 2, 3, 0]  # three short ones end on one worker while the long one goes on
        assert evaluations.clock == 5.0

    def test_confirmations_are_answered_where_there_are_some(self, configurations):
        with pytest.raises(WorkerError, match="no confirmation is on record"):
            RecordedEvaluations(measured).result(Confirm(configurations[0]))
        known = RecordedEvaluations(measured, confirmations=measured)
        assert known.result(Confirm(configurations[0])) == measured(configurations[0])

    def test_what_needs_a_model_is_refused(self, evaluations):
        with pytest.raises(WorkerError, match="not Describe"):
            evaluations.result(Describe())


def test_each_workflow_has_its_own_workers_and_the_rest_is_done_by_the_data_free_ones():
    @dataclass(frozen=True)
    class Calibrated(Evaluate):
        workflow = Workflow.CALIBRATION

    def failing(configuration):
        return Failure(Stage.CALIBRATE, "not here")

    first, second = configurations_of_two_layers()[:2]
    parts = {Workflow.DATA_FREE: RecordedEvaluations(measured), Workflow.CALIBRATION: RecordedEvaluations(failing)}
    both = EvaluationsByWorkflow(parts)
    plain, dear = both.submit(Evaluate(first)), both.submit(Calibrated(second))
    assert both.unanswered == 2
    while both.unanswered:
        both.wait()
    assert plain.answer.result == measured(first)
    assert str(dear.answer.result) == "calibrate: not here"
    alone = EvaluationsByWorkflow({Workflow.DATA_FREE: RecordedEvaluations(measured)})
    assert alone.result(Calibrated(second)) == measured(second)


def test_the_quick_evaluations_are_waited_for_beside_the_long_ones():
    class Waited(RecordedEvaluations):
        def wait(self, timeout=None):
            self.timeouts = [*getattr(self, "timeouts", []), timeout]  # and nothing is answered yet

    quick, long = Waited(measured), Waited(measured)
    both = EvaluationsByWorkflow({Workflow.CALIBRATION: long, Workflow.DATA_FREE: quick})
    first, second = configurations_of_two_layers()[:2]
    long.submit(Evaluate(first))
    both.wait(0.2)
    quick.submit(Evaluate(second))
    both.wait(0.2)
    assert long.timeouts == [0.2, 0]
    assert quick.timeouts == [0.2]
