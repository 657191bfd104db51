"""Whose search a run folder holds: told by name, keys and workload, without loading a model."""

import json
import shutil
import sys

import pytest

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.search.command_line.cli import main
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.experiment.workload_file import workload_digest
from palettune.search.study.study import SearchStudy, StudyError, open_storage
from palettune.search.study.study_context import StudyContext
from palettune.search.study.study_identity import check_identity
from tests.search.conftest import EXPERIMENT, WORKLOAD
from tests.search.latency_space import space


def identity_of(experiment):
    return {"experiment": experiment.identity(), "workload_file": workload_digest(experiment.workload), "data": {}}


def searched(project):
    """A study as a search leaves it, with no trial yet."""
    experiment = load_experiment(project.experiment)
    folder = RunFolder(project.root, experiment.name)
    folder.create()
    context = StudyContext("id", DivergenceKind.KL, 5.0, {}, {"size_mb": 1.0}, 100, "none", space())
    SearchStudy.create(open_storage(folder, None), experiment, identity_of(experiment), context)
    return folder


def load(project, experiment=None):
    loaded = load_experiment(experiment or project.experiment)
    return SearchStudy.load(open_storage(RunFolder(project.root, loaded.name), None, read=True), loaded)


def command(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["palettune", *map(str, words)])
    with pytest.raises(SystemExit) as ending:
        main()
    captured = capsys.readouterr()
    return ending.value.code, captured.out, captured.err


@pytest.fixture
def other(project, tmp_path):
    """Another experiment of the same name and keys in another folder, whose model is another one."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "workload.py").write_text(WORKLOAD.replace("64, 10", "64, 12"))
    (folder / "experiment.toml").write_text(EXPERIMENT)
    return folder / "experiment.toml"


@pytest.mark.parametrize("place", ["another folder", "another file beside it"])
@pytest.mark.parametrize(
    "words", [("front",), ("front", "--json"), ("solve", "--max-size-mb", "1"), ("export",), ("ui",)]
)
def test_another_workload_s_search_of_the_same_name_is_not_shown(monkeypatch, capsys, project, other, words, place):
    folder = searched(project)
    if place == "another file beside it":
        (project.folder / "second.py").write_text(WORKLOAD.replace("64, 10", "64, 12"))
        other = project.folder / "second.toml"
        other.write_text(EXPERIMENT.replace("workload.py", "second.py"))
    folder.record.write_text("")  # of `ui`, which must not come so far
    head, *rest = words
    out = ("--out", project.folder / "out") if head == "export" else ()
    code, printed, errors = command(monkeypatch, capsys, head, other, *rest, *out, "--root", project.root)
    assert code == 2
    assert printed == ""
    assert str(project.folder / "workload.py") in errors
    assert str(load_experiment(other).workload) in errors
    assert "--root" in errors
    assert "another name" in errors
    assert not (project.folder / "out").exists()


def test_reading_works_while_a_search_runs_and_is_writing(monkeypatch, capsys, project):
    folder = searched(project)
    with hold(folder, print):
        with folder.journal.open("a") as journal:
            journal.write('{"op_code": 4, "tri')  # a line on its way
        code, printed, errors = command(
            monkeypatch, capsys, "front", project.experiment, "--root", project.root, "--json"
        )
    assert (code, printed.strip(), errors) == (0, "[]", "")


@pytest.mark.parametrize("change", ["comment", "code"])
def test_an_edited_workload_is_shown_and_said(monkeypatch, capsys, project, change):
    searched(project)
    text = WORKLOAD + "\n# a thought\n" if change == "comment" else WORKLOAD.replace("64, 10", "64, 12")
    project.write(workload=text)
    code, printed, errors = command(monkeypatch, capsys, "front", project.experiment, "--root", project.root, "--json")
    assert code == 0, errors
    assert json.loads(printed) == []
    assert errors.startswith(f"note: {project.folder / 'workload.py'} has changed since the search")


def test_a_larger_budget_is_no_other_experiment(project):
    searched(project)
    project.write(EXPERIMENT.replace("trials = 14", "trials = 99"))
    assert load(project).notes == ()


def test_other_keys_are_refused_by_name(project):
    searched(project)
    project.write(EXPERIMENT.replace('"lut2", ', ""))
    with pytest.raises(StudyError, match=r"(?s)space.encodings.*--fresh.*another name"):
        load(project)


def test_a_project_that_was_moved_is_shown_without_a_word(project, tmp_path):
    searched(project)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("workload.py", "experiment.toml"):
        shutil.move(project.folder / name, moved / name)
    assert load(project, moved / "experiment.toml").notes == ()


def test_a_copy_beside_the_original_is_shown_and_said(project, tmp_path):
    searched(project)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("workload.py", "experiment.toml"):
        shutil.copy(project.folder / name, copy / name)
    (note,) = load(project, copy / "experiment.toml").notes
    assert "whose text is the same" in note


def test_a_workload_that_is_not_there_is_said(project):
    searched(project)
    (project.folder / "workload.py").unlink()
    (note,) = load(project).notes
    assert "cannot be read" in note


def test_studies_from_before_the_path_was_kept_still_open(project, other):
    folder = searched(project)
    lines = [line for line in folder.journal.read_text().splitlines() if "palettune_workload" not in line]
    folder.journal.write_text("\n".join(lines) + "\n")
    assert load(project).notes == ()
    (note,) = load(project, other).notes
    assert "has changed since the search" in note


def test_keys_that_came_later_had_their_defaults(project):
    experiment = load_experiment(project.experiment)
    old = identity_of(experiment)
    del old["experiment"]["device"], old["experiment"]["space"]["prune"], old["experiment"]["search"]
    with pytest.raises(StudyError, match=r"search\.solved_trials: was 24, is 4"):
        check_identity("tiny", old, identity_of(experiment))
    project.write(EXPERIMENT.replace("solved_trials = 4\nscore_samples = 12\n", ""))
    plain = load_experiment(project.experiment)
    check_identity("tiny", old, identity_of(plain))
    project.write(EXPERIMENT.replace("solved_trials = 4\nscore_samples = 12\n", "").replace("[search]", "prune = true"))
    with pytest.raises(StudyError, match=r"space\.prune: was False, is True"):
        check_identity("tiny", old, identity_of(load_experiment(project.experiment)))


def test_a_search_gone_on_with_from_another_place_keeps_the_new_path(project, tmp_path):
    folder = searched(project)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("workload.py", "experiment.toml"):
        shutil.copy(project.folder / name, moved / name)
    experiment = load_experiment(moved / "experiment.toml")
    assert SearchStudy.load(open_storage(folder, None), experiment, identity_of(experiment))
    assert load(project, moved / "experiment.toml").notes == ()
