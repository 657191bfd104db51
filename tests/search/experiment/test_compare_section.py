"""The section of what a search is compared with."""

from palettune.search.experiment.experiment import Experiment, load_experiment


def test_paths_begin_at_the_experiments_folder_and_decide_nothing_that_is_searched(tmp_path):
    (tmp_path / "x.toml").write_text('name = "x"\nworkload = "w.py"\n[compare]\nrecipes = ["ours.yaml"]\n')
    found = load_experiment(tmp_path / "x.toml")
    assert found.compare.recipes == ((tmp_path / "ours.yaml").resolve(),)
    assert found.identity() == Experiment(name="x", workload="w.py").identity()
