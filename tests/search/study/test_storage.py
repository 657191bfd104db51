"""Storages: the journal of a run folder, or a database by its URL."""

import optuna
import pytest

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.storage import open_storage
from palettune.search.study.study_identity import StudyError


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path, "tiny")
    made.create()
    return made


@pytest.mark.parametrize("url", [None, "sqlite:///{folder}/studies.db"])
def test_what_is_written_is_there_when_it_is_opened_again(folder, url):
    url = url and url.format(folder=folder.path)
    optuna.create_study(study_name="tiny", storage=open_storage(folder, url)).enqueue_trial({"x": 1})
    assert optuna.get_all_study_names(open_storage(folder, url, read=True)) == ["tiny"]
    assert folder.journal.exists() == (url is None)


def test_a_damaged_journal_is_refused_by_its_path(folder):
    folder.journal.write_text('{"op_code": 0, "study_name"\n{"op_code": 1}\n')
    with pytest.raises(StudyError, match=r"journal\.log: the journal cannot be read .*--fresh"):
        open_storage(folder, None)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///{folder}/none.db", "there is no such database"),
        ("sqlite:///{folder}/no/folder/x.db", "there is no such database"),
        ("foo://bar", "--storage: foo://bar cannot be used"),
        ("postgresql://me:secret@127.0.0.1:9/db", "--storage: postgresql://127.0.0.1:9/db cannot be used"),
    ],
)
def test_a_database_that_cannot_be_read_is_refused_and_not_made(folder, url, words):
    with pytest.raises(StudyError) as error:
        open_storage(folder, url.format(folder=folder.path), read=True)
    assert words in str(error.value)
    assert "secret" not in str(error.value)
    assert not list(folder.path.glob("*.db"))
