"""Configurations in files, with what their weights had."""

import json

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.api.stored_configuration import FormerResult, read_configuration
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration, ConfigurationError

CONFIGURATION = {"encodings": {"a": "lut4", "b": "fp16"}, "activations": {}}


@pytest.mark.parametrize(
    ("content", "divergence"),
    [
        (CONFIGURATION, None),
        (
            {"configuration": CONFIGURATION, "trial": 3, "divergence": 0.5, "size_mb": 1.0, "workflow": "calibration"},
            0.5,
        ),
        ([{"configuration": CONFIGURATION, "trial": 3, "divergence": 0.5, "weight_bytes": 1000000}], 0.5),
        ({"prediction": True, "divergence": 0.1, "configuration": CONFIGURATION["encodings"]}, None),
    ],
)
def test_a_configuration_is_read_from_whatever_holds_one(tmp_path, content, divergence):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    found = read_configuration(path)
    assert {name: str(e) for name, e in found.configuration.encodings.items()} == CONFIGURATION["encodings"]
    assert (found.former and found.former.divergence) == divergence
    if found.former is not None:
        assert found.former.size_mb == 1.0
        assert found.former.trial == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("3", "expected a configuration"),
        ('{"layers": {}}', "'encodings'"),
        ('{"configuration": 3}', "expected a configuration"),
        ('[{"trial": 1}, {"trial": 2}]', "holds the trials 1, 2"),
        ('{"encodings": {"a": "lut5"}}', "lut5"),
    ],
)
def test_a_file_that_holds_none_is_said(tmp_path, text, words):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as error:
        read_configuration(path)
    assert str(path) in str(error.value)


def test_of_several_the_one_asked_for_is_read(tmp_path):
    path = tmp_path / "front.json"
    entries = [{"configuration": CONFIGURATION, "trial": trial, "divergence": trial / 10} for trial in (1, 2)]
    path.write_text(json.dumps(entries))
    assert read_configuration(path, 2).former.divergence == 0.2
    with pytest.raises(ConfigurationError, match="trial 3 is not there; the file holds the trials 1, 2"):
        read_configuration(path, 3)


def test_an_evaluation_of_a_search_is_a_former_result_and_a_failure_is_none():
    configuration = Configuration.from_json(json.dumps(CONFIGURATION))
    known = {
        "trial": 4, "origin": "tpe", "configuration": configuration, "workflow": Workflow("calibration"), "values": None,
        "costs": {"size_mb": 2.0}, "feasible": True, "answered_from": None, "span": (0.0, 1.0),
    }  # fmt: skip
    evaluation = Evaluation(configuration.hash, Workflow("calibration"), 0.5, (0.5,), metrics={"top1": 0.9})
    assert FormerResult.of_record(Record.of(evaluation, **known), "a run") == FormerResult(
        "a run", 0.5, {"top1": 0.9}, 4, Workflow("calibration"), 2.0
    )
    assert FormerResult.of_record(Record.of(Failure(Stage.FORWARD, "no"), **known), "a run") is None
