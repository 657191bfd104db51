"""The names by which an experiment made in code is given its values."""

from pathlib import Path
from typing import NotRequired, get_origin, get_type_hints

from pydantic import BaseModel

from palettune.search.experiment.experiment import Budget, Experiment
from palettune.search.experiment.experiment_values import ExperimentValues


def test_every_key_of_an_experiment_has_its_value_and_nothing_else_has():
    hints = get_type_hints(ExperimentValues, include_extras=True)
    assert list(hints) == list(Experiment.model_fields)
    required = {name for name, field in Experiment.model_fields.items() if field.is_required()}
    assert required == {name for name, hint in hints.items() if get_origin(hint) is not NotRequired}


def test_values_of_every_kind_make_an_experiment():
    values: ExperimentValues = {
        "name": "x",
        "workload": "w.py",
        "deployment_target": "iOS17",
        "budget": Budget(trials=3),
        "space": {"encodings": ["fp16", "lut4"]},
        "resources": {"data_free": {"workers": 2}},
    }
    made = Experiment(**values)
    assert made.workload == Path.cwd() / "w.py"
    assert (made.budget.trials, made.needs.workers) == (3, 2)
    assert isinstance(made.space, BaseModel)
