"""A new study: what it begins with, and when an earlier one is put aside."""

import pytest
from optuna.samplers import RandomSampler

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.new_study import create_study, problem_of
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.workers.evaluations import WorkerError
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from palettune.search.workers.requests import Compress, Describe, Score
from tests.search.recording_evaluations import RecordingEvaluations
from tests.search.small_experiment import changed, uniform


@pytest.fixture
def preparation(small):
    return changed(small[0], search={"solved_trials": 6, "score_samples": 4})


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path, "small")
    folder.create()
    return folder


def created(preparation, run, fresh=False, evaluations=None):
    evaluations = evaluations or RecordingEvaluations(preparation, run)
    identity = preparation.identity()
    study = create_study(preparation, identity, run, evaluations, Reporter(), storage=None, fresh=fresh)
    return study, evaluations.requests


def test_a_study_begins_with_uniform_and_solved_trials_and_what_is_known_of_the_float_model(preparation, run):
    study, requests = created(preparation, run)
    assert {type(request) for request in requests} == {Compress, Describe, Score}
    context = study.context
    assert context.chance > 0
    assert context.float_costs == preparation.costs(uniform(preparation, "fp16"))
    assert list(Scores.load(run.scores / context.scores_file).columns) == preparation.columns()
    loaded = SearchStudy.load(open_storage(run, None), preparation.experiment, preparation.identity())
    waiting = [loaded.data_free.ask(RandomSampler) for _ in range(5)]
    assert [configuration for _, configuration in waiting[:4]] == [
        uniform(preparation, spelling) for spelling in ("fp16", "lut8", "lut4", "int8")
    ]
    assert loaded.data_free.origin(waiting[0][0]) == "uniform fp16"
    assert loaded.data_free.origin(waiting[4][0]).startswith("solved 0.0")


def test_nothing_is_computed_twice_and_a_fresh_study_puts_the_earlier_one_aside(preparation, run):
    earlier = created(preparation, run)[0].context.search_id
    study, requests = created(preparation, run, fresh=True)
    assert [type(request) for request in requests] == [Describe]
    assert study.context.search_id != earlier
    assert len(list(run.path.glob("journal*.log"))) == 2


def test_nothing_is_put_aside_before_the_new_study_is_sure(preparation, run):
    created(preparation, run)
    before = run.journal.read_text()
    with pytest.raises(WorkerError):
        created(preparation, run, fresh=True, evaluations=RecordedEvaluations(lambda configuration: None))
    assert run.journal.read_text() == before
    assert len(list(run.path.glob("journal*.log"))) == 1


def test_the_problem_of_an_experiment_has_its_menus_and_its_bytes(preparation, run):
    study, _ = created(preparation, run)
    problem = problem_of(preparation, Scores.load(run.scores / study.context.scores_file))
    assert [len(losses) for losses in problem.losses] == [4, 4]
    for place, encoding in enumerate(preparation.space.menus["0"].encodings):
        size = preparation.costs(preparation.space.uniform(encoding))["size_mb"]
        assert problem.total("size_mb", [place, place]) == pytest.approx(size)
