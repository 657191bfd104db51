"""The searches under a root."""

import os
from datetime import UTC

import pytest
from optuna.samplers import RandomSampler

from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.search_list import SearchState, list_searches
from palettune.search.study.storage import open_storage
from palettune.space.errors import UserError
from tests.search.studies import evaluated, study_of


@pytest.fixture
def folder(tmp_path):
    """A search of three trials."""
    found = RunFolder(tmp_path, "x")
    found.create()
    study = study_of(open_storage(found, None))
    for _ in range(3):
        evaluated(study)
    return found


def test_a_search_has_its_state_its_trials_and_what_its_front_reaches(folder):
    (found,) = list_searches(folder.root)
    assert (found.name, found.state, found.evaluations, found.escalations) == ("x", SearchState.FINISHED, 3, 0)
    assert 0 < found.members <= 3
    assert found.smallest_mb <= found.largest_mb
    assert found.least_divergence <= found.most_divergence
    assert found.changed.timestamp() == pytest.approx(folder.journal.stat().st_mtime)
    assert found.changed.tzinfo is UTC
    assert found.to_json()["state"] == "finished"


def test_a_search_that_goes_on_runs_and_one_with_trials_begun_was_stopped(folder):
    with hold(folder, print):
        assert list_searches(folder.root)[0].state is SearchState.RUNNING
    assert list_searches(folder.root)[0].state is SearchState.FINISHED
    study_of(open_storage(folder, None)).data_free.ask(RandomSampler)
    assert list_searches(folder.root)[0].state is SearchState.STOPPED
    folder.lock.write_text("")  # of a process that was killed
    assert list_searches(folder.root)[0].state is SearchState.STOPPED


def test_how_a_search_ended_counts_where_it_was_noted(folder):
    (found,) = list_searches(folder.root, lambda _: False)  # stopped between two trials
    assert found.state is SearchState.STOPPED
    study_of(open_storage(folder, None)).data_free.ask(
        RandomSampler
    )  # a small budget leaves trials that nobody will evaluate
    (found,) = list_searches(folder.root, lambda _: True)
    assert found.state is SearchState.FINISHED


def test_the_latest_comes_first_and_what_is_no_search_is_left_out(folder):
    other = RunFolder(folder.root, "y")
    other.create()
    study_of(open_storage(other, None))  # a study of another name than its folder has no trials of it
    os.utime(folder.journal, (1e9, 1e9))
    (folder.root / "notes").mkdir()
    (folder.root / "notes.txt").write_text("")
    found = list_searches(folder.root)
    assert [(item.name, item.state) for item in found] == [("y", SearchState.EMPTY), ("x", SearchState.FINISHED)]
    assert found[0].smallest_mb is None


def test_a_journal_that_is_none_is_listed_as_such(folder):
    folder.journal.write_text('{"op_code": 0, "study_name"\n{"op_code": 1}\n')
    (found,) = list_searches(folder.root)
    assert (found.state, found.evaluations) == (SearchState.UNREADABLE, 0)


def test_a_root_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing: no such folder; --root names"):
        list_searches(tmp_path / "nothing")
