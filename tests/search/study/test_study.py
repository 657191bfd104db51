"""The study: made, opened, refused, put aside; all of its records together."""

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.front import front_of
from palettune.search.study.storage import open_storage
from palettune.search.study.study import SearchStudy, StudyError
from palettune.search.study.study_context import StudyContext
from tests.search.studies import (
    SPACE,
    calibrated,
    costs,
    escalate,
    evaluated,
    evaluation,
    experiment_of,
    study_of,
)


def scattered(study, place):
    """A trial whose divergence does not follow from its size alone, so that some are dominated; no two are alike."""
    number, configuration = study.data_free.ask(RandomSampler)
    result = evaluation(configuration, share=1.0 + (7 * place) % 5 / 4 + place / 1000)
    study.data_free.keep(number, result, (1.0, 2.0))
    return study.data_free.tell(number, result, costs(configuration), study.objectives)


@pytest.mark.parametrize("limits", [{}, {"max_size_mb": 120.0}, {"max_size_mb": 140.0, "max_divergence": 0.02}])
def test_optuna_s_own_front_is_the_front(limits):
    storage, experiment = InMemoryStorage(), experiment_of(constraints=limits)
    study = study_of(storage, experiment)
    records = [scattered(study, place) for place in range(24)]
    evaluated(study, Failure(Stage.FORWARD, "not finite"))
    for place, record in enumerate(records[:8]):
        escalate(study, record, result=calibrated(record, 0.7 + place / 4))
    number, _ = study.data_free.ask(RandomSampler)
    study.data_free.answer(number, records[0].trial)  # a repeat, which Optuna cannot know
    study.data_free.tell(number, records[0].evaluation, records[0].costs, study.objectives)
    read = study_of(storage, experiment)
    ours = front_of(read.evaluations(), read.objectives)
    best = optuna.load_study(study_name="x", storage=storage).best_trials
    assert {t.number for t in best if "answered_from" not in t.user_attrs} == {r.trial for r in ours.members}
    assert len(ours.members) > 1


def timed_study(storage):
    """A study whose second cost is latency, of a model of 100 MB and 10 ms."""
    costs = {"size_mb": 100.0, "latency_ms": 10.0}
    experiment = experiment_of(device={"name": "M2"}, objectives={"cost": list(costs)})
    context = StudyContext("id", DivergenceKind.KL, 1.0, {}, costs, 0, "scores", SPACE)
    return SearchStudy.create(storage, experiment, {"experiment": experiment.identity()}, context)


def test_a_latency_that_nobody_could_tell_apart_is_on_optuna_s_front_alone():
    storage = InMemoryStorage()
    study = timed_study(storage)
    for share, size, latency in [(1.0, 50.0, 8.0), (1.5, 60.0, 7.9), (2.0, 60.0, 5.0), (3.0, 60.0, 5.1)]:
        number, configuration = study.data_free.ask(RandomSampler)
        result = evaluation(configuration, share=share * costs(configuration)["size_mb"] / 100)
        study.data_free.keep(number, result, (1.0, 2.0))
        study.data_free.tell(number, result, {"size_mb": size, "latency_ms": latency}, study.objectives)
    ours = front_of(study.evaluations(), study.objectives)
    assert {record.trial for record in ours.members} == {0, 2}
    assert {trial.number for trial in optuna.load_study(study_name="x", storage=storage).best_trials} == {0, 1, 2}


def test_layers_and_menus_are_in_nobody_s_way_and_are_read_where_they_once_were():
    storage = InMemoryStorage()
    study = study_of(storage)
    told = evaluated(study)
    (number,) = (found._study_id for found in storage.get_all_studies())
    assert "layers" not in str(storage.get_study_user_attrs(number))
    held = storage.get_study_system_attrs(number)["palettune_context"]
    assert [layer["name"] for layer in held["layers"]] == [layer.name for layer in SPACE.layers]
    storage.set_study_user_attr(number, "palettune_context", held)
    storage.set_study_system_attr(number, "palettune_context", {})
    assert study_of(storage).evaluations() == [told]
    assert SearchStudy.searched_layers(storage, "x") == {layer.name: False for layer in SPACE.layers}
    assert SearchStudy.searched_layers(storage, "another") is None


def test_a_study_whose_objectives_had_no_names_gets_them_from_the_search_that_goes_on():
    storage, experiment = InMemoryStorage(), experiment_of()
    study_of(storage, experiment)
    del storage.get_study_system_attrs(0)["study:metric_names"]
    study_of(storage, experiment)
    assert optuna.load_study(study_name="x", storage=storage).metric_names is None  # reading changes nothing
    SearchStudy.load(storage, experiment, {"experiment": experiment.identity()})
    assert optuna.load_study(study_name="x", storage=storage).metric_names == ["divergence", "size_mb"]


def test_a_study_of_another_experiment_or_model_is_refused():
    storage, experiment = InMemoryStorage(), experiment_of()
    study = study_of(storage, experiment)
    with pytest.raises(StudyError, match=r"seed: was 0, is 7"):
        study_of(storage, experiment_of(seed=7))
    held = {"experiment": experiment.identity()}
    study.check(held)
    with pytest.raises(StudyError, match=r"model_weights: was None, is 'other'"):
        study.check(held | {"model_weights": "other"})


def test_a_creation_that_was_cut_short_is_no_study_yet_and_is_completed():
    storage, experiment = InMemoryStorage(), experiment_of()
    optuna.create_study(study_name="x", storage=storage, directions=["minimize", "minimize"])
    assert SearchStudy.load(storage, experiment) is None
    assert evaluated(study_of(storage, experiment)).trial == 0


@pytest.mark.parametrize("fresh_storage", ["journal", "database"])
def test_an_earlier_study_is_put_aside_and_not_deleted(tmp_path, fresh_storage):
    url = f"sqlite:///{tmp_path / 'studies.db'}" if fresh_storage == "database" else None
    folder = RunFolder(tmp_path, "tiny")
    folder.create()
    storage = open_storage(folder, url)
    for number in (1, 2):
        optuna.create_study(study_name="tiny", storage=storage).enqueue_trial({"x": number})
        SearchStudy.set_aside(storage, "tiny")
    SearchStudy.set_aside(storage, "tiny")  # nothing there by now
    assert sorted(optuna.get_all_study_names(storage)) == ["tiny (aside 1)", "tiny (aside 2)"]
    assert len(optuna.load_study(study_name="tiny (aside 2)", storage=storage).get_trials()) == 1
