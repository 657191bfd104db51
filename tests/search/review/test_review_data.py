"""The data of a page: the same figures as the run and as ``solve`` give."""

import itertools
import json
from dataclasses import replace

import pytest

from experiments.benchmarks.review.made_up_search import made_up_source
from palettune.search.experiment.experiment import Constraints, Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.review.review_data import review_data
from palettune.search.review.review_facts import ReviewFacts
from palettune.search.review.review_source import ReviewSource
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.search.review.page_reader import encodings_of, predicted, total


@pytest.fixture(scope="module")
def data(frozen):
    found = review_data(frozen._review_source())
    assert json.loads(json.dumps(found, allow_nan=False)) == found  # plain values, and nothing that is not finite
    return found


def test_every_evaluation_is_there_as_the_run_has_it(frozen, data):
    rows = {row["trial"]: row for row in data["trials"]}
    assert list(rows) == sorted(record.trial for record in frozen.trials)
    for record in frozen.trials:
        row = rows[record.trial]
        assert encodings_of(data, row) == {name: str(e) for name, e in record.configuration.encodings.items()}
        assert row["size_mb"] == pytest.approx(record.costs["size_mb"], rel=1e-6)
        if record.evaluation is not None:
            assert row["divergence"] == pytest.approx(record.evaluation.divergence, rel=1e-4)
    front = frozen.front
    assert data["front"] == [record.trial for record in front]
    assert data["knee"] == front.knee().trial
    assert {trial for trial, row in rows.items() if row["status"] == "front"} == set(data["front"])


def test_sizes_add_up_to_the_byte(data):
    for row in data["trials"]:
        if row["escalated_from"] is None:
            assert data["constant_bytes"] + total(data, encodings_of(data, row), "bytes") == row["weight_bytes"]
    smallest = min(row["weight_bytes"] for row in data["trials"])
    assert data["constant_bytes"] < smallest < data["float_bytes"]


def test_a_configuration_is_predicted_as_solve_predicts_it(frozen, data):
    sizes = sorted(row["weight_bytes"] / 1e6 for row in data["trials"])
    tried = 0
    for budget in (sizes[0], *(a + (b - a) * 0.5 for a, b in itertools.pairwise(sizes) if b > a)):
        solved = frozen.solve(max_size_mb=budget * 1.0001)
        encodings = {name: str(encoding) for name, encoding in solved.configuration.encodings.items()}
        assert predicted(data, encodings) == pytest.approx(solved.divergence, rel=1e-6)
        size = data["constant_bytes"] + total(data, encodings, "bytes")
        assert size == pytest.approx(solved.costs["size_mb"] * 1e6, abs=0.5)
        tried += 1
    assert tried > 5


def test_an_old_run_has_less_and_says_nothing_else(data):
    assert data["schema"] == 1
    assert data["state"] == "finished"
    assert data["ending"] is None
    assert data["checks"]["coverage"] is None
    assert data["commands"]["experiment"].endswith("experiment.toml")
    assert data["history"]["hypervolume"]
    assert {phase["name"] for phase in data["history"]["phases"]} >= {"calibration", "fine_tuning"}
    assert {row["rung"] for row in data["escalation"]} == {"calibration", "fine_tuning"}


def test_what_ended_a_search_is_said_once_it_has_ended(source):
    facts = ReviewFacts("id", ending=Ending.TRIALS)
    assert review_data(replace(source, facts=facts))["ending"] == Ending.TRIALS.value
    assert review_data(replace(source, facts=facts, searching=True))["ending"] is None


def test_a_path_with_blanks_is_quoted_for_commands(source, tmp_path):
    path = tmp_path / "my runs" / "experiment.toml"
    path.parent.mkdir()
    path.write_text('name = "x"\nworkload = "workload.py"\n')
    (path.parent / "workload.py").touch()
    found = review_data(replace(source, experiment=Experiment.load(path)))
    assert found["commands"]["experiment"] == f"'{path}'"


def test_without_scores_nothing_is_predicted(source):
    plain = review_data(replace(source, scores=None))
    assert plain["prediction"] is None
    assert all(layer["loss"] is None for layer in plain["layers"])
    assert all(row["loss"] is None and row["predicted"] is None for row in plain["trials"])


def test_a_search_that_has_found_nothing_yet_has_a_page(source):
    nothing = review_data(replace(source, records=(), front=replace(source.front, members=())))
    assert (nothing["front"], nothing["knee"], nothing["trials"], nothing["seconds"]) == ([], None, [], 0.0)
    assert nothing["history"] == {"hypervolume": [], "phases": []}
    assert nothing["samples"] == {"searched": None, "unseen": None, "sources_unseen": None}


def test_an_encoding_that_somebody_brought_is_there_though_no_menu_offers_it(source):
    lut6 = Encoding.parse("lut6")
    brought = Configuration(dict.fromkeys(source.records[0].configuration.encodings, lut6))
    record = replace(source.records[0], trial=77, configuration=brought, added=True)
    made = replace(
        source, records=(*source.records, record), front=replace(source.front, recipes={"by hand": record.trial})
    )
    found = review_data(made)
    (row,) = (row for row in found["trials"] if row["recipe"] == "by hand")
    assert set(encodings_of(found, row).values()) == {"lut6"}
    assert (row["trial"], row["loss"], row["predicted"]) == (77, None, None)  # nobody scored it
    assert len(found["prediction"]["points"]) == len(review_data(source)["prediction"]["points"])


def test_constraints_and_metrics_say_which_way_is_better(source):
    limits = Constraints(max_size_mb=3, metrics={"top1": {"min": 0.7}, "error": {"max": 0.2}})
    evaluation = replace(source.records[0].evaluation, metrics={"top1": 0.8, "error": 0.1, "other": 1.0})
    made = replace(
        source,
        experiment=source.experiment.model_copy(update={"constraints": limits}),
        records=(replace(source.records[0], evaluation=evaluation), *source.records[1:]),
    )
    found = review_data(made)
    assert found["constraints"] == [
        {"name": "size_mb", "relation": "<=", "value": 3.0},
        {"name": "error", "relation": "<=", "value": 0.2},
        {"name": "top1", "relation": ">=", "value": 0.7},
    ]
    assert found["metrics"] == [
        {"name": "top1", "direction": "maximize"},
        {"name": "error", "direction": "minimize"},
        {"name": "other", "direction": None},
    ]


@pytest.mark.parametrize(("layers", "trials"), [(1, 1), (40, 60)])
def test_searches_of_any_size_have_consistent_pages(layers, trials, tmp_path):
    found = review_data(made_up_source(layers, trials, tmp_path))
    assert len(found["layers"]) == layers
    assert len(found["trials"]) == trials
    assert all(len(row["configuration"]) == layers for row in found["trials"])
    assert found["samples"]["unseen"] == 98
    for layer in found["layers"]:
        assert len(layer["menu"]) == len(layer["bytes"]) == len(layer["loss"])


def test_no_folder_is_needed_to_read_it(source, tmp_path):
    assert not RunFolder(tmp_path, "x").path.exists()
    assert isinstance(source, ReviewSource)
    review_data(source)
    assert not RunFolder(tmp_path, "x").path.exists()
