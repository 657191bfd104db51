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
NEW = OLD.replace("solved_seeds", "solved_trials").replace("[ladder]", "[escalation]")


def load(tmp_path, text):
    file = tmp_path / "experiment.toml"
    file.write_text(text)
    return load_experiment(file)


def test_old_names_are_read_as_the_new_ones_and_each_is_said_once(tmp_path):
    old, new = load(tmp_path, OLD), load(tmp_path, NEW)
    assert old.model_dump() == new.model_dump()
    assert (old.escalation.calibration, old.escalation.steps, old.search.solved_trials) == (3, 7, 5)
    assert new.notes == ()
    assert old.notes == (
        "ladder is now called escalation; the old name is still read",
        "search.solved_seeds is now called search.solved_trials; the old name is still read",
    )


def test_the_same_holds_in_python():
    experiment = Experiment(name="x", workload="workload.py", ladder={"calibration": 2})
    assert experiment.escalation.calibration == 2
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
