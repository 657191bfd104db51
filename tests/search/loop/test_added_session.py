"""Sessions that only add evaluations to a search."""

import pytest

from palettune.search.experiment.folder_lock import RunFolderError, hold
from palettune.search.loop.added_session import add_to_search
from palettune.search.loop.session import Places
from palettune.search.results.observer import SearchObserver
from palettune.space.errors import UserError
from tests.search.small_experiment import small_experiment


def test_without_a_search_there_is_nothing_to_add_to(small, tmp_path):
    experiment = small_experiment(small[0].experiment.workload)
    with pytest.raises(UserError, match="no search there yet"):
        add_to_search(experiment, Places(tmp_path, inline=True), lambda preparation: [])


def test_while_a_search_runs_nothing_is_added(small, tmp_path):
    experiment = small_experiment(small[0].experiment.workload)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "journal.log").write_text("")
    folder = type(small[1])(tmp_path, "small")
    with hold(folder, SearchObserver().warn), pytest.raises(RunFolderError, match="search"):
        add_to_search(experiment, Places(tmp_path, inline=True), lambda preparation: [])
