"""Experiment files, good and bad."""

from pathlib import Path

import pytest

from palettune.search.experiment.experiment import Experiment, ExperimentError, load_experiment

GOOD = 'name = "x"\nworkload = "w.py"\n'


def load(tmp_path, text):
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    return load_experiment(path)


def test_defaults_are_sensible_and_the_workload_is_beside_the_file(tmp_path):
    experiment = load(tmp_path, GOOD)
    assert experiment.workload == (tmp_path / "w.py").resolve()
    assert experiment.objectives.cost == ("size_mb",)
    assert experiment.search.sampler == "guided"
    assert str(experiment.space.parsed[0]) == "fp16"


def test_fp16_is_always_there_and_encodings_are_canonical_once(tmp_path):
    experiment = load(tmp_path, GOOD + '[space]\nencodings = ["lut4", "int8", "lut4"]\n')
    assert [str(encoding) for encoding in experiment.space.parsed] == ["fp16", "lut4", "int8"]


def test_budgets_and_resources_are_no_part_of_the_identity(tmp_path):
    plain = load(tmp_path, GOOD).identity()
    assert plain == load(tmp_path, GOOD + "[budget]\ntrials = 7\n[resources.data_free]\nworkers = 1\n").identity()
    assert plain != load(tmp_path, GOOD + "[constraints]\nmax_size_mb = 3\n").identity()


def test_what_is_said_of_the_data_is_part_of_the_identity_and_searches_of_old_go_on(tmp_path):
    plain = load(tmp_path, GOOD).identity()
    assert "data" not in plain
    found = load(tmp_path, GOOD + '[data]\nsequence = 3\nbatch_axis = "none"\n')
    assert (found.data.options.sequence, found.data.options.batch_axis) == (3, "none")
    assert found.identity() != plain


BAD = [
    (GOOD + "[data]\nsequences = 3", "data.sequences: unknown key; did you mean 'sequence'"),
    (GOOD + "[data]\nsequence = 0", "data.sequence"),
    (GOOD + "[data]\nbatch_axis = 2", "data.batch_axis"),
    ('name = "x"', "workload: this key is required"),
    (GOOD + "trails = 3", "trails: unknown key"),
    (GOOD + "device = 'M2'", r"device: expected a table \[device\] with keys of its own \(got 'M2'\)"),
    (GOOD + "[budget]\ntrails = 3", "budget.trails: unknown key; did you mean 'trials'"),
    (GOOD + "[budgets]\ntrials = 3", "budgets: unknown key; did you mean 'budget'"),
    (GOOD + "[resources.data_free]\nworker = 3", "worker: unknown key; did you mean 'workers'"),
    (GOOD + "[resources.datafree]\nworkers = 3", "resources.datafree"),
    (GOOD + '[space]\nencodings = ["lut44"]', "space.encodings: .*lut44.*must be one of 8, 6, 4"),
    (GOOD + '[space]\nencodings = ["lutt4"]', "space.encodings: .*lutt4.*did you mean 'lut4'"),
    (GOOD + 'deployment_target = "iOS19x"', "deployment_target: .*iOS1"),
    (GOOD + "[constraints]\nmax_size_mb = -1", "constraints.max_size_mb"),
    (GOOD + "[budget]\ntrials = 0", "budget.trials"),
    (GOOD + '[objectives]\nquality = {metric = "top1"}', "objectives.quality.*direction"),
    (GOOD + '[objectives]\ncost = ["size"]', "objectives.cost"),
    (GOOD + '[search]\nsampler = "cma"', "search.sampler.*'tpe'"),
    ('name = "../x"\nworkload = "w.py"', "name"),
    ("name = ", "not valid TOML"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_files_name_the_file_and_the_key(tmp_path, text, message):
    with pytest.raises(ExperimentError, match=rf"(?s)experiment.toml: .*{message}"):
        load(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match="no such experiment file"):
        load_experiment(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"budget": {"trails": 3}}, r"budget\.trails: unknown key; did you mean 'trials'"),
        ({"workload": 3}, "workload: expected the path of a Python file, or a module or object"),
        ({"name": "two words"}, "name: "),
        ({"encodings": []}, "encodings: unknown key"),
    ],
)
def test_an_experiment_made_in_code_is_checked_as_a_file_is(values, words):
    with pytest.raises(ExperimentError, match=f"not a valid experiment:\n  {words}"):
        Experiment(**{"name": "x", "workload": "workload.py"} | values)


def test_an_experiment_made_in_code_takes_sections_as_mappings_and_old_names():
    made = Experiment(name="x", workload="workload.py", ladder={"calibration": 3}, budget={"trials": 7})
    assert made.budget.trials == 7
    assert made.escalation.calibration.count == 3
    assert made.notes
    assert made.workload == Path.cwd() / "workload.py"
    assert Experiment(name="x", workload="workload.py", budget=made.budget).budget == made.budget


def test_the_file_of_an_experiment_is_remembered_and_no_part_of_it(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text('name = "x"\nworkload = "workload.py"\n')
    loaded = load_experiment(path)
    made = Experiment(name="x", workload=tmp_path / "workload.py")
    assert (loaded.file, made.file) == (path, None)
    assert loaded == made
    assert loaded.identity() == made.identity()
