"""Long values of a study: kept in its storage, out of the way of who looks at trials, and read wherever they lie."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage

from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.long_values import LongValues
from palettune.search.study.storage import open_storage
from palettune.search.study.study import SearchStudy
from tests.search.studies import escalate, evaluated, evaluation, study_of

FROZEN = Path(__file__).parents[2] / "frozen" / "tiny"


@pytest.mark.parametrize("kind", ["journal", "database"])
def test_lists_come_back_from_another_process_exactly(tmp_path, kind):
    folder = RunFolder(tmp_path, "x")
    folder.create()
    url = f"sqlite:///{tmp_path / 'studies.db'}" if kind == "database" else None
    storage = open_storage(folder, url)
    study = optuna.create_study(study_name="x", storage=storage)
    values = LongValues(storage, study._study_id)
    reader = LongValues(open_storage(folder, url), study._study_id)
    assert reader.of(0) == {}
    lists = {"by_sample": [0.1, 1e-17, 1 / 3], "gains": [{"method": "moments", "layer": None}]}
    values.keep(0, lists)
    values.keep("confirmation:abc", {"by_sample": [2.0]})
    values.keep(1, {})
    assert (reader.of(0), reader.of("confirmation:abc"), reader.of(1)) == (lists, {"by_sample": [2.0]}, {})


def lists_in(value):
    """Every list of numbers in some attributes."""
    if isinstance(value, list):
        return [value] if any(isinstance(item, float) for item in value) else []
    return [found for item in value.values() for found in lists_in(item)] if isinstance(value, dict) else []


def test_no_attribute_that_optuna_shows_holds_a_list_of_samples():
    study = study_of(storage := InMemoryStorage())
    record = evaluated(study)
    study.confirm(record.key, evaluation(record.configuration))
    escalate(study, record)
    shown = optuna.load_study(study_name="x", storage=storage)
    for attributes in (shown.user_attrs, *(trial.user_attrs for trial in shown.trials)):
        assert [found for found in lists_in(dict(attributes)) if len(found) > 2] == []
    assert not [cell for row in shown.trials_dataframe().itertuples() for cell in row if isinstance(cell, tuple)]
    assert len(study_of(storage).evaluations()[0].evaluation.by_sample) == 4


def test_a_study_that_held_samples_in_attributes_is_read_as_it_was():
    found = RunFolder(FROZEN / "run_folders", "tiny")
    study = SearchStudy.load(open_storage(found, None, read=True), Experiment.load(FROZEN / "experiment.toml"))
    measured = [record.evaluation for record in study.evaluations() if record.evaluation is not None]
    assert len(measured) > 10
    for one in measured:
        assert sum(one.by_sample) / len(one.by_sample) == pytest.approx(one.divergence)
    assert any(record.gains for record in study.evaluations())


def test_a_study_that_lost_them_is_still_read():
    study = study_of(storage := InMemoryStorage())
    record = evaluated(study)
    attributes = storage.get_study_system_attrs(study._values._study_id)
    for key in [key for key in attributes if key.startswith("values:")]:
        del attributes[key]
    (read,) = study_of(storage).evaluations()
    assert (read.values, read.evaluation.divergence) == (record.values, record.evaluation.divergence)
    assert read.evaluation.by_sample == ()
