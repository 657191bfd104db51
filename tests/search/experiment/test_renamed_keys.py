"""Keys under their old names: read, said, and the same search as under the new ones."""

import pytest

from palettune.search.experiment.experiment import Experiment, ExperimentError, load_experiment
from palettune.search.study.study_identity import StudyError, check_identity

OLD = """
name = "x"
workload = "workload.py"
[search]
solved_seeds = 5
[ladder]
calibration = 3
steps = 7
"""
NEW = """
name = "x"
workload = "workload.py"
[search]
solved_trials = 5
[escalation]
calibration = 3
fine_tuning = {steps = 7}
"""


def load(tmp_path, text):
    file = tmp_path / "experiment.toml"
    file.write_text(text)
    return load_experiment(file)


def test_old_names_are_read_as_the_new_ones_and_each_is_said_once(tmp_path):
    old, new = load(tmp_path, OLD), load(tmp_path, NEW)
    assert old.model_dump() == new.model_dump()
    assert (old.escalation.calibration.count, old.escalation.fine_tuning.steps, old.search.solved_trials) == (3, 7, 5)
    assert new.notes == ()
    assert old.notes == (
        "ladder is now called escalation; the old name is still read",
        "search.solved_seeds is now called search.solved_trials; the old name is still read",
        "escalation.steps is now called escalation.fine_tuning.steps; the old name is still read",
    )


def test_the_same_holds_in_python():
    experiment = Experiment(name="x", workload="workload.py", ladder={"calibration": 2})
    assert experiment.escalation.calibration.count == 2
    assert len(experiment.notes) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [("[escalation]\n", ["ladder and escalation", "keep escalation"]), ("[ladder.x]\ny = 1\n", ["escalation.x"])],
)
def test_both_names_at_once_and_unknown_keys_in_an_old_section_are_errors(tmp_path, more, words):
    with pytest.raises(ExperimentError) as error:
        load(tmp_path, OLD + more)
    assert all(word in str(error.value) for word in words)
    assert "experiment.toml" in str(error.value)


def test_a_study_made_under_the_old_names_is_the_same_search(tmp_path):
    identity = {"experiment": load(tmp_path, NEW).identity()}
    held = {"experiment": {**identity["experiment"], "search": {**identity["experiment"]["search"]}}}
    held["experiment"]["search"]["solved_seeds"] = held["experiment"]["search"].pop("solved_trials")
    check_identity("x", held, identity)
    held["experiment"]["search"]["solved_seeds"] = 6
    with pytest.raises(StudyError, match=r"search\.solved_trials: was 6, is 5"):
        check_identity("x", held, identity)


def test_a_count_and_settings_of_the_old_kind_are_one_section(tmp_path):
    flat = load(tmp_path, NEW.replace("{steps = 7}", "6\nadapter_rank = 2"))
    assert flat.escalation == load(tmp_path, NEW.replace("steps = 7", "count = 6, adapter_rank = 2")).escalation
    with pytest.raises(ExperimentError, match=r"keep escalation\.fine_tuning\.steps"):
        load(tmp_path, NEW + "steps = 8\n")
